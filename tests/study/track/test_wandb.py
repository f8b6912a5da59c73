"""W&B's offline runs, read back from its files."""

import json
from pathlib import Path

import pandas as pd
import pytest

from analysis.results.study_folder import StudyFolder
from study.track.__main__ import main
from tests.analysis.example_study import write_example
from tests.study.track.reports import write_report
from tests.study.track.wandb_files import OfflineRun, read_finished_runs

pytestmark = pytest.mark.trackers


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    folder = write_example(tmp_path / "pets", seeds=2, trials=3, epochs=3, titles={"alexnet": "AlexNet", "other": "O"})
    write_report(folder)
    return folder


def written(folder: StudyFolder) -> dict[str, OfflineRun]:
    """Give W&B what it lacks, and return its runs by name. No two may have a name or an id in common."""
    assert main([str(folder.path), "--to", "wandb"]) == 0
    runs = read_finished_runs(folder.path / "wandb")
    assert len({run.id for run in runs}) == len({run.name for run in runs}) == len(runs)
    return {run.name: run for run in runs}


def test_each_run_is_there_once_with_its_epochs_and_the_study_has_its_report(folder: StudyFolder) -> None:
    runs = written(folder)
    assert len(runs) == 1 + 2 * (1 + 3 + 4)
    assert {run.group for run in runs.values()} == {"pets"} and {run.project for run in runs.values()} == {
        "fairverdict"
    }
    assert [runs[name].job_type for name in ("pets", "alexnet", "alexnet-0", "alexnet-tuned-seed-1")] == [
        "study",
        "alexnet network",
        "alexnet trial",
        "alexnet final run",
    ]
    history = pd.read_csv(folder.path / "history.csv")
    for name, rows in history.groupby("trial_id"):
        kept = [row for row in runs[name].history if "val_loss" in row]
        assert [row["_step"] for row in kept] == list(rows["epoch"][rows["val_loss"].notna()])
        assert [row["val_loss"] for row in kept] == list(rows["val_loss"].dropna())
    final = folder.final.read("alexnet-tuned", 1)
    run = runs["alexnet-tuned-seed-1"]
    assert run.summary["test_f1"] == final.metrics["f1"] and run.config["seed"] == 1
    assert run.config["lr"] == final.metrics["config"]["lr"] and run.config["variant"] == "tuned"
    assert runs["pets"].artifacts == ["report.html"]
    summary = json.loads((folder.report / "summary.json").read_text())
    assert runs["pets"].summary["verdict"] == summary["verdict"]["text"]
    assert runs["alexnet"].summary["tuned/test_accuracy/mean"] == summary["groups"]["alexnet-tuned"]["accuracy"]["mean"]

    files = {path: path.stat().st_mtime_ns for path in (folder.path / "wandb").glob("offline-run-*/*.wandb")}
    assert written(folder) == runs
    assert {path: path.stat().st_mtime_ns for path in files} == files

    folder.final.remove("other-tuned", 1)
    write_report(folder)
    again = written(folder)
    assert {name for name in runs if again[name] != runs[name]} == {"pets", "alexnet", "other"}
    assert [again[name].id for name in runs] == [run.id for run in runs.values()]


def test_a_run_that_goes_on_waits_for_its_end(folder: StudyFolder) -> None:
    trials = folder.read_trials()
    assert trials is not None
    folder.write_trials(trials[trials["trial_id"] != "alexnet-0"])
    assert "alexnet-0" not in written(folder)
    folder.write_trials(trials)
    assert len(written(folder)["alexnet-0"].history) == 3
