"""The settings of a study and their presets."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_type_hints

from analysis.statistics.calls import LOOKS
from models.data import IMAGE_SIZE
from models.networks.hyperparameters import Value
from models.training.recipe import BATCH_SIZE, GRACE_STEPS, PATIENCE, TrainingConfig
from study.errors import BadInput
from study.settings.fields import plain_type, words

# These settings have no flag.
FILE_ONLY = ("recipe", "space", "networks")
# How the versions that lacked a setting trained. Their studies go on in the same way.
_FORMERLY: dict[str, Any] = {
    "kernels": "auto",
    "patience": 5,
    "grace_steps": 0,
    "batch_size": 128,
    "first_lrs": [],
    "track": [],
    "bit_depth": 16,
    "image_size": 32,
    "margin": 0.5,
    **dict.fromkeys(("margin_of_errors", "budget_hours", "max_parameters", "max_latency_ms", "wait")),
    **dict.fromkeys(("title", "group_by", "train_seed")),
    "duplicates": "keep",
    "test_share": 0.2,
    "test_seed": 0,
    **{name: {} for name in FILE_ONLY},
}


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
    seeds: int | Literal["auto"] = 10
    """Final runs of each configuration; fewer than 5 cannot show a difference. auto looks at 5, 10 and 20 and stops
    once every pair of networks is decided."""
    confirm: int = 3
    """Leading trials of each network that are run again on fresh seeds before one is chosen."""
    margin: float | None = None
    """A smaller difference in test accuracy does not matter to you, in percentage points from 0 to below 100 (none: the
    smaller of 0.5 and a tenth of the worse network's errors on validation images)."""
    margin_of_errors: float | None = None
    """The margin in percent of the worse network's errors on validation images (none: see --margin). If both are given,
    the smaller one counts."""
    budget_hours: float | None = None
    """Lower trials, confirm and seeds until the study ends within these hours on this machine's CPUs (none: do not)."""
    max_parameters: int | None = None
    """Try no configuration whose network has more parameters (none: any)."""
    max_latency_ms: float | None = None
    """Try no configuration whose network takes longer to predict one image on this machine (none: any)."""
    train_size: int | None = None
    """Keep this many training images, counted before the split, the classes in proportion (none: all)."""
    train_seed: int | None = None
    """The number that the choice of --train-size images depends on (none: --seed)."""
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
    wait: float | None = None
    """End the study if no run has a place on the cluster for these minutes (none: wait for ever)."""
    storage: str | None = None
    """Folder or URI that every node can reach, for checkpoints. A URI also takes a copy of the study, from which
    --resume goes on anywhere (none: the study's folder)."""
    track: tuple[str, ...] = ()
    """Show the study in tensorboard, mlflow or wandb, too; may be repeated (docs/trackers.md)."""
    baseline: bool = False
    """Train only the documented baselines, over seeds."""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    """Constants of training that differ from the documented recipe, the same for every network."""
    space: Mapping[str, Any] = field(default_factory=dict)
    """The range of each hyperparameter that is searched; it takes the place of SEARCH_SPACE as a whole."""
    networks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The table of each network that has one: factory, title, arguments, baseline, space, and so on."""

    @property
    def seed_range(self) -> tuple[int, int]:
        """Return the least and the most final runs of each configuration."""
        return (min(LOOKS), max(LOOKS)) if self.seeds == "auto" else (self.seeds, self.seeds)

    def training(self, values: Mapping[str, Value]) -> TrainingConfig:
        """Return the recipe of a run with these hyperparameters."""
        return TrainingConfig(values, self.max_epochs, self.patience, self.batch_size, self.grace_steps, **self.recipe)

    def to_json(self) -> dict[str, Any]:
        """Return the settings as study.json holds them."""
        values = {setting.name: getattr(self, setting.name) for setting in fields(self)}
        data_dir = None if self.data_dir is None else str(self.data_dir)
        lists = {name: list(value) for name, value in values.items() if isinstance(value, tuple)}
        return values | lists | {"data_dir": data_dir}

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
            tuples = {name: tuple(values[name]) for name in ("archs", "first_lrs", "track")}
            config = cls(**{**values, **tuples, "data_dir": data_dir})
            for name, kind in get_type_hints(cls).items():
                value = getattr(config, name)
                if named := words(kind):
                    kind = kind if value in named else plain_type(kind)
                if isinstance(kind, type | UnionType) and not isinstance(value, kind):
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


def take_in_factories(config: StudyConfig) -> StudyConfig:
    """Give each factory among `archs` a name of its own, under which `networks` keeps its import path.

    Raises:
        BadInput: if a word is neither a name nor an import path, or two networks have one name.
    """
    archs, networks = [], dict(config.networks)
    for word in config.archs:
        if ":" in word:
            module, _, name = word.partition(":")
            arch = name.lower()
            if not module or not arch.isidentifier():
                raise BadInput(f"--archs: {word!r} is no import path: write package.module:function")
            networks[arch] = {**networks.get(arch, {}), "factory": word}
        else:
            arch = word
        archs.append(arch)
    if twice := next((arch for arch in archs if archs.count(arch) > 1), None):
        raise BadInput(f"--archs names a network twice: {twice}")
    return replace(config, archs=tuple(archs), networks={arch: networks[arch] for arch in archs if arch in networks})
