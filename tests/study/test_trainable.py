"""Training with checkpoints: how often they are written, and that a run goes on from any of them."""

import time
from pathlib import Path
from typing import Any

import pytest

from models.training import TrainingConfig, TrainingRun
from study import trainable
from study.checkpoints import CheckpointStore
from study.trainable import train_with_checkpoints
from tests.builders import TOY, training_run

EPOCHS = 6


class Storage(CheckpointStore):
    """A folder that takes `seconds` to write a checkpoint.

    Attributes:
        saved: the epoch of each checkpoint written.
    """

    def __init__(self, folder: Path, seconds: float) -> None:
        super().__init__(str(folder))
        self.saved: list[int] = []
        self._seconds = seconds

    def save(self, run: str, state: dict[str, Any]) -> None:
        time.sleep(self._seconds)
        super().save(run, state)
        self.saved.append(len(state["history"]))


def _run() -> TrainingRun:
    return training_run(TOY, config=TrainingConfig(1e-2, 0.1, EPOCHS, patience=EPOCHS, batch_size=16))


def test_where_saving_takes_long_only_the_first_epoch_and_the_last_are_saved(tmp_path: Path) -> None:
    storage = Storage(tmp_path, seconds=0.5)
    rows = list(train_with_checkpoints(_run(), storage, "run"))
    assert [row.epoch for row in rows] == [1, 2, 3, 4, 5, 6]
    assert storage.saved == [1, EPOCHS]


def _lasting(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Lets an epoch take so much longer."""
    train_epoch = TrainingRun.train_epoch
    monkeypatch.setattr(TrainingRun, "train_epoch", lambda run: (time.sleep(seconds), train_epoch(run))[1])


def test_where_epochs_take_long_each_is_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _lasting(monkeypatch, 0.5)
    monkeypatch.setattr(trainable, "CHECKPOINT_SHARE", 1.0)
    storage = Storage(tmp_path, seconds=0.0)
    list(train_with_checkpoints(_run(), storage, "run"))
    assert storage.saved == [1, 2, 3, 4, 5, EPOCHS]


def test_no_checkpoint_grows_older_than_a_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _lasting(monkeypatch, 0.1)
    monkeypatch.setattr(trainable, "CHECKPOINT_SECONDS", 0.15)
    storage = Storage(tmp_path, seconds=0.3)
    list(train_with_checkpoints(_run(), storage, "run"))
    assert storage.saved == [1, 3, 5, EPOCHS]


def test_a_run_goes_on_from_an_older_checkpoint_as_if_nothing_had_happened(tmp_path: Path) -> None:
    straight = list(train_with_checkpoints(_run(), Storage(tmp_path / "straight", 0.0), "run"))
    cut_off = train_with_checkpoints(_run(), Storage(tmp_path / "cut", 0.5), "run")
    assert [next(cut_off).epoch for _ in range(4)] == [1, 2, 3, 4]
    cut_off.close()
    state = CheckpointStore(str(tmp_path / "cut")).load("run")
    assert state is not None and len(state["history"]) == 1
    resumed = list(train_with_checkpoints(_run(), Storage(tmp_path / "cut", 0.0), "run"))
    assert [(row.train_loss, row.val_loss) for row in resumed] == [(row.train_loss, row.val_loss) for row in straight]
