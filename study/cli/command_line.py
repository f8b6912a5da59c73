"""The command line of `python -m study.run`.

It imports neither torch nor Ray: help and errors come at once.
"""

import argparse
import inspect
import os
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NoReturn, get_args, get_type_hints

from analysis.command import typed_command
from analysis.paths import user_path
from study import __version__
from study.errors import BadInput, unknown
from study.settings.check import CHOICES, check
from study.settings.config import FILE_ONLY, PRESETS, StudyConfig, take_in_factories
from study.settings.fields import helps, may_be_none, plain_type, words
from study.settings.file.read import check_tables_of_networks, read_study_file

# The help lists a setting under the title of its group, and the other settings under "options".
GROUPS = {
    "what to study": ("dataset", "data_dir", "image_size", "train_size", "train_seed", "archs", "baseline", "seed"),
    "your own images": ("title", "test_share", "test_seed", "group_by", "duplicates", "bit_depth"),
    "budget": (
        "preset",
        "trials",
        "max_epochs",
        "seeds",
        "searches",
        "confirm",
        "margin",
        "margin_of_errors",
        "budget_hours",
        "max_parameters",
        "max_latency_ms",
    ),
    "training": ("patience", "grace_steps", "batch_size", "first_lrs"),
    "machine": (
        "precision",
        "kernels",
        "cpus_per_trial",
        "gpus_per_trial",
        "concurrency",
        "address",
        "wait",
        "storage",
    ),
    "study file": ("study_file", "print_config"),
    "folder": ("results_dir", "name", "resume", "add_arch", "from_study"),
    "trackers": ("track",),
}
_EXAMPLES = """\
examples:
  %(prog)s --preset quick         a first study: handwritten digits
  %(prog)s                        the full study of CIFAR-10
  %(prog)s --dataset folder --data-dir images --seeds 5
  %(prog)s --archs alexnet torchvision.models:resnet18
  %(prog)s --baseline --archs mobilenet
  %(prog)s --resume               go on with the newest study
  %(prog)s --resume --seeds 20    add final runs to it
  %(prog)s --resume --trials 64   add trials before its final runs
"""
_METAVARS = {int: "N", float: "X", Path: "DIR"}
_EXPECTED = {int: "a whole number", float: "a number"}
_WIDTH = 80


@dataclass(frozen=True)
class Options(StudyConfig):
    """Say which of these networks to use: tune each with the same budget, retrain the best over seeds, compare.

    A flag overrides the study file, and the file its preset.
    """

    results_dir: Path = Path("results")
    """Folder of the studies."""
    name: str | None = None
    """Name of the study's folder; <dataset>-<date>-<time> if not given."""
    resume: bool = False
    """Go on with --name, or the study worked on last; more --seeds and another machine are allowed, and more --trials
    before any test image was predicted. A study that is not here comes from --storage; one that is nowhere begins if
    --dataset, --preset, --config, --archs or --baseline is given."""
    add_arch: tuple[str, ...] = ()
    """Networks that --resume adds to the study, named as in --archs, before any test image was predicted."""
    searches: int = 1
    """Whole studies, one after the other, each with searches and seeds of its own; the interval then covers the luck of
    the searches as these studies show it. The budget is each study's. A verdict over searches needs 3."""
    from_study: Path | None = None
    """Begin a new study with this study's settings, another seed, and samplers that know its trials."""
    dry_run: bool = False
    """Print the plan and how long it takes, and exit; nothing is created."""
    study_file: Path | None = None
    """A study file in TOML (docs/your-own-networks.md), or the study.json of another study; flags win over it."""
    print_config: bool = False
    """Print all settings as a study file, each with its help, and exit."""
    quiet: bool = False
    """Print errors and the last lines only."""
    version: bool = False
    """Print the version and exit."""

    def config(self) -> StudyConfig:
        """Return the options that define the study."""
        return take_in_factories(
            StudyConfig(
                **{field.name: getattr(self, field.name) for field in fields(StudyConfig)}
                | {"archs": (*self.archs, *self.add_arch)}
            )
        )


def parse(arguments: Sequence[str], base: StudyConfig | None = None) -> Options:
    """Read the command line, and check what needs neither data nor networks.

    Args:
        base: values of the flags that are not given; the chosen preset's values if None.

    Raises:
        BadInput: for an unknown flag, or a value that is unreadable or out of range.
        SystemExit: with status 0 after --help or --version.
    """
    for argument in arguments:
        _check_text("the argument", argument, "type it anew")
    try:
        _check_text("the name of the current folder", os.getcwd(), "rename it, or work in another")
    except FileNotFoundError as error:
        raise BadInput("the current folder was removed: change into a folder that exists") from error
    given, others = parser().parse_known_args(arguments)
    if others:
        _refuse(others[0])
    kinds = get_type_hints(Options)
    values = {name: _read(name, kinds[name], value) for name, value in vars(given).items()}
    if values.get("version"):
        print(f"fairverdict {__version__}")
        raise SystemExit(0)
    path = values.get("study_file")
    file = {} if path is None else read_study_file(path)
    earlier = None
    if values.get("from_study") is not None:
        from study.earlier.begun import read_earlier  # here, because it imports pandas

        earlier = read_earlier(values["from_study"])
        base = base or earlier.successor()
    if base is None:
        base = PRESETS.get(values.get("preset", file.get("preset", Options.preset)), StudyConfig())
    options = Options(**{**{field.name: getattr(base, field.name) for field in fields(base)}, **file, **values})
    check(options)
    if options.seeds == "auto" and len(options.archs) + len(options.add_arch) < 2:
        raise BadInput("--seeds auto stops by the verdict, and one network has none: give a number of seeds")
    if earlier is not None:
        earlier.check(options, values)
    if options.add_arch and not options.resume:
        raise BadInput("--add-arch goes with --resume: name the networks of a new study by --archs")
    if path is not None:
        check_tables_of_networks(path, options.networks, (*options.archs, *options.add_arch, *file.get("archs", ())))
    return options


def parser() -> argparse.ArgumentParser:
    """Return a parser of every flag. It leaves out the flags that are not given, and reads no value."""
    made = _Parser(
        prog=typed_command("study.run"),
        usage="%(prog)s [FLAG ...]",
        description=inspect.getdoc(Options),
        epilog=_EXAMPLES,
        formatter_class=_Help,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
        add_help=False,
    )
    made.add_argument("-h", "--help", action="help", help="Print this help and exit.")
    kinds, texts = get_type_hints(Options), {**helps(StudyConfig), **helps(Options)}
    others = kinds.keys() - {name for names in GROUPS.values() for name in names} - {*FILE_ONLY}
    groups: dict[Any, Iterable[str]] = {made.add_argument_group(title): names for title, names in GROUPS.items()}
    for group, names in {**groups, made: sorted(others)}.items():
        for name in names:
            default = getattr(Options, name)
            text = texts[name] + ("" if default in (None, False, ()) else f" (default: {_typed(default)})")
            shape: dict[str, Any] = {"action": "store_true"}
            if kinds[name] is not bool:
                shape = {"metavar": _metavar(name, kinds[name]), "nargs": "*" if isinstance(default, tuple) else None}
            if name == "track":
                shape["action"] = "extend"
            group.add_argument(flag(name), dest=name, help=text.replace("%", "%%"), **shape)
    return made


def flag(name: str) -> str:
    """Return the flag of a setting."""
    return {"study_file": "--config", "from_study": "--from"}.get(name) or "--" + name.replace("_", "-")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Raise BadInput: a flag without its value, or with a value that it does not take."""
        named = re.search(r"argument (-[\w-]+)", message)
        is_missing = "expected" in message
        raise BadInput(f"{named[1] if named else 'a flag'} {'needs a value' if is_missing else 'takes no value'}")


class _Help(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=24, width=min(_WIDTH, shutil.get_terminal_size().columns))

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        """Wrap the description, but keep the lines of the examples."""
        if text.startswith("examples:"):
            return super()._fill_text(text, width, indent)
        return argparse.HelpFormatter._fill_text(self, text.replace("\n\n", " "), width, indent)


def _metavar(name: str, kind: Any) -> str:
    if name in CHOICES:
        return f"{{{','.join(CHOICES[name])}}}"
    named = {"archs": "NETWORK", "add_arch": "NETWORK", "first_lrs": "X", "study_file": "FILE"} | {"seeds": "{N,auto}"}
    return named.get(name) or _METAVARS.get(plain_type(kind), name.upper())


def _read(name: str, kind: Any, value: Any) -> Any:
    """Return the value of a setting from its words. The word none takes a setting back, but may be a study's name."""
    if isinstance(value, list):
        (item, *_) = get_args(kind)
        return tuple(_read(name, item, word) for word in value)
    if not isinstance(value, str):
        return value
    if may_be_none(kind) and value == "none" and name != "name":
        return None
    if value in words(kind):
        return value
    plain = plain_type(kind)
    try:
        if plain is Path:
            return user_path(value)
        return plain(value) if plain in _METAVARS else value
    except ValueError:
        expected = " or ".join([_EXPECTED[plain], *words(kind)])
        raise BadInput(f"{flag(name)} must be {expected}, not {value!r}") from None


def _refuse(word: str) -> NoReturn:
    """Raise BadInput for a word that is no flag and no flag's value."""
    if not word.startswith("-"):
        raise BadInput(f"{word!r} belongs to no flag: leave it out, or see --help")
    known = [flag(name) for name in get_type_hints(Options) if name not in FILE_ONLY]
    raise BadInput(unknown("flag", word.partition("=")[0], known, otherwise="see --help"))


def _typed(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _check_text(what: str, word: str, advice: str) -> None:
    """Raise BadInput unless a word that Python has from the system is text."""
    if not _is_text(word):
        with suppress(UnicodeError):
            if _is_text(os.fsencode(word).decode()):
                encoding = sys.getfilesystemencoding()
                raise BadInput(f"{what} {word!a} is UTF-8, but this locale means {encoding}: set PYTHONUTF8=1")
        raise BadInput(f"{what} {word!a} is not text in UTF-8: {advice}")


def _is_text(word: str) -> bool:
    try:
        return b"\0" not in word.encode()
    except UnicodeEncodeError:  # bytes that were no text arrive as lone surrogates
        return False
