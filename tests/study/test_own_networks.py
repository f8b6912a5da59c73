"""Networks of a user's own, and the faults that they may have."""

import json
import os
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.trial import TrialState

from analysis.results.optuna_database import open_database
from analysis.results.study_folder import StudyFolder
from study.list.studies import studies_text
from tests.in_process import run_here
from tests.processes import SMALL
from tests.study.conftest import Finished


@pytest.mark.slow
def test_a_network_that_cannot_predict_is_refused(tmp_path: Path) -> None:
    done = run_here([*SMALL, "--archs", "misshapen", "--name", "refused"], tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: the network 'misshapen' cannot predict an image: RuntimeError")
    assert not (tmp_path / "results" / "refused").exists()


@pytest.mark.slow
def test_the_faults_of_a_network_are_its_own(undisturbed: Finished, tmp_path: Path) -> None:
    arguments = [*SMALL, "--trials", "2", "--confirm", "2", "--name", "three"]
    done = run_here([*arguments, "--archs", "tiny", "broken", "diverging"], tmp_path)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "results" / "three"
    trials = pd.read_csv(folder / "trials.csv").set_index("trial_id")
    assert list(trials["arch"]) == ["tiny"] * 2 + ["broken"] * 2 + ["diverging"] * 2
    assert (trials["status"][trials["arch"] == "broken"] == "FAILED").all()
    assert (trials["status"][trials["arch"] == "diverging"] == "DIVERGED").all()
    assert (trials["epochs"][trials["arch"] == "tiny"] >= 2).all()
    journal = (folder / "tune" / "journal.jsonl").read_text()
    assert "ArithmeticError: this network cannot count" in journal
    assert [line.split(" has no result")[0] for line in done.stderr.splitlines() if "has no result" in line] == [
        "Broken"
    ]
    for number in range(2):
        assert f"the trial broken-{number} failed: ArithmeticError: this network cannot count" in done.stderr
    summary = json.loads((folder / "report" / "summary.json").read_text())
    assert set(summary["groups"]) == {"tiny-baseline", "tiny-tuned", "diverging-baseline"}
    assert summary["groups"]["diverging-baseline"]["diverged_seeds"] == [0, 1]
    unpruned = set(trials.index[trials["status"].isin(["COMPLETE", "STOPPED_EARLY"])])
    assert {path.parent.name for path in (folder / "confirm").glob("*/*")} == unpruned >= {"tiny-0"}
    assert summary["budget"]["tiny"]["confirm_runs"] == 2 * len(unpruned)
    for run in ("seed-0", "seed-1"):
        predictions = Path("final", "tiny-baseline", run, "predictions.npz")
        logits = [np.load(path / predictions)["logits"] for path in (folder, undisturbed.folder)]
        assert np.array_equal(*logits)
    states = {arch: _optuna_states(folder, arch) for arch in ("broken", "diverging")}
    assert states == {"broken": {TrialState.FAIL}, "diverging": {TrialState.PRUNED}}
    assert set(StudyFolder(folder).read_latency() or {}) == {"tiny", "diverging"}
    assert "  finished  " in studies_text([StudyFolder(folder)])


@pytest.mark.slow
def test_a_study_of_which_nothing_came_has_failed(tmp_path: Path) -> None:
    arguments = ["--dataset", "digits", "--train-size", "300", "--trials", "1", "--max-epochs", "1", "--seeds", "1"]
    begun = run_here([*arguments, "--archs", "greedy", "--name", "nothing"], tmp_path)
    resumed = run_here(["--resume", "--name", "nothing"], tmp_path)
    for done in (begun, resumed):
        assert done.returncode == 1
        assert "Greedy has no result: all its trials failed" in done.stderr
        assert "finished" not in done.stdout
    assert "  failed  " in studies_text([StudyFolder(tmp_path / "results" / "nothing")])
    assert "the trial greedy-0 failed: out of memory: lower --concurrency" in begun.stderr
    assert "tried to allocate 4000000000000000 bytes" in (tmp_path / "results/nothing/tune/journal.jsonl").read_text()
    assert "Greedy has no result" in (tmp_path / "results" / "nothing" / "study.log").read_text()
    page = (tmp_path / "results" / "nothing" / "report" / "report.html").read_text()
    assert "1 of 1 (100 %) of Greedy failed and gave no score" in page


@pytest.mark.slow
def test_what_falls_below_a_rung_is_stopped_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An epoch of 400 images has three steps, so the first rung lies at epoch 20. There is no C compiler."""
    without_compiler = tmp_path / "programs"
    without_compiler.mkdir()
    for folder in map(Path, os.environ["PATH"].split(os.pathsep)):
        for path in folder.glob("*"):
            if path.name != "cc" and not (without_compiler / path.name).exists():
                (without_compiler / path.name).symlink_to(path)
    monkeypatch.setenv("PATH", str(without_compiler))
    arguments = ["--dataset", "digits", "--train-size", "400", "--trials", "6", "--max-epochs", "24", "--seeds", "1"]
    done = run_here([*arguments, "--confirm", "0", "--archs", "tiny", "--name", "rung"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "no C compiler (cc) on this machine" in done.stdout
    folder = tmp_path / "results" / "rung"
    trials = pd.read_csv(folder / "trials.csv")
    pruned = trials[trials["status"] == "PRUNED"]
    assert len(pruned) >= 1
    assert (pruned["epochs"] == 20).all()
    best = trials.loc[trials["status"].isin(["COMPLETE", "STOPPED_EARLY"]), "val_accuracy"].max()
    assert pruned["val_accuracy"].max() <= best
    assert TrialState.PRUNED in _optuna_states(folder, "tiny")
    assert f"{len(pruned)} of" in (folder / "report" / "report.html").read_text()


def _optuna_states(folder: Path, arch: str) -> set[TrialState]:
    study = optuna.load_study(study_name=arch, storage=open_database(folder / "optuna.db"))
    return {trial.state for trial in study.trials}
