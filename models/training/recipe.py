"""The recipe of a training run, and the constants of the documented baseline."""

import math
from dataclasses import dataclass

from models.data import VALIDATION_FRACTION

# Raise it by 1 when a change of models/training makes equal seeds give other numbers than rounding explains: another
# optimizer, loss, schedule, initialisation, normalisation, order of the data or rule of early stopping.
RECIPE_VERSION = 1

BATCH_SIZE = 128
PATIENCE = 5
BASELINE_LEARNING_RATE = 1e-3


@dataclass(frozen=True)
class TrainingConfig:
    """Holds the recipe of one run.

    Attributes:
        lr: learning rate of Adam (Kingma and Ba, 2015), positive.
        dropout: probability in [0, 1) of zeroing a unit.
        max_epochs: cap on the epochs, at least 1.
        patience: the run stops after this many epochs without a lower validation loss, at least 1.
        batch_size: images a step, at least 1; the last step of an epoch takes the images that are left.
    """

    lr: float
    dropout: float
    max_epochs: int
    patience: int = PATIENCE
    batch_size: int = BATCH_SIZE


def steps_per_epoch(n_train: int) -> int:
    """Return the optimizer steps of an epoch of the search, given the number of training images before the split."""
    return math.ceil((n_train - round(VALIDATION_FRACTION * n_train)) / BATCH_SIZE)
