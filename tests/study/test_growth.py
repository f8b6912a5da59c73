"""A real study that grows before its test set is seen, and tells its trials to a new study afterwards."""

import json
import signal
from pathlib import Path

import pandas as pd
import pytest

from analysis.results.study_folder import StudyFolder
from tests.processes import BUDGET, GATE, Gate, Programs
from tests.study.faults import events

pytestmark = pytest.mark.slow


def test_a_study_grows_until_its_test_set_is_seen_and_then_tells_a_new_one(
    programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(GATE, str(tmp_path / "gate"))
    gate = Gate(tmp_path / "gate")
    folder = tmp_path / "results" / "first"

    small = [*BUDGET, "--trials", "1", "--seeds", "1", "--archs", "tiny", "--name", "first"]
    study = programs.study(small, tmp_path)
    table = folder / "trials.csv"
    # Between the search and the final runs.
    gate.let_train_until(study, lambda: table.exists() and "tiny-0" in table.read_text())
    study.process.send_signal(signal.SIGTERM)
    assert study.finish().returncode == 130
    assert not StudyFolder(folder).final.numbers()
    begun = pd.read_csv(table, dtype=str)
    assert list(begun["trial_id"]) == ["tiny-0"]

    gate.open()
    grow = ["--resume", "--name", "first", "--trials", "2", "--add-arch", "small"]
    done = programs.run_study(grow, tmp_path)
    assert done.returncode == 0, done.stderr
    grown = pd.read_csv(table, dtype=str)
    assert list(grown["trial_id"]) == ["tiny-0", "tiny-1", "small-0", "small-1"]
    pd.testing.assert_frame_equal(grown.head(1), begun)
    summary = json.loads((folder / "report" / "summary.json").read_text())
    assert {name.partition("-")[0] for name in summary["groups"]} == {"tiny", "small"}

    gate = Gate(tmp_path / "gate")
    told = tmp_path / "results" / "told"
    study = programs.study(["--from", "results/first", "--name", "told"], tmp_path)
    gate.let_train_until(study, lambda: events(told, "epoch") >= 7)  # in the third trial
    assert "The samplers are told 2 trials of tiny and 2 trials of small from first" in study.kill()
    study.wait_until_gone()
    folder.rename(tmp_path / "moved")
    gate.open()
    done = programs.run_study(["--resume", "--name", "told"], tmp_path)
    assert done.returncode == 0, done.stderr
    caveats = [limit["text"] for limit in json.loads((told / "report" / "summary.json").read_text())["caveats"]]
    assert any(text.startswith("The test images were seen before: the study first,") for text in caveats)
    assert "The samplers were told 2 trials of Tiny" in (told / "report" / "report.html").read_text()
    trials = pd.read_csv(told / "trials.csv", dtype=str)
    assert list(trials["trial_id"]) == list(grown["trial_id"])
    assert set(trials["val_loss"]).isdisjoint(grown["val_loss"])
