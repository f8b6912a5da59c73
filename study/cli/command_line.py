"""The command line of `python -m study.run`."""

import contextlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from tyro.constructors import PrimitiveConstructorSpec

from study.errors import BadInput
from study.settings.config import PRESETS, StudyConfig


def _optional(kind: Callable[[str], Any], metavar: str) -> PrimitiveConstructorSpec[Any]:
    """A flag without a default, whose help and errors say INT rather than "None or INT"."""
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=lambda texts: kind(texts[0]),
        is_instance=lambda value: True,
        str_from_instance=lambda value: ["none" if value is None else str(value)],
    )


def _or_none(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda text: None if text == "none" else kind(text)


OptionalInt = Annotated[int | None, _optional(_or_none(int), "INT")]
OptionalFloat = Annotated[float | None, _optional(_or_none(float), "FLOAT")]
OptionalStr = Annotated[str | None, _optional(_or_none(str), "STR")]
OptionalPath = Annotated[Path | None, _optional(_or_none(Path), "PATH")]
OptionalName = Annotated[str | None, _optional(str, "STR")]


@dataclass(frozen=True)
class Options:
    """Which of these networks should you use? Tunes each with the same budget, retrains the best over seeds, compares.

    Any flag overrides its preset.
    """

    preset: Literal["full", "quick"] = "full"
    """full: CIFAR-10 and the defaults below. quick: digits, 900 images, 6 trials, 6 epochs, 5 seeds, --confirm 0."""
    dataset: str = "cifar10"
    """cifar10 (downloaded once), digits (comes with scikit-learn), or folder (your own images)."""
    data_dir: OptionalPath = None
    """folder: holds train/<class>/* and test/<class>/*. cifar10: where it is kept (none: the user's cache)."""
    trials: int = 32
    """Configurations tried for each network."""
    max_epochs: int = 50
    """Cap on the epochs of every training run."""
    seeds: int = 10
    """Final runs of each configuration; fewer than 5 cannot show a difference."""
    confirm: int = 3
    """Leading trials of each network that are run again on fresh seeds before one is chosen."""
    train_size: OptionalInt = None
    """Keep this many training images, the classes in proportion (counted before the split)."""
    archs: tuple[str, ...] = ("alexnet", "mobilenet")
    """The networks to compare, by their names in models/registry.py."""
    seed: int = 0
    """The number that everything random depends on."""
    precision: str = "auto"
    """auto, fp32 or bf16; auto is bf16 where the hardware is fast at it."""
    kernels: Literal["auto", "off"] = "auto"
    """auto: use this project's fast code where it first agrees with torch's layers. off: torch's layers everywhere."""
    cpus_per_trial: OptionalFloat = None
    """CPUs, and so torch threads, of each training run (none: 1, beside a GPU up to 4; less for many at a time)."""
    gpus_per_trial: OptionalFloat = None
    """Share of a GPU that each training run takes (none: a quarter, if there is one; less for many at a time)."""
    concurrency: OptionalInt = None
    """Training runs at a time, as far as they fit (none: as many as processors, memory and GPUs allow)."""
    address: OptionalStr = None
    """Join the Ray cluster at this address (auto: the one this machine is part of; none: this machine alone)."""
    storage: OptionalStr = None
    """Folder or URI that every node can reach, for checkpoints (none: the study's folder)."""
    baseline: bool = False
    """Train only the documented baselines, over seeds."""
    results_dir: Path = Path("results")
    """Where studies are kept."""
    name: OptionalName = None
    """Name of the study's folder; <dataset>-<date>-<time> if not given."""
    resume: bool = False
    """Go on with the study of this --name, or the newest; --seeds may grow, --concurrency, --address and
    --data-dir may change."""

    def config(self) -> StudyConfig:
        """The part of the options that defines the study."""
        return StudyConfig(**{field.name: getattr(self, field.name) for field in fields(StudyConfig)})


def parse(arguments: Sequence[str], base: StudyConfig | None = None) -> Options:
    """Reads the command line.

    Args:
        base: values of the flags that are not given; those of the chosen preset if None.

    Raises:
        BadInput: for an unknown flag or an unreadable value.
        SystemExit: with status 0 after --help.
    """
    if base is None:
        base = PRESETS[_parse(arguments, Options()).preset]
    return _parse(arguments, Options(**{field.name: getattr(base, field.name) for field in fields(base)}))


def _parse(arguments: Sequence[str], default: Options) -> Options:
    printed = io.StringIO()
    try:
        with contextlib.redirect_stderr(printed):
            return tyro.cli(
                Options,
                args=list(arguments),
                default=default,
                prog="python -m study.run",
                config=(tyro.conf.FlagCreatePairsOff, tyro.conf.OmitArgPrefixes),
            )
    except SystemExit as exit_:
        if exit_.code in (0, None):
            raise
        raise BadInput(_one_line(printed.getvalue())) from None


def _one_line(panel: str) -> str:
    """The message of tyro's error panel, without its frame and its pointers to the help."""
    words: list[str] = []
    for line in panel.splitlines():
        text = line.strip("│ ")
        if text.startswith("─"):
            break
        if not text.startswith(("╭", "╰")):
            words += text.split()
    return " ".join(words) or "the command line cannot be read"
