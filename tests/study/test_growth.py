"""A study that grows before its test set is seen, and tells its trials to a new study afterwards."""

import json
from pathlib import Path

import pandas as pd
import pytest

from analysis.results.study_folder import StudyFolder
from tests.in_process import interrupt_when, run_here
from tests.processes import BUDGET
from tests.study.faults import events

pytestmark = pytest.mark.slow


def test_a_study_grows_until_its_test_set_is_seen_and_then_tells_a_new_one(tmp_path: Path) -> None:
    folder = tmp_path / "results" / "first"
    table = folder / "trials.csv"
    small = [*BUDGET, "--trials", "1", "--seeds", "1", "--archs", "tiny", "--name", "first"]
    between_search_and_final_runs = interrupt_when(lambda: table.exists() and "tiny-0" in table.read_text())
    assert run_here(small, tmp_path, at_step=between_search_and_final_runs).returncode == 130
    assert not StudyFolder(folder).final.numbers()
    begun = pd.read_csv(table, dtype=str)
    assert list(begun["trial_id"]) == ["tiny-0"]

    done = run_here(["--resume", "--name", "first", "--trials", "2", "--add-arch", "small"], tmp_path)
    assert done.returncode == 0, done.stderr
    grown = pd.read_csv(table, dtype=str)
    assert list(grown["trial_id"]) == ["tiny-0", "tiny-1", "small-0", "small-1"]
    pd.testing.assert_frame_equal(grown.head(1), begun)
    summary = json.loads((folder / "report" / "summary.json").read_text())
    assert {name.partition("-")[0] for name in summary["groups"]} == {"tiny", "small"}

    told = tmp_path / "results" / "told"
    in_the_third_trial = interrupt_when(lambda: events(told, "epoch") >= 7)
    done = run_here(["--from", "results/first", "--name", "told"], tmp_path, at_step=in_the_third_trial)
    assert done.returncode == 130
    assert "The samplers are told 2 trials of tiny and 2 trials of small from first" in done.stdout
    folder.rename(tmp_path / "moved")
    done = run_here(["--resume", "--name", "told"], tmp_path)
    assert done.returncode == 0, done.stderr
    caveats = [limit["text"] for limit in json.loads((told / "report" / "summary.json").read_text())["caveats"]]
    assert any(text.startswith("The test images were seen before: the study first,") for text in caveats)
    assert "The samplers were told 2 trials of Tiny" in (told / "report" / "report.html").read_text()
    trials = pd.read_csv(told / "trials.csv", dtype=str)
    assert list(trials["trial_id"]) == list(grown["trial_id"])
    assert set(trials["val_loss"]).isdisjoint(grown["val_loss"])
