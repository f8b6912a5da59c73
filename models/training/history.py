"""The history of a training run: one result an epoch, its best epoch, and how the run ended."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from models.training.recipe import TrainingConfig

Outcome = Literal["COMPLETE", "STOPPED_EARLY", "DIVERGED"]


@dataclass(frozen=True)
class EpochResult:
    """Holds the result of one epoch.

    Attributes:
        epoch: counts from 1.
        train_loss: mean cross-entropy in nats an image; infinite or NaN in the last epoch of a run that diverges.
        val_loss: as `train_loss`, on the validation images.
        val_accuracy: fraction in [0, 1].
        seconds: duration of the training pass.
        validation_seconds: duration of the validation pass; 0 if it was not measured.
        train_accuracy: fraction in [0, 1] of the training images, each counted in its step of the epoch, so with
            dropout on; None in a result of an older version.
    """

    epoch: int
    train_loss: float
    val_loss: float
    val_accuracy: float
    seconds: float
    validation_seconds: float = 0.0
    train_accuracy: float | None = None

    @property
    def is_finite(self) -> bool:
        """Return whether both losses are finite."""
        return math.isfinite(self.train_loss) and math.isfinite(self.val_loss)

    def is_same_as(self, other: "EpochResult") -> bool:
        """Return whether the losses and the validation accuracy are equal, to the bit."""
        mine, theirs = ((row.epoch, row.train_loss, row.val_loss, row.val_accuracy) for row in (self, other))
        return np.array_equal(mine, theirs, equal_nan=True)


def best_epoch(history: list[EpochResult]) -> EpochResult | None:
    """Return the epoch of lowest validation loss, the earliest of equals, among the finite ones; None without one."""
    return min((row for row in history if row.is_finite), key=lambda row: row.val_loss, default=None)


def outcome_of(history: list[EpochResult], config: TrainingConfig, steps_per_epoch: float = math.inf) -> Outcome | None:
    """Return how a run with this history ended; None if it can go on.

    Args:
        history: its epochs in order.
        config: its recipe.
        steps_per_epoch: optimizer steps. Patience ends no run before `config.grace_steps` of them; infinite if an epoch
            always has enough.
    """
    if not history:
        return None
    last, best = history[-1], best_epoch(history)
    if not last.is_finite or best is None:
        return "DIVERGED"
    if last.epoch >= config.max_epochs:
        return "COMPLETE"
    if last.epoch - best.epoch >= config.patience and last.epoch * steps_per_epoch >= config.grace_steps:
        return "STOPPED_EARLY"
    return None
