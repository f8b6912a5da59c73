"""The command line of `python -m study.run`.

It imports neither torch nor Ray: help and errors come at once.
"""

import contextlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, get_args

import tyro
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from study import __version__
from study.errors import BadInput
from study.settings.config import PRESETS, StudyConfig, check

_REGISTRY = ConstructorRegistry()


def _optional(kind: type, read: Callable[[str], Any]) -> PrimitiveConstructorSpec[Any]:
    """Return the rule for a value that may be None. Help and errors say INT rather than "None or INT"."""
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=kind.__name__.upper(),
        instance_from_str=lambda texts: read(texts[0]),
        is_instance=lambda value: True,
        str_from_instance=lambda value: ["none" if value is None else str(value)],
    )


@_REGISTRY.primitive_rule
def _or_none(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """Read the word none as None if the setting's type allows it."""
    match get_args(info.type):
        case (kind, last) if last is NoneType:
            return _optional(kind, lambda text: None if text == "none" else kind(text))
    return None


@dataclass(frozen=True)
class Options(StudyConfig):
    """Say which of these networks to use: tune each with the same budget, retrain the best over seeds, compare.

    Any flag overrides its preset.
    """

    results_dir: Path = Path("results")
    """Folder of the studies."""
    name: Annotated[str | None, _optional(str, str)] = None
    """Name of the study's folder; <dataset>-<date>-<time> if not given."""
    resume: bool = False
    """Go on with --name, or the study worked on last; --seeds, --concurrency, --address and --data-dir may change."""
    dry_run: bool = False
    """Print the plan and how long it takes, and exit; nothing is created."""
    quiet: bool = False
    """Print errors and the last lines only."""
    version: bool = False
    """Print the version and exit."""

    def config(self) -> StudyConfig:
        """Return the options that define the study."""
        return StudyConfig(**{field.name: getattr(self, field.name) for field in fields(StudyConfig)})


def parse(arguments: Sequence[str], base: StudyConfig | None = None) -> Options:
    """Read the command line, and check what needs neither data nor networks.

    Args:
        base: values of the flags that are not given; the chosen preset's values if None.

    Raises:
        BadInput: for an unknown flag, or a value that is unreadable or out of range.
        SystemExit: with status 0 after --help or --version.
    """
    for argument in arguments:
        if not _is_text(argument):
            raise BadInput(f"the argument {argument!a} is not text in UTF-8: type it anew")
    if base is None:
        base = PRESETS[_parse(arguments, Options()).preset]
    options = _parse(arguments, Options(**{field.name: getattr(base, field.name) for field in fields(base)}))
    if options.version:
        print(f"fairverdict {__version__}")
        raise SystemExit(0)
    check(options)
    return options


def _is_text(argument: str) -> bool:
    try:
        return b"\0" not in argument.encode()
    except UnicodeEncodeError:  # bytes that were no text arrive as lone surrogates
        return False


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
                registry=_REGISTRY,
            )
    except SystemExit as exit_:
        if exit_.code in (0, None):
            raise
        raise BadInput(_one_line(printed.getvalue())) from None


def _one_line(panel: str) -> str:
    """Return the message in tyro's error panel, without its frame and its pointers to the help."""
    words: list[str] = []
    for line in panel.splitlines():
        text = line.strip("│ ")
        if text.startswith("─"):
            break
        if not text.startswith(("╭", "╰")):
            words += text.split()
    return " ".join(words) or "the command line cannot be read"
