"""What a study is asked to do: its presets, and the checks that need no data."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_type_hints

from models.networks.registry import ARCHITECTURES
from models.training.recipe import HYPERPARAMETERS, TrainingConfig, Value, baseline_recipe
from study.errors import BadInput

# The finest share of a processor or a GPU that a run may ask for.
LEAST_SHARE = 0.001
MOST_EPOCHS = 1_000_000


@dataclass(frozen=True)
class StudyConfig:
    """A study's settings; those that are None are worked out from the machine or the data.

    Attributes:
        dataset: cifar10, digits or folder.
        data_dir: where the data set lies, or is kept.
        trials: configurations tried for each architecture.
        max_epochs: cap on the epochs of every training run.
        seeds: final runs of each configuration.
        confirm: leading trials of each architecture that are run again on fresh seeds before one is chosen.
        train_size: stratified number of training images to keep, counted before the split; all if None.
        archs: names of the networks to compare.
        seed: the number that everything random depends on.
        precision: number format of matrix products.
        cpus_per_trial: CPUs, and so torch threads, of a training run.
        gpus_per_trial: share of a GPU that a training run takes.
        concurrency: training runs at a time.
        address: address of a Ray cluster to join; a local one is started if None.
        storage: URI or shared folder for checkpoints; the study folder if None.
        baseline: train only the documented baselines.
    """

    preset: Literal["full", "quick"] = "full"
    dataset: str = "cifar10"
    data_dir: Path | None = None
    trials: int = 32
    max_epochs: int = 50
    seeds: int = 10
    confirm: int = 3
    train_size: int | None = None
    archs: tuple[str, ...] = ("alexnet", "mobilenet")
    seed: int = 0
    precision: str = "auto"
    cpus_per_trial: float | None = None
    gpus_per_trial: float | None = None
    concurrency: int | None = None
    address: str | None = None
    storage: str | None = None
    baseline: bool = False

    def training(self, values: Mapping[str, Value]) -> TrainingConfig:
        """Return the recipe of a run with these hyperparameters."""
        return TrainingConfig(values, self.max_epochs)

    def baseline_training(self, arch: str) -> TrainingConfig:
        """The documented baseline of an architecture, at this study's cap on epochs."""
        return baseline_recipe(ARCHITECTURES[arch].baseline_dropout, self.max_epochs)

    def to_json(self) -> dict[str, Any]:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return values | {"data_dir": None if self.data_dir is None else str(self.data_dir), "archs": list(self.archs)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "StudyConfig":
        """Raises BadInput if the values are not those of a configuration."""
        try:
            data_dir, archs = values["data_dir"], tuple(values["archs"])
            config = cls(**{**values, "data_dir": None if data_dir is None else Path(data_dir), "archs": archs})
            for name, kind in get_type_hints(cls).items():
                is_plain = isinstance(kind, type | UnionType)
                if is_plain and not isinstance(value := getattr(config, name), kind):
                    raise TypeError(f"{name} is {value!r}")
            return config
        except (KeyError, TypeError) as error:
            raise BadInput(f"study.json holds no configuration of this version: {error}") from error


PRESETS = {
    "full": StudyConfig(),
    "quick": StudyConfig(preset="quick", dataset="digits", trials=6, max_epochs=6, seeds=5, train_size=900, confirm=0),
}


def check(config: StudyConfig) -> None:
    """Raises BadInput for what is wrong whatever the data and the machine are."""
    _check_archs(config.archs)
    for flag, value, least in (
        ("--trials", config.trials, 1),
        ("--max-epochs", config.max_epochs, 1),
        ("--seeds", config.seeds, 1),
        ("--train-size", config.train_size, 1),
        ("--concurrency", config.concurrency, 1),
        ("--seed", config.seed, 0),
        ("--confirm", config.confirm, 0),
    ):
        if value is not None and value < least:
            raise BadInput(f"{flag} must be at least {least}, not {value}")
    if config.max_epochs > MOST_EPOCHS:
        raise BadInput(f"--max-epochs must be at most {MOST_EPOCHS}, not {config.max_epochs}")
    if config.cpus_per_trial is not None and not _is_share(config.cpus_per_trial):
        raise BadInput(f"--cpus-per-trial must be at least {LEAST_SHARE}, not {config.cpus_per_trial}")
    if config.gpus_per_trial is not None and config.gpus_per_trial != 0 and not _is_share(config.gpus_per_trial):
        raise BadInput(f"--gpus-per-trial must be 0 or at least {LEAST_SHARE}, not {config.gpus_per_trial}")
    if config.precision not in ("auto", "fp32", "bf16"):
        raise BadInput(f"--precision {config.precision!r} is none of auto, fp32, bf16")


def _is_share(share: float) -> bool:
    return math.isfinite(share) and share >= LEAST_SHARE


def _check_archs(archs: tuple[str, ...]) -> None:
    # Imported here, because every worker imports this module and none needs Optuna.
    from study.settings.search_space import SEARCH_SPACE

    if set(SEARCH_SPACE.ranges) != set(HYPERPARAMETERS):
        found, read = ", ".join(SEARCH_SPACE.ranges), ", ".join(HYPERPARAMETERS)
        raise BadInput(f"the search space has {found}; give it those that the training loop reads: {read}")
    if not archs:
        raise BadInput("--archs needs at least one architecture")
    for arch in archs:
        if arch not in ARCHITECTURES:
            raise BadInput(f"unknown architecture {arch!r}: choose from {', '.join(ARCHITECTURES)}")
        for name, value in baseline_recipe(ARCHITECTURES[arch].baseline_dropout, 1).values.items():
            if not SEARCH_SPACE.holds(name, value):
                ends = SEARCH_SPACE.to_json()[name]
                raise BadInput(
                    f"the baseline {name} of {arch!r}, {value}, lies outside the range of the search: {ends}"
                )
    if len(set(archs)) < len(archs):
        raise BadInput(f"--archs names an architecture twice: {' '.join(archs)}")
