"""Real studies of `--seeds auto`: one that is killed inside a look and between two looks, and one that stops early."""

import json
from pathlib import Path

import pytest

from analysis.results.load import load_results
from analysis.results.study_folder import StudyFolder
from analysis.results.study_json import read_study
from analysis.verdict.summary import summarise
from tests.processes import BUDGET, GATE, Gate, Programs, assert_same_results

pytestmark = pytest.mark.slow

# Two networks that are one: their runs are equal, so no look tells them apart. A margin of 0 makes nothing equivalent.
TWINS = [*BUDGET, "--trials", "1", "--seeds", "auto", "--margin", "0", "--archs", "tiny", "twin"]


def made(folder: Path) -> int:
    """Return the number of final runs of the study."""
    return len(list(folder.glob("final/*/seed-*/metrics.json")))


def test_looks_are_the_same_whenever_a_study_is_killed(
    programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = programs.run_study([*TWINS, "--name", "whole"], tmp_path)
    assert done.returncode == 0, done.stderr
    for line in ("5 seeds do not decide: going on to 10 seeds", "10 seeds do not decide: going on to 20 seeds"):
        assert line in done.stdout
    monkeypatch.setenv(GATE, str(tmp_path / "gate"))
    gate = Gate(tmp_path / "gate")
    folder, resume = tmp_path / "results" / "killed", ["--resume", "--name", "killed"]

    study = programs.study([*TWINS, "--name", "killed"], tmp_path)
    gate.let_train_until(study, lambda: made(folder) >= 3)
    study.kill()
    study.wait_until_gone()
    assert read_study(StudyFolder(folder)).planned_seeds == 5

    study = programs.study(resume, tmp_path)
    gate.let_train_until(study, lambda: read_study(StudyFolder(folder)).planned_seeds == 10)
    study.kill()
    study.wait_until_gone()
    assert 10 <= made(folder) < 20
    verdict = summarise(load_results(StudyFolder(folder))).verdict
    assert verdict is not None and "of the 10 planned seeds are there." in verdict.text
    refused = programs.run_study([*resume, "--seeds", "30"], tmp_path)
    assert refused.returncode == 2 and "was begun with --seeds auto, not 30" in refused.stderr

    gate.open()
    done = programs.run_study(resume, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "going on to 10 seeds" not in done.stdout and "10 seeds do not decide" in done.stdout
    whole = tmp_path / "results" / "whole"
    assert_same_results(whole, folder)
    one, other = (json.loads((path / "study.json").read_text())["looks"] for path in (whole, folder))
    assert one == other and one["reached"] == 20
    numbers = [json.loads((path / "report" / "summary.json").read_text())["verdict"] for path in (whole, folder)]
    assert numbers[0] == numbers[1] and numbers[0]["confidence"] == 0.97
    assert numbers[0]["seeds"] == list(range(20))
    again = programs.run_study(resume, tmp_path)
    assert again.stdout.startswith("The study is finished. Report: ")


def test_a_study_ends_at_the_first_look_that_decides(programs: Programs, tmp_path: Path) -> None:
    long = ["--train-size", "400", "--max-epochs", "20", "--batch-size", "16"]
    done = programs.run_study(
        [*BUDGET, *long, "--trials", "1", "--seeds", "auto", "--archs", "tiny", "blind", "--name", "far"], tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "The final runs end at 5 seeds" in done.stdout
    folder = tmp_path / "results" / "far"
    summary = json.loads((folder / "report" / "summary.json").read_text())
    assert (summary["verdict"]["winner"], summary["verdict"]["seeds"]) == ("tiny", [0, 1, 2, 3, 4])
    assert summary["verdict"]["looks"]["reached"] == 5 and summary["verdict"]["confidence"] == 0.99
    assert "99 % interval" in summary["accuracies"]
    assert summarise(load_results(StudyFolder(folder))).as_json() == summary
    assert programs.run_study(["--resume", "--name", "far"], tmp_path).stdout.startswith("The study is finished.")
