"""Training with checkpoints: how often they are written, and that a run goes on from any of them."""

from pathlib import Path
from typing import Any

import pytest

from models.training.loop import TrainingRun
from models.training.recipe import TrainingConfig
from study.cluster import worker
from study.cluster.worker import train_with_checkpoints
from study.storage.checkpoints import CheckpointStore
from tests.builders import TOY, training_run

EPOCHS = 6


class Clock:
    """Stands still until `wait` moves it on."""

    def __init__(self) -> None:
        self.now = 0.0

    def wait(self, seconds: float) -> None:
        self.now += seconds


class Storage(CheckpointStore):
    """A folder that takes `seconds` of the clock to write a checkpoint.

    Attributes:
        saved: the epoch of each checkpoint written.
    """

    def __init__(self, folder: Path, clock: Clock, seconds: float) -> None:
        super().__init__(str(folder))
        self.saved: list[int] = []
        self._clock = clock
        self._seconds = seconds

    def save(self, run: str, state: dict[str, Any]) -> None:
        self._clock.wait(self._seconds)
        super().save(run, state)
        self.saved.append(len(state["history"]))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Replaces the clock of the training; an epoch takes one second."""
    clock = Clock()
    train_epoch = TrainingRun.train_epoch
    monkeypatch.setattr(TrainingRun, "train_epoch", lambda run: (clock.wait(1.0), train_epoch(run))[1])
    monkeypatch.setattr(worker, "monotonic", lambda: clock.now)
    return clock


def _run() -> TrainingRun:
    return training_run(
        TOY, config=TrainingConfig({"lr": 1e-2, "dropout": 0.1}, EPOCHS, patience=EPOCHS, batch_size=16)
    )


@pytest.mark.parametrize(
    ("seconds_to_save", "saved"),
    [
        (0.0, [1, 2, 3, 4, 5, 6]),
        (0.009, [1, 2, 3, 4, 5, 6]),
        (0.011, [1, 3, 5, 6]),
        (0.039, [1, 5, 6]),
        (0.5, [1, 6]),
    ],
)
def test_checkpoints_take_a_hundredth_of_the_time(
    tmp_path: Path, clock: Clock, seconds_to_save: float, saved: list[int]
) -> None:
    storage = Storage(tmp_path, clock, seconds_to_save)
    rows = list(train_with_checkpoints(_run(), storage, "run"))
    assert [row.epoch for row in rows] == [1, 2, 3, 4, 5, 6]
    assert storage.saved == saved


def test_no_checkpoint_grows_older_than_a_minute(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    train_epoch = TrainingRun.train_epoch
    monkeypatch.setattr(TrainingRun, "train_epoch", lambda run: (clock.wait(29.5), train_epoch(run))[1])
    storage = Storage(tmp_path, clock, seconds=3.0)
    list(train_with_checkpoints(_run(), storage, "run"))
    assert storage.saved == [1, 3, 5, 6]


def test_a_run_goes_on_from_an_older_checkpoint_as_if_nothing_had_happened(tmp_path: Path, clock: Clock) -> None:
    straight = list(train_with_checkpoints(_run(), Storage(tmp_path / "straight", clock, 0.0), "run"))
    cut_off = train_with_checkpoints(_run(), Storage(tmp_path / "cut", clock, 0.5), "run")
    assert [next(cut_off).epoch for _ in range(4)] == [1, 2, 3, 4]
    cut_off.close()
    state = CheckpointStore(str(tmp_path / "cut")).load("run")
    assert state is not None and len(state["history"]) == 1
    resumed = list(train_with_checkpoints(_run(), Storage(tmp_path / "cut", clock, 0.0), "run"))
    assert [(row.train_loss, row.val_loss) for row in resumed] == [(row.train_loss, row.val_loss) for row in straight]
