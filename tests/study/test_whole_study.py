"""One whole study: killed once, resumed, and read as its owner reads it."""

import json
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.trial import TrialState

from analysis.results.optuna_database import open_database
from analysis.results.study_folder import HISTORY_COLUMNS, TRIAL_COLUMNS
from tests.in_process import interrupt_when, run_here
from tests.pace import within
from tests.processes import SMALL, Programs, assert_same_results
from tests.study.conftest import Finished, Maker
from tests.study.faults import events

ARCHS = ("tiny", "small")


@pytest.fixture(scope="module")
def resumed(shared: Callable[[str, Maker], Finished]) -> Finished:
    """Return a study that was killed in its search and resumed."""

    def make(programs: Programs, cwd: Path) -> subprocess.CompletedProcess[str]:
        journal = cwd / "results" / "resumed" / "tune" / "journal.jsonl"
        study = programs.study([*SMALL, "--name", "resumed"], cwd)
        study.wait_for(lambda: journal.exists() and '"event": "epoch"' in journal.read_text())
        study.kill()
        with within(10):
            study.wait_until_gone()
        return programs.run_study(["--resume", "--name", "resumed"], cwd)

    return shared("resumed", make)


@pytest.fixture(scope="module")
def whole(resumed: Finished) -> Path:
    """Return the folder of that study."""
    return resumed.folder


def test_a_killed_study_goes_on_to_its_report(resumed: Finished) -> None:
    said, report = resumed.done.stdout, resumed.folder / "report" / "report.html"
    assert resumed.done.stderr == ""
    *_, dashboard, last = said.splitlines()
    assert last == f"Report: {report}"
    assert dashboard.endswith(f"optuna-dashboard sqlite:///{resumed.folder / 'optuna.db'}")
    verdict = "No difference in accuracy is shown between Tiny and Small: 2 seeds cannot show one"
    assert verdict in " ".join(said.split())
    assert verdict in report.read_text()
    assert json.loads((resumed.folder / "report" / "summary.json").read_text())["verdict"]["call"] == "not shown"


def test_every_architecture_gets_the_same_trials_the_baseline_first(whole: Path) -> None:
    trials = pd.read_csv(whole / "trials.csv")
    assert tuple(trials.columns) == TRIAL_COLUMNS
    assert list(trials["trial_id"]) == [f"{arch}-{number}" for arch in ARCHS for number in range(2)]
    assert list(trials["is_baseline"]) == [True, False] * 2
    baselines = trials[trials["is_baseline"]]
    assert list(zip(baselines["lr"], baselines["dropout"], strict=True)) == [(1e-3, 0.1), (1e-3, 0.0)]
    assert trials["status"].isin(["COMPLETE", "STOPPED_EARLY", "PRUNED"]).all()
    assert (trials["epochs"][trials["status"] == "COMPLETE"] == 3).all()
    assert (trials["epochs"][trials["status"] == "PRUNED"] == 2).all()


def test_history_holds_every_epoch_once_and_agrees_with_the_trials(whole: Path) -> None:
    trials = pd.read_csv(whole / "trials.csv").set_index("trial_id")
    history = pd.read_csv(whole / "history.csv")
    assert tuple(history.columns) == HISTORY_COLUMNS
    assert set(history["trial_id"]) == set(trials.index)
    for trial_id, epochs in history.groupby("trial_id"):
        assert list(epochs["epoch"]) == list(range(1, trials.loc[trial_id, "epochs"] + 1))
        best = epochs.loc[epochs["val_loss"].idxmin()]
        assert trials.loc[trial_id, "best_epoch"] == best["epoch"]
        assert trials.loc[trial_id, "val_loss"] == best["val_loss"]
        assert trials.loc[trial_id, "val_accuracy"] == best["val_accuracy"]
        assert trials.loc[trial_id, "seconds"] == pytest.approx(epochs["seconds"].sum())
    assert (history["seconds"] > 0).all()


def test_optuna_holds_both_searches(whole: Path) -> None:
    trials = pd.read_csv(whole / "trials.csv")
    for arch in ARCHS:
        study = optuna.load_study(study_name=arch, storage=open_database(whole / "optuna.db"))
        rows = trials[trials["arch"] == arch]
        for trial, row in zip(study.trials, rows.itertuples(), strict=True):
            assert trial.params == {"lr": row.lr, "dropout": row.dropout}
            assert trial.state == (TrialState.PRUNED if row.status == "PRUNED" else TrialState.COMPLETE)
            assert list(trial.intermediate_values) == list(range(1, row.epochs + 1))
            assert trial.value == row.val_accuracy


def test_seeds_of_a_group_differ(whole: Path) -> None:
    first, second = (
        np.load(whole / "final" / "small-baseline" / f"seed-{seed}" / "predictions.npz")["logits"] for seed in range(2)
    )
    assert not np.array_equal(first, second)


def test_summary_holds_every_group(whole: Path) -> None:
    summary = json.loads((whole / "report" / "summary.json").read_text())
    assert set(summary["groups"]) == {f"{arch}-{variant}" for arch in ARCHS for variant in ("baseline", "tuned")}
    for group in summary["groups"].values():
        assert len(group["accuracy"]["values"]) == len(group["seeds"]) == 2
        assert group["accuracy"]["ci95"][0] <= group["accuracy"]["mean"] <= group["accuracy"]["ci95"][1]
        assert 0 < group["latency_ms"]["p50"] <= group["latency_ms"]["p90"] <= group["latency_ms"]["p99"]
        assert group["images_per_s"] > 0
    assert summary["groups"]["tiny-tuned"]["parameters"] == 192 * 8 + 8 + 8 * 10 + 10
    history = pd.read_csv(whole / "history.csv")
    for arch in ARCHS:
        assert summary["budget"][arch]["trials"] == 2
        assert summary["budget"][arch]["epochs"] == (history["arch"] == arch).sum()
    kinds = {".html", ".json", ".csv", ".md", ".tex", ".txt", ".bib"}
    assert {path.suffix for path in (whole / "report").iterdir()} == kinds


def test_study_json_says_how_it_came_about(whole: Path) -> None:
    study = json.loads((whole / "study.json").read_text())
    assert study["command"] == shlex.join(["python", "-m", "study.run", *SMALL, "--name", "resumed"])
    assert study["config"]["precision"] in ("fp32", "bf16")
    assert study["config"]["concurrency"] == 1
    assert len(study["data"]["fingerprint"]) == 64
    assert (study["data"]["n_train"], study["data"]["n_test"]) == (100, 360)
    assert study["environment"]["packages"]["ray"]
    assert (study["environment"]["c_compiler"] is None) == (shutil.which("cc") is None)


def test_a_finished_study_is_only_named(whole: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*")}
    done = run_here(["--resume", "--name", "resumed"], whole.parents[1])
    assert done.returncode == 0, done.stderr
    assert str(whole / "report" / "report.html") in done.stdout
    assert {path: path.stat().st_mtime_ns for path in whole.rglob("*")} == before


def test_without_ray_a_study_comes_to_the_same(whole: Path, tmp_path: Path) -> None:
    """Other tests rely on it. This study is interrupted and resumed, as the other was killed and resumed."""
    folder = tmp_path / "results" / "here"
    done = run_here([*SMALL, "--name", "here"], tmp_path, at_step=interrupt_when(lambda: events(folder, "epoch") >= 2))
    assert (done.returncode, (folder / "report").exists()) == (130, False), done.stderr
    done = run_here(["--resume", "--name", "here"], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert_same_results(whole, folder)
    summaries = [json.loads((path / "report" / "summary.json").read_text()) for path in (whole, folder)]
    assert summaries[0]["verdict"]["text"] == summaries[1]["verdict"]["text"]
