"""The settings of a study, their presets, and the checks that need no data."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_type_hints

from models.data import IMAGE_SIZE, LARGEST_IMAGE, SMALLEST_IMAGE
from models.networks.hyperparameters import Value
from models.training.recipe import BATCH_SIZE, GRACE_STEPS, PATIENCE, TrainingConfig
from study.errors import BadInput, unknown

# A run asks for at least 0.001 of a processor or a GPU, because Ray counts no finer share.
LEAST_SHARE = 0.001
# At most this many epochs: a higher cap is a typing error.
MOST_EPOCHS = 1_000_000
# How the versions that lacked a setting trained. Their studies go on in the same way.
_FORMERLY: dict[str, Any] = {
    "kernels": "auto",
    "patience": 5,
    "grace_steps": 0,
    "batch_size": 128,
    "first_lrs": [],
    "bit_depth": 16,
    "image_size": 32,
    "margin": 0.5,
    **dict.fromkeys(("budget_hours", "max_parameters", "max_latency_ms", "title", "group_by")),
    "duplicates": "keep",
    "test_share": 0.2,
    "test_seed": 0,
    **{table: {} for table in ("recipe", "space", "networks")},
}
# These settings have no flag.
FILE_ONLY = ("recipe", "space", "networks")


@dataclass(frozen=True)
class StudyConfig:
    """Holds the settings of a study. A setting that is None is worked out from the machine or the data.

    The line under a setting is its help on the command line.
    """

    preset: Literal["full", "laptop", "quick"] = "full"
    """full (CIFAR-10 and the defaults below), laptop (CIFAR-10, 5000 images, 8 trials, 12 epochs, 5 seeds) or quick
    (digits, 260 images, 2 trials, 32 epochs, 5 seeds, batches of 16)"""
    dataset: str = "cifar10"
    """cifar10 (downloaded once), digits (comes with scikit-learn), folder (your own images), torchvision:NAME such as
    torchvision:FashionMNIST (downloaded once), or package.module:function (arrays that your function returns)."""
    data_dir: Path | None = None
    """Folder with train/<class>/* and test/<class>/*, or <class>/* alone, an .npz file of arrays, or the folder that
    keeps downloads (none: the user's cache)."""
    title: str | None = None
    """Name of the data set in the report (none: the folder's name)."""
    test_share: float = 0.2
    """Share of the images that become the test set if the folder has no train/ and test/."""
    test_seed: int = 0
    """The number that this choice of test images depends on; --seed does not change it."""
    group_by: str | None = None
    """Regular expression over file names; images of the same first bracket stay on one side of that choice."""
    duplicates: Literal["drop", "keep", "refuse"] = "drop"
    """drop (leave training images out that are also in the test set), keep, or refuse; for your own images."""
    bit_depth: int | None = None
    """Bits of the values in 16-bit images, 8 to 16 (none: as many as their largest value needs)."""
    image_size: int = IMAGE_SIZE
    """Pixels of a side that every image is scaled to, 8 to 224, for networks that take it."""
    trials: int = 32
    """Configurations tried for each network."""
    max_epochs: int = 50
    """Cap on the epochs of every training run."""
    patience: int = PATIENCE
    """A run stops after this many epochs without a lower validation loss."""
    grace_steps: int = GRACE_STEPS
    """Patience ends no run before this many optimizer steps."""
    batch_size: int = BATCH_SIZE
    """Images a step; the baselines' learning rate grows with its square root."""
    first_lrs: tuple[float, ...] = ()
    """Learning rates that every network tries right after its baseline, with the baseline's dropout, as far as its
    trials reach."""
    seeds: int = 10
    """Final runs of each configuration; fewer than 5 cannot show a difference."""
    confirm: int = 3
    """Leading trials of each network that are run again on fresh seeds before one is chosen."""
    margin: float = 0.5
    """A smaller difference in test accuracy, in percentage points, does not matter to you; 0 to below 100."""
    budget_hours: float | None = None
    """Lower trials, confirm and seeds until the study ends within these hours on this machine's CPUs (none: do not)."""
    max_parameters: int | None = None
    """Try no configuration whose network has more parameters (none: any)."""
    max_latency_ms: float | None = None
    """Try no configuration whose network takes longer to predict one image on this machine (none: any)."""
    train_size: int | None = None
    """Keep this many training images, counted before the split, the classes in proportion (none: all)."""
    archs: tuple[str, ...] = ("alexnet", "mobilenet")
    """The networks to compare: alexnet, mobilenet, or a factory of your own such as torchvision.models:resnet18."""
    seed: int = 0
    """The number that everything random depends on."""
    precision: str = "auto"
    """auto, fp32 or bf16; auto is bf16 where the hardware is fast at it."""
    kernels: Literal["auto", "off"] = "auto"
    """auto (use this project's fast code if it first agrees with torch's layers) or off (torch's layers everywhere)."""
    cpus_per_trial: float | None = None
    """CPUs, and so torch threads, of each training run (none: 1, beside a GPU up to 4, less for many at a time)."""
    gpus_per_trial: float | None = None
    """Share of a GPU that each training run takes (none: a quarter if there is a GPU, less for many at a time)."""
    concurrency: int | None = None
    """Training runs at a time, as far as they fit (none: as many as processors, memory and GPUs allow)."""
    address: str | None = None
    """Join the Ray cluster at this address, auto for the cluster of this machine (none: this machine alone)."""
    storage: str | None = None
    """Folder or URI that every node can reach, for checkpoints (none: the study's folder)."""
    baseline: bool = False
    """Train only the documented baselines, over seeds."""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    """Constants of training that differ from the documented recipe, the same for every network."""
    space: Mapping[str, Any] = field(default_factory=dict)
    """The range of each hyperparameter that is searched; it takes the place of SEARCH_SPACE as a whole."""
    networks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The table of each network that has one: factory, title, arguments, baseline, space, and so on."""

    def training(self, values: Mapping[str, Value]) -> TrainingConfig:
        """Return the recipe of a run with these hyperparameters."""
        return TrainingConfig(values, self.max_epochs, self.patience, self.batch_size, self.grace_steps, **self.recipe)

    def to_json(self) -> dict[str, Any]:
        """Return the settings as study.json holds them."""
        values = {setting.name: getattr(self, setting.name) for setting in fields(self)}
        data_dir = None if self.data_dir is None else str(self.data_dir)
        return values | {"data_dir": data_dir, "archs": list(self.archs), "first_lrs": list(self.first_lrs)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "StudyConfig":
        """Return the settings that study.json holds.

        Raises:
            BadInput: if one is missing, unknown or of another type. A default could start training that nobody asked
                for.
        """
        try:
            values = _FORMERLY | values
            names = {setting.name for setting in fields(cls)}
            if lacking := names - values.keys():
                raise BadInput(f"its settings lack {', '.join(sorted(lacking))}")
            if others := values.keys() - names:
                raise BadInput(f"this version does not know its setting {', '.join(sorted(others))}")
            data_dir = None if values["data_dir"] is None else Path(values["data_dir"])
            archs, first_lrs = tuple(values["archs"]), tuple(values["first_lrs"])
            config = cls(**{**values, "data_dir": data_dir, "archs": archs, "first_lrs": first_lrs})
            for name, kind in get_type_hints(cls).items():
                is_plain = isinstance(kind, type | UnionType)
                if is_plain and not isinstance(value := getattr(config, name), kind):
                    raise TypeError(f"{name} is {value!r}")
            return config
        except (KeyError, TypeError) as error:
            raise BadInput(f"its settings cannot be read ({error})") from error


PRESETS = {
    "full": StudyConfig(),
    "laptop": StudyConfig(preset="laptop", trials=8, max_epochs=12, seeds=5, train_size=5000),
    "quick": StudyConfig(
        preset="quick",
        dataset="digits",
        trials=2,
        max_epochs=32,
        patience=3,
        batch_size=16,
        first_lrs=(3e-3,),
        seeds=5,
        confirm=0,
        train_size=260,
    ),
}

# The words that a setting may have.
CHOICES = {
    "preset": tuple(PRESETS),
    "dataset": ("cifar10", "digits", "folder"),
    "duplicates": ("drop", "keep", "refuse"),
    "precision": ("auto", "fp32", "bf16"),
    "kernels": ("auto", "off"),
}


def check(config: StudyConfig) -> None:
    """Raises BadInput for a setting that no data, network or machine can make valid."""
    if not config.archs:
        raise BadInput("--archs needs at least one network")
    for flag, value, least in (
        ("--trials", config.trials, 1),
        ("--max-epochs", config.max_epochs, 1),
        ("--patience", config.patience, 1),
        ("--grace-steps", config.grace_steps, 0),
        ("--batch-size", config.batch_size, 1),
        ("--seeds", config.seeds, 1),
        ("--train-size", config.train_size, 1),
        ("--max-parameters", config.max_parameters, 1),
        ("--concurrency", config.concurrency, 1),
        ("--seed", config.seed, 0),
        ("--test-seed", config.test_seed, 0),
        ("--confirm", config.confirm, 0),
    ):
        if value is not None and value < least:
            raise BadInput(f"{flag} must be at least {least}, not {value}")
    if config.bit_depth is not None and not 8 <= config.bit_depth <= 16:
        raise BadInput(f"--bit-depth must be from 8 to 16, not {config.bit_depth}")
    if not SMALLEST_IMAGE <= config.image_size <= LARGEST_IMAGE:
        raise BadInput(f"--image-size must be from {SMALLEST_IMAGE} to {LARGEST_IMAGE}, not {config.image_size}")
    positive = [("--max-latency-ms", config.max_latency_ms), ("--budget-hours", config.budget_hours)]
    for name, number in [*positive, *(("--first-lrs", lr) for lr in config.first_lrs)]:
        if number is not None and not 0 < number < math.inf:
            raise BadInput(f"{name} must be positive, not {number}")
    if not 0 < config.test_share < 1:
        raise BadInput(f"--test-share must be between 0 and 1, not {config.test_share}")
    if not 0 <= config.margin < 100:
        raise BadInput(f"--margin must be from 0 to below 100 percentage points, not {config.margin:g}")
    if config.max_epochs > MOST_EPOCHS:
        raise BadInput(f"--max-epochs must be at most {MOST_EPOCHS}, not {config.max_epochs}")
    if config.cpus_per_trial is not None and not LEAST_SHARE <= config.cpus_per_trial < math.inf:
        raise BadInput(f"--cpus-per-trial must be at least {LEAST_SHARE}, not {config.cpus_per_trial}")
    if config.gpus_per_trial and not LEAST_SHARE <= config.gpus_per_trial < math.inf:
        raise BadInput(f"--gpus-per-trial must be 0 or at least {LEAST_SHARE}, not {config.gpus_per_trial}")
    for name, known in CHOICES.items():
        value = getattr(config, name)
        if value not in known and not (name == "dataset" and ":" in value):
            kinds = {"dataset": "data set", "kernels": "choice of kernels", "duplicates": "choice of duplicates"}
            raise BadInput(unknown(kinds.get(name, name), value, known))


def take_in_factories(config: StudyConfig) -> StudyConfig:
    """Give each factory among `archs` a name of its own, under which `networks` keeps its import path.

    Raises:
        BadInput: if a word is neither a name nor an import path, or two networks have one name.
    """
    archs, networks = [], dict(config.networks)
    for word in config.archs:
        if ":" in word:
            arch = word.rpartition(":")[2].lower()
            if not arch.isidentifier():
                raise BadInput(f"--archs: {word!r} is no import path: write package.module:function")
            networks[arch] = {**networks.get(arch, {}), "factory": word}
        else:
            arch = word
        archs.append(arch)
    if twice := next((arch for arch in archs if archs.count(arch) > 1), None):
        raise BadInput(f"--archs names a network twice: {twice}")
    return replace(config, archs=tuple(archs), networks={arch: networks[arch] for arch in archs if arch in networks})
