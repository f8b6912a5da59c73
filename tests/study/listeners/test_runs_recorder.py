"""Checks what the recorder of the runs after the search writes and shows."""

import io
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.results.run_folders import EPOCH_COLUMNS, FinalRun
from analysis.results.study_folder import StudyFolder
from analysis.retraining.plans import FailedRun, RunPlan, missing_runs, plan_baselines
from study.listeners.progress import Progress
from study.listeners.runs_recorder import RunsRecorder
from study.listeners.screen import Screen
from study.settings.config import StudyConfig
from study.settings.networks import baseline_of
from tests.builders import epoch

CONFIG = StudyConfig(trials=2, max_epochs=9, seeds=3)
PLANS = plan_baselines({"mobilenet": baseline_of(CONFIG, "mobilenet")}, CONFIG.seeds)


def _made(plan: RunPlan, accuracy: float = 0.5, epochs: int = 2, status: str = "COMPLETE") -> FinalRun:
    rows = [(number, 1.0, 1.0, 0.5, 0.25, 0.5) for number in range(1, epochs + 1)]
    return FinalRun(
        group=plan.group,
        seed=plan.seed,
        metrics={
            "accuracy": accuracy,
            "status": status,
            "config": plan.made[0],
            "is_tuned": plan.is_tuned,
        },
        history=pd.DataFrame(rows, columns=list(EPOCH_COLUMNS)),
        logits=np.zeros((2, 3), np.float32),
        labels=np.zeros(2, np.int64),
    )


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


def _recorder(folder: StudyFolder, progress: Progress) -> RunsRecorder:
    missing = missing_runs(PLANS, folder)
    return RunsRecorder(folder, progress, "Final runs", PLANS, missing, 900, {"mobilenet": "MobileNet-like"})


@pytest.fixture
def stage(tmp_path: Path, screen: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    folder, plans = StudyFolder(tmp_path), PLANS
    with Progress(Screen(file=screen, width=200)) as progress:
        begun = time.monotonic()
        recorder = _recorder(folder, progress)
        stage = Stage(plans, recorder, begun)
        monkeypatch.setattr("time.monotonic", lambda: stage.now)
        yield stage


def test_time_left_after_runs_that_went_on_from_checkpoints(stage: Stage, screen: io.StringIO) -> None:
    """Two runs of three had 3 of 4 epochs from checkpoints; the third will train alone for its 40 s."""
    for plan in stage.plans[:2]:
        for number in (1, 2, 3):
            stage.recorder.on_epoch(plan, replace(epoch(number), seconds=10.0))
    stage.now += 10
    for plan in stage.plans[:2]:
        stage.recorder.on_epoch(plan, replace(epoch(4), seconds=10.0))
        stage.recorder.on_end(plan, _made(plan, epochs=4))
    assert "so far, about 40 s left: " in screen.getvalue().splitlines()[-1]


def test_time_left_counts_the_epochs_of_runs_under_way(stage: Stage, screen: io.StringIO) -> None:
    """One of three is done, in 20 s; the second has done 15 of its 20 s: 25 s are left."""
    done, under_way, _ = stage.plans
    for plan, epochs in ((done, 4), (under_way, 3)):
        for number in range(1, epochs + 1):
            stage.now += 5
            stage.recorder.on_epoch(plan, replace(epoch(number), seconds=5.0))
        if plan is done:
            stage.recorder.on_end(plan, _made(plan, epochs=4))
    assert "so far, about 25 s left: " in screen.getvalue().splitlines()[-1]


def test_the_recorder_writes_runs_and_counts_them(tmp_path: Path, screen: io.StringIO) -> None:
    folder, plans = StudyFolder(tmp_path), PLANS
    folder.final.write(_made(plans[0], accuracy=0.8))
    with Progress(Screen(file=screen, width=200)) as progress:
        recorder = _recorder(folder, progress)
        begun = "Final runs: MobileNet-like (baseline) 1/3 (1 complete), mean test accuracy 80.0%, 2 epochs"
        assert _last_line(screen) == begun
        for number in (1, 2, 3):
            recorder.on_epoch(plans[1], epoch(number))
        assert "1/3 (1 running, 1 complete), mean test accuracy 80.0%, 5 epochs" in _last_line(screen)
        recorder.on_end(plans[1], _made(plans[1], accuracy=0.6, epochs=3, status="STOPPED_EARLY"))
        assert "2/3 (1 complete, 1 stopped early), mean test accuracy 70.0%, 5 epochs" in _last_line(screen)
        recorder.on_end(plans[2], FailedRun(plans[2], "out of memory"))
        assert "3/3 (1 complete, 1 stopped early, 1 failed), mean test accuracy 70.0%, 5 epochs" in _last_line(screen)
        recorder.finish()
    assert folder.final.numbers() == {"mobilenet-baseline": [0, 1]}
