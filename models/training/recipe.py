"""The recipe of a training run, and the constants of the documented baseline."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from models.data import VALIDATION_FRACTION

# Raise it by 1 when a change of models/training makes equal seeds give other numbers than rounding explains: another
# optimizer, loss, schedule, initialisation, normalisation, order of the data or rule of early stopping.
RECIPE_VERSION = 1

BATCH_SIZE = 128
PATIENCE = 5
# For batches of BATCH_SIZE images.
BASELINE_LEARNING_RATE = 1e-3
# The hyperparameters that the training loop reads.
HYPERPARAMETERS = ("lr", "dropout")

Value = float | int | str
"""A hyperparameter's value: a number, or the name of a category."""


@dataclass(frozen=True)
class TrainingConfig:
    """Holds the recipe of one run.

    Attributes:
        values: the hyperparameters by name, among them `lr` and `dropout`.
        max_epochs: cap on the epochs, at least 1.
        patience: the run stops after this many epochs without a lower validation loss, at least 1.
        batch_size: images a step, at least 1; the last step of an epoch takes the images that are left.
    """

    values: Mapping[str, Value] = field(hash=False)
    max_epochs: int
    patience: int = PATIENCE
    batch_size: int = BATCH_SIZE

    @property
    def lr(self) -> float:
        """Return the learning rate of Adam (Kingma and Ba, 2015), positive."""
        return float(self.values["lr"])

    @property
    def dropout(self) -> float:
        """Return the probability in [0, 1) of zeroing a unit."""
        return float(self.values["dropout"])

    def to_json(self) -> dict[str, Any]:
        """Return the recipe as a checkpoint keeps it: the hyperparameters beside the rest."""
        rest = {"max_epochs": self.max_epochs, "patience": self.patience, "batch_size": self.batch_size}
        return {**self.values, **rest}


def baseline_recipe(
    dropout: float, max_epochs: int, patience: int = PATIENCE, batch_size: int = BATCH_SIZE
) -> TrainingConfig:
    """Return the documented recipe of a network, given its documented dropout.

    The learning rate of other batch sizes follows the square-root rule for Adam (Malladi et al., 2022).
    """
    lr = BASELINE_LEARNING_RATE * math.sqrt(batch_size / BATCH_SIZE)
    return TrainingConfig({"lr": lr, "dropout": dropout}, max_epochs, patience, batch_size)


def steps_per_epoch(n_train: int, batch_size: int) -> int:
    """Return the optimizer steps of an epoch of the search, given the number of training images before the split."""
    return math.ceil((n_train - round(VALIDATION_FRACTION * n_train)) / batch_size)
