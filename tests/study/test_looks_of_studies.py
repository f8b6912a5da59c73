"""Studies of `--seeds auto`: one that is interrupted in a look and between two looks, and one that stops early."""

import json
from pathlib import Path

import pytest

from analysis.results.load import load_results
from analysis.results.study_folder import StudyFolder
from analysis.results.study_json import read_study
from analysis.verdict.summary import summarise
from tests.in_process import interrupt_when, run_here
from tests.processes import BUDGET, assert_same_results

pytestmark = pytest.mark.slow

# Two networks that are one: their runs are equal, so no look tells them apart. A margin of 0 makes nothing equivalent.
TWINS = [*BUDGET, "--trials", "1", "--seeds", "auto", "--margin", "0", "--archs", "tiny", "twin"]


def made(folder: Path) -> int:
    """Return the number of final runs of the study."""
    return len(list(folder.glob("final/*/seed-*/metrics.json")))


def test_looks_are_the_same_whenever_a_study_is_interrupted(tmp_path: Path) -> None:
    done = run_here([*TWINS, "--name", "whole"], tmp_path)
    assert done.returncode == 0, done.stderr
    for line in ("5 seeds do not decide: going on to 10 seeds", "10 seeds do not decide: going on to 20 seeds"):
        assert line in done.stdout
    folder, resume = tmp_path / "results" / "halted", ["--resume", "--name", "halted"]

    in_a_look = interrupt_when(lambda: made(folder) >= 3)
    assert run_here([*TWINS, "--name", "halted"], tmp_path, at_step=in_a_look).returncode == 130
    assert read_study(StudyFolder(folder)).planned_seeds == 5

    after_a_look = interrupt_when(lambda: read_study(StudyFolder(folder)).planned_seeds == 10)
    assert run_here(resume, tmp_path, at_step=after_a_look).returncode == 130
    assert 10 <= made(folder) < 20
    verdict = summarise(load_results(StudyFolder(folder))).verdict
    assert verdict is not None and "of the 10 planned seeds are there." in verdict.text
    refused = run_here([*resume, "--seeds", "30"], tmp_path)
    assert refused.returncode == 2 and "was begun with --seeds auto, not 30" in refused.stderr

    done = run_here(resume, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "going on to 10 seeds" not in done.stdout and "10 seeds do not decide" in done.stdout
    whole = tmp_path / "results" / "whole"
    assert_same_results(whole, folder)
    one, other = (json.loads((path / "study.json").read_text())["looks"] for path in (whole, folder))
    assert one == other and one["reached"] == 20
    numbers = [json.loads((path / "report" / "summary.json").read_text())["verdict"] for path in (whole, folder)]
    assert numbers[0] == numbers[1] and numbers[0]["confidence"] == 0.97
    assert numbers[0]["seeds"] == list(range(20))
    again = run_here(resume, tmp_path)
    assert again.stdout.startswith("The study is finished. Report: ")


def test_a_study_ends_at_the_first_look_that_decides(tmp_path: Path) -> None:
    long = ["--train-size", "250", "--max-epochs", "8", "--batch-size", "16"]
    done = run_here(
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
    assert run_here(["--resume", "--name", "far"], tmp_path).stdout.startswith("The study is finished.")
