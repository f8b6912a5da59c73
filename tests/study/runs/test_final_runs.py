"""Which final runs there are to be, and how far they have come."""

import io
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from analysis.results.run_folders import EPOCH_COLUMNS, FinalRun
from analysis.results.study_folder import StudyFolder
from models.training.recipe import TrainingConfig
from study.listeners.progress import Progress
from study.runs.final_runs import RunsRecorder, missing_runs, plan_final_runs, stray_runs, untrained_runs
from study.runs.ray_runs import FailedRun, RunPlan
from study.search.ledger import Ledger
from study.search.search import Search
from study.search.trial import Status
from study.settings.config import StudyConfig
from tests.builders import epoch

CONFIG = StudyConfig(trials=2, max_epochs=9, seeds=3)
# Learning rate, dropout, score and status of each trial.
Rows = Sequence[tuple[float, float, float, Status]]
TUNED: Rows = [(1e-3, 0.5, 0.5, "COMPLETE"), (2e-3, 0.1, 0.9, "COMPLETE")]
FAILED: Rows = [(1e-3, 0.5, 0.5, "FAILED"), (2e-3, 0.1, 0.9, "FAILED")]


def _search(path: Path, trials: Mapping[str, Rows], config: StudyConfig = CONFIG) -> Search:
    ledger = Ledger(path / "journal.jsonl")
    for arch, rows in trials.items():
        for number, (lr, dropout, score, status) in enumerate(rows):
            trial = ledger.ask(arch, number, {"lr": lr, "dropout": dropout})
            ledger.report(trial.trial_id, epoch(1, 1.0, score))
            ledger.end(trial.trial_id, status)
    return Search(config, {arch: config.baseline_training(arch) for arch in config.archs}, ledger)


def _baseline_best(arch: str) -> Rows:
    baseline = CONFIG.baseline_training(arch)
    return [(baseline.lr, baseline.dropout, 0.9, "COMPLETE"), (2e-3, 0.1, 0.5, "COMPLETE")]


def _groups(plans: Sequence[RunPlan]) -> list[str]:
    return list(dict.fromkeys(plan.group for plan in plans))


def test_baseline_and_tuned_of_each_on_the_same_seeds(tmp_path: Path) -> None:
    plans = plan_final_runs(CONFIG, _search(tmp_path, {"alexnet": TUNED, "mobilenet": TUNED}))
    groups = ["alexnet-baseline", "alexnet-tuned", "mobilenet-baseline", "mobilenet-tuned"]
    assert [(plan.seed, plan.group) for plan in plans] == [(seed, group) for seed in range(3) for group in groups]
    for plan in plans:
        if plan.variant == "tuned":
            assert plan.recipe == TrainingConfig({"lr": 2e-3, "dropout": 0.1}, max_epochs=9)
        else:
            assert plan.recipe == CONFIG.baseline_training(plan.arch)
        assert plan.is_tuned == (plan.variant == "tuned")
    assert plans[1].name == "final/alexnet-tuned/seed-0"


def test_a_tuned_configuration_that_is_the_baseline_is_trained_once(tmp_path: Path) -> None:
    plans = plan_final_runs(CONFIG, _search(tmp_path, {"alexnet": _baseline_best("alexnet"), "mobilenet": TUNED}))
    assert _groups(plans) == ["alexnet-baseline", "mobilenet-baseline", "mobilenet-tuned"]
    assert {plan.is_tuned for plan in plans if plan.group == "alexnet-baseline"} == {True}
    assert {plan.is_tuned for plan in plans if plan.group == "mobilenet-baseline"} == {False}


def test_where_every_trial_failed_there_is_nothing_to_train(tmp_path: Path) -> None:
    plans = plan_final_runs(CONFIG, _search(tmp_path, {"alexnet": FAILED, "mobilenet": TUNED}))
    assert _groups(plans) == ["mobilenet-baseline", "mobilenet-tuned"]


def test_where_no_trial_has_a_score_the_baseline_is_trained_alone(tmp_path: Path) -> None:
    search = _search(tmp_path, {"alexnet": [], "mobilenet": TUNED})
    trial = search.ledger.ask("alexnet", 0, {"lr": 1e-3, "dropout": 0.5})
    search.ledger.report(trial.trial_id, epoch(1, float("nan")))
    search.ledger.end(trial.trial_id, "DIVERGED")
    plans = plan_final_runs(CONFIG, search)
    assert _groups(plans) == ["alexnet-baseline", "mobilenet-baseline", "mobilenet-tuned"]
    assert not any(plan.is_tuned for plan in plans if plan.arch == "alexnet")


def test_baselines_alone() -> None:
    plans = plan_final_runs(CONFIG, None)
    assert _groups(plans) == ["alexnet-baseline", "mobilenet-baseline"]
    assert len(plans) == 6
    assert not any(plan.is_tuned for plan in plans)


def test_more_seeds_keep_the_earlier_ones(tmp_path: Path) -> None:
    search = _search(tmp_path, {"alexnet": TUNED, "mobilenet": TUNED})
    few, more = (plan_final_runs(replace(CONFIG, seeds=seeds), search) for seeds in (2, 4))
    assert more[: len(few)] == few
    assert {plan.seed for plan in more[len(few) :]} == {2, 3}


def _made(plan: RunPlan, accuracy: float = 0.5, epochs: int = 2, status: str = "COMPLETE") -> FinalRun:
    rows = [(number, 1.0, 1.0, 0.5, 0.25) for number in range(1, epochs + 1)]
    return FinalRun(
        group=plan.group,
        seed=plan.seed,
        metrics={
            "accuracy": accuracy,
            "status": status,
            "config": dict(plan.recipe.values),
            "is_tuned": plan.is_tuned,
        },
        history=pd.DataFrame(rows, columns=list(EPOCH_COLUMNS)),
        logits=np.zeros((2, 3), np.float32),
        labels=np.zeros(2, np.int64),
    )


def test_what_is_in_the_folder_is_not_made_again(tmp_path: Path) -> None:
    folder, plans = StudyFolder(tmp_path), plan_final_runs(CONFIG, None)
    assert missing_runs(plans, folder) == plans
    for plan in (plans[0], plans[3]):
        folder.final.write(_made(plan))
    assert missing_runs(plans, folder) == [plans[1], plans[2], plans[4], plans[5]]
    assert stray_runs(plans, folder) == []


def test_a_group_never_holds_two_configurations(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    config = replace(CONFIG, archs=("alexnet",))
    one = plan_final_runs(config, _search(tmp_path / "one", {"alexnet": TUNED}, config))
    other = plan_final_runs(
        config, _search(tmp_path / "other", {"alexnet": [TUNED[0], (3e-3, 0.1, 0.9, "COMPLETE")]}, config)
    )
    folder = StudyFolder(tmp_path)
    for plan in one[:4]:
        folder.final.write(_made(plan))
    assert missing_runs(other, folder) == [plan for plan in other if plan.variant == "tuned" or plan.seed == 2]
    assert stray_runs(other, folder) == [("final", "alexnet-tuned", 0), ("final", "alexnet-tuned", 1)]
    for purpose, group, seed in stray_runs(other, folder):
        folder.runs(purpose).remove(group, seed)
    assert folder.final.numbers() == {"alexnet-baseline": [0, 1]}
    assert stray_runs(other, folder) == []


def test_a_baseline_that_became_the_tuned_configuration_is_made_again(tmp_path: Path) -> None:
    """What a run is called is written in it."""
    config = replace(CONFIG, archs=("alexnet",))
    folder, plans = StudyFolder(tmp_path), plan_final_runs(config, None)
    folder.final.write(_made(plans[0]))
    tuned = plan_final_runs(config, _search(tmp_path, {"alexnet": _baseline_best("alexnet")}, config))
    assert missing_runs(tuned, folder) == tuned
    assert stray_runs(tuned, folder) == [("final", "alexnet-baseline", 0)]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    monkeypatch.setattr("study.listeners.progress.PLAIN_LINE_EVERY_SECONDS", 0.0)
    return io.StringIO()


def _last_line(screen: io.StringIO) -> str:
    """The last line, without the time left."""
    return "Final runs: " + screen.getvalue().splitlines()[-1].split(": ", 1)[1]


@dataclass
class Stage:
    """The final runs of one network, their recorder, and a clock to turn by hand."""

    plans: list[RunPlan]
    recorder: RunsRecorder
    now: float


@pytest.fixture
def stage(tmp_path: Path, screen: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    folder, plans = StudyFolder(tmp_path), plan_final_runs(replace(CONFIG, archs=("mobilenet",)), None)
    with Progress(Console(file=screen, width=200)) as progress:
        begun = time.monotonic()
        stage = Stage(plans, RunsRecorder(folder, progress, "Final runs", plans), begun)
        monkeypatch.setattr("time.monotonic", lambda: stage.now)
        yield stage


def test_time_left_after_runs_that_went_on_from_checkpoints(stage: Stage, screen: io.StringIO) -> None:
    """Two runs of three had 3 of 4 epochs; the last took 10 s, side by side: 40 s are left, at a pace of 2."""
    for plan in stage.plans[:2]:
        for number in (1, 2, 3):
            stage.recorder.on_epoch(plan, replace(epoch(number), seconds=10.0))
    stage.now += 10
    for plan in stage.plans[:2]:
        stage.recorder.on_epoch(plan, replace(epoch(4), seconds=10.0))
        stage.recorder.on_end(plan, _made(plan, epochs=4))
    assert "Final runs, about 20 s left: " in screen.getvalue().splitlines()[-1]


def test_time_left_counts_the_epochs_of_runs_under_way(stage: Stage, screen: io.StringIO) -> None:
    """One of three is done, in 20 s; the second has done 15 of its 20 s: 25 s are left."""
    done, under_way, _ = stage.plans
    for plan, epochs in ((done, 4), (under_way, 3)):
        for number in range(1, epochs + 1):
            stage.now += 5
            stage.recorder.on_epoch(plan, replace(epoch(number), seconds=5.0))
        if plan is done:
            stage.recorder.on_end(plan, _made(plan, epochs=4))
    assert "Final runs, about 25 s left: " in screen.getvalue().splitlines()[-1]


def test_a_run_is_not_trained_ahead_again_for_being_called_tuned(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    plan = plan_final_runs(replace(CONFIG, archs=("mobilenet",), seeds=1), None)[0]
    folder.final.write(_made(plan))
    renamed, other = (
        replace(plan, is_tuned=True),
        replace(plan, recipe=replace(plan.recipe, values=dict(plan.recipe.values) | {"lr": 5e-3})),
    )
    assert missing_runs([renamed, other], folder) == [renamed, other]
    assert untrained_runs([renamed, other, replace(plan, seed=1)], folder) == [other, replace(plan, seed=1)]


def test_the_recorder_writes_runs_and_counts_them(tmp_path: Path, screen: io.StringIO) -> None:
    folder, plans = StudyFolder(tmp_path), plan_final_runs(replace(CONFIG, archs=("mobilenet",)), None)
    folder.final.write(_made(plans[0], accuracy=0.8))
    with Progress(Console(file=screen, width=200)) as progress:
        recorder = RunsRecorder(folder, progress, "Final runs", plans)
        assert _last_line(screen) == ("Final runs: MobileNet-like, baseline 1/3 (1 complete), mean 80.0%, 2 epochs")
        for number in (1, 2, 3):
            recorder.on_epoch(plans[1], epoch(number))
        assert "1/3 (1 complete, 1 running), mean 80.0%, 5 epochs" in _last_line(screen)
        recorder.on_end(plans[1], _made(plans[1], accuracy=0.6, epochs=3, status="STOPPED_EARLY"))
        assert "2/3 (1 complete, 1 stopped early), mean 70.0%, 5 epochs" in _last_line(screen)
        recorder.on_end(plans[2], FailedRun(plans[2], "out of memory"))
        assert "3/3 (1 complete, 1 stopped early, 1 failed), mean 70.0%, 5 epochs" in _last_line(screen)
        recorder.finish()
    assert folder.final.numbers() == {"mobilenet-baseline": [0, 1]}
