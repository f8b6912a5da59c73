"""The recipe of a training run, and the constants of the documented baseline."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from models.data import VALIDATION_FRACTION
from models.networks.hyperparameters import Value

# Raise it by 1 when a change of models/training makes equal seeds give other numbers than rounding explains: another
# optimizer, loss, schedule, initialisation, normalisation, order of the data or rule of early stopping.
RECIPE_VERSION = 1

BATCH_SIZE = 128
PATIENCE = 5
# At least 60 optimizer steps come before patience ends a run and before a rung stops a trial. A network on few images
# takes that many before its validation loss falls (benchmarks/RESULTS.md).
GRACE_STEPS = 60
# For batches of BATCH_SIZE images.
BASELINE_LEARNING_RATE = 1e-3
# The hyperparameters that the training loop reads.
OF_TRAINING = ("lr", "weight_decay", "momentum", "label_smoothing")


@dataclass(frozen=True)
class TrainingConfig:
    """Holds the recipe of one run.

    Attributes:
        values: the hyperparameters by name, among them `lr`. A name of OF_TRAINING takes the place of the constant
            below; the others belong to the network.
        max_epochs: cap on the epochs, at least 1.
        patience: the run stops after this many epochs without a lower validation loss, at least 1.
        batch_size: images a step, at least 1; the last step of an epoch takes the images that are left.
        grace_steps: patience ends no run before this many optimizer steps, at least 0. A new study has GRACE_STEPS. The
            default is the rule of older studies, whose checkpoints do not name it.
        optimizer: adam (Kingma and Ba, 2015), adamw (Loshchilov and Hutter, 2019) or sgd.
        momentum: a number in [0, 1); sgd alone has it.
        nesterov: true takes Nesterov's momentum with sgd.
        weight_decay: at least 0; adamw decouples it from the gradient, adam and sgd add it to the gradient.
        label_smoothing: share of the target spread over all classes, in [0, 1); the validation loss has none.
        schedule: constant, or cosine (Loshchilov and Hutter, 2017): from the learning rate down to 0 at `max_epochs`.
        warmup_epochs: the learning rate grows linearly to its value over this many epochs, at least 0.
        augment: none, flip (left to right, with probability 1/2) or flip_crop (flip, then a crop of the image padded
            by an eighth of its side with the mean of each channel).
    """

    values: Mapping[str, Value] = field(hash=False)
    max_epochs: int
    patience: int = PATIENCE
    batch_size: int = BATCH_SIZE
    grace_steps: int = 0
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_epochs: int = 0
    augment: Literal["none", "flip", "flip_crop"] = "none"

    @property
    def lr(self) -> float:
        """Return the learning rate, positive; a schedule's highest."""
        return float(self.values["lr"])

    def constant(self, name: str) -> float:
        """Return the value in force of a number that can also be searched: weight decay, momentum, label smoothing."""
        return float(self.values.get(name, getattr(self, name)))

    @property
    def is_capturable(self) -> bool:
        """Return whether every step of a full batch is the same to a GPU: Adam at a constant rate on unchanged images.

        Only such steps have been captured as CUDA graphs and measured.
        """
        return (
            self.optimizer == "adam"
            and self.schedule == "constant"
            and self.warmup_epochs == 0
            and self.augment == "none"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the recipe as a checkpoint keeps it: the hyperparameters beside the constants.

        A constant that the documented recipe shares is left out, except those that every version had.
        """
        rest = {"max_epochs": self.max_epochs, "patience": self.patience, "batch_size": self.batch_size}
        others = {
            constant.name: value
            for constant in fields(self)
            if constant.name not in ("values", *rest) and (value := getattr(self, constant.name)) != constant.default
        }
        return {**others, **self.values, **rest}


# The constants that a study may choose, the same for all of its networks.
CONSTANTS = tuple(constant.name for constant in fields(TrainingConfig) if constant.name not in ("values", "max_epochs"))


def baseline_values(documented: Mapping[str, Value], batch_size: int = BATCH_SIZE) -> dict[str, Value]:
    """Return the hyperparameters of a baseline, given those that its documentation names.

    A learning rate that is not named is the documented one; for other batch sizes it follows the square-root rule for
    Adam (Malladi et al., 2022).
    """
    return {"lr": BASELINE_LEARNING_RATE * math.sqrt(batch_size / BATCH_SIZE), **documented}


def steps_per_epoch(n_train: int, batch_size: int) -> int:
    """Return the optimizer steps of an epoch of the search, given the number of training images before the split."""
    return math.ceil((n_train - round(VALIDATION_FRACTION * n_train)) / batch_size)
