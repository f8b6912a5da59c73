"""The tables of a study file: which keys each has, and which values a key takes.

The checks come before Optuna's, which drops keys that it does not know. They import neither torch nor Optuna.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from analysis.paths import user_path
from models.networks.hyperparameters import PREFIX, belongs_to_network
from models.training.recipe import OF_TRAINING
from study.errors import BadInput, unknown
from study.settings.fields import may_be_none, plain_type, words

# A number of this name is at least the first bound and below the second; the learning rate is above its first.
_BOUNDS = {
    "lr": (0.0, math.inf),
    "weight_decay": (0.0, math.inf),
    "momentum": (0.0, 1.0),
    "label_smoothing": (0.0, 1.0),
    "dropout": (0.0, 1.0),
    "warmup_epochs": (0, math.inf),
}
_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "text", Path: "text"}


@dataclass(frozen=True)
class NetworkTable:
    """Holds the keys of [networks.NAME]. [networks.NAME.space] adds to [space] or takes the place of parts of it."""

    factory: str | None = None
    """Import path of the network, package.module:function; it is called with num_classes=."""
    title: str | None = None
    """Name of the network in the report."""
    arguments: Mapping[str, Any] | None = None
    """Further arguments of the factory, the same in every run."""
    baseline: Mapping[str, Any] | None = None
    """The hyperparameters of trial 0 and of the baseline's runs; a missing one is the recipe's or the factory's."""
    normalisation: Any = None
    """training (mean and deviation of the training images), none (pixels from 0 to 1), or { mean = [...], deviation =
    [...] }, a number for each of red, green and blue."""
    weights: str | None = None
    """File of weights to start from: .safetensors, or .pth that holds tensors alone."""
    skip: tuple[str, ...] | None = None
    """Beginnings of the names of weights that are not taken from the file, such as "fc."."""
    freeze: tuple[str, ...] | None = None
    """Beginnings of the names of weights that are not trained."""
    space: Mapping[str, Any] | None = None
    """Ranges of this network alone; false leaves a hyperparameter out."""


@dataclass(frozen=True)
class RangeTable:
    """Holds the keys of a range in [space]."""

    type: Literal["float", "int", "categorical"]
    """float, int or categorical"""
    low: float | None = None
    """the lowest value, of float and int"""
    high: float | None = None
    """the highest value, of float and int"""
    log: bool = False
    """true searches on a logarithmic scale, of float and int"""
    step: float | None = None
    """the distance between two values, of float and int without log"""
    choices: tuple[Any, ...] | None = None
    """the values, of categorical; one choice alone keeps the hyperparameter fixed"""


def check_key(where: str, key: str, known: Iterable[str], homes: Mapping[str, str]) -> None:
    """Raise BadInput if a table has no such key.

    Args:
        homes: the table of each key that has another.
    """
    known = list(known)
    if key not in known:
        if key in homes:
            raise BadInput(f"{where}: {key} belongs into [{homes[key]}]")
        raise BadInput(f"{where}: {unknown('key', key, known)}")


def checked(where: str, value: Any, kind: Any) -> Any:
    """Return a value of a study file as the setting holds it. The word "none" takes a setting back.

    Args:
        where: names the file, the table and the key.
        kind: type of the setting.

    Raises:
        BadInput: if it is of another type.
    """
    if may_be_none(kind) and value == "none":
        return None
    named = words(kind)
    if value in named:
        return value
    kind = plain_type(kind)
    match get_origin(kind) or kind:
        case origin if origin is Literal:
            if value not in get_args(kind):
                raise BadInput(f"{where}: {unknown('value', str(value), get_args(kind))}")
            return value
        case origin if origin is tuple:
            if not isinstance(value, list):
                raise BadInput(f"{where} must be a list, not {_shown(value)}")
            return tuple(checked(where, item, get_args(kind)[0]) for item in value)
        case origin if origin is Mapping:
            if not isinstance(value, dict):
                raise BadInput(f"{where} must be a table, not {_shown(value)}")
            return value
        case origin if origin is Any:
            return value
    accepted = {float: (int, float), Path: (str,)}.get(kind, (kind,))
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
        expected = " or ".join([_NAMES[kind], *map(repr, named)])
        raise BadInput(f"{where} must be {expected}, not {_shown(value)}")
    if kind is float:
        if abs(value) > 1e300:
            raise BadInput(f"{where} is too large")
        return float(value)
    return user_path(value) if kind is Path else value


def check_bounds(where: str, name: str, value: Any) -> None:
    """Raise BadInput unless a hyperparameter or constant may have this value. `where` names its place."""
    if name not in _BOUNDS:
        return
    low, high = _BOUNDS[name]
    if isinstance(value, str | bool):
        raise BadInput(f"{where} must be a number, not {_shown(value)}")
    if name == "lr" and not value > 0:
        raise BadInput(f"{where} must be above 0, not {value}")
    if not low <= value < high:
        upper = "" if high == math.inf else f" and below {high:g}"
        raise BadInput(f"{where} must be at least {low:g}{upper}, not {value}")


def hyperparameters(where: str, table: Mapping[str, Any]) -> dict[str, Any]:
    """Return a table of hyperparameters by the names that the study uses. `where` names the table.

    TOML reads `model.width = 3` as a table `model`, and "model.dropout" is dropout.

    Raises:
        BadInput: if a name is unknown, or stands there twice.
    """
    inner = table.get("model")
    pairs = [(name, told) for name, told in table.items() if name != "model" or not isinstance(told, dict)]
    if isinstance(inner, dict):
        pairs += [(f"{PREFIX}{name}", told) for name, told in inner.items()]
    found: dict[str, Any] = {}
    for key, told in pairs:
        name = "dropout" if key == f"{PREFIX}dropout" else key
        if not (name in OF_TRAINING or (belongs_to_network(name) and name.removeprefix(PREFIX).isidentifier())):
            advice = f"choose from {', '.join(OF_TRAINING)}, dropout, or {PREFIX}<parameter of the network>"
            raise BadInput(f"{where}: {unknown('hyperparameter', key, [*OF_TRAINING, 'dropout'], advice)}")
        if name in found:
            raise BadInput(f"{where}: {name} stands there twice; dropout and model.dropout are one")
        found[name] = told
    return found


def check_range(where: str, name: str, told: Any) -> None:
    """Raise BadInput unless a hyperparameter can be searched in this range. `where` names the range."""
    if not isinstance(told, dict):
        raise BadInput(f'{where} must be a table such as {{ type = "float", low = 0.1, high = 0.5 }}')
    kind = told.get("type")
    if kind not in (kinds := get_args(get_type_hints(RangeTable)["type"])):
        raise BadInput(f"{where}: type must be {', '.join(kinds[:-1])} or {kinds[-1]}, not {_shown(kind)}")
    keys = {field.name for field in fields(RangeTable)} - {"choices"}
    for key in told:
        check_key(where, key, ("type", "choices") if kind == "categorical" else sorted(keys), {})
    if kind == "categorical":
        _check_choices(where, name, told.get("choices"))
    else:
        _check_numbers(where, name, told, int if kind == "int" else float)


def _check_choices(where: str, name: str, choices: Any) -> None:
    if not isinstance(choices, list) or not choices:
        raise BadInput(f"{where}: choices must be a list of at least one value")
    for choice in choices:
        if isinstance(choice, list | dict):
            raise BadInput(f"{where}: a choice must be text, a number, or true or false, not {_shown(choice)}")
        check_bounds(f"{where}: a choice", name, choice)
    if len({"text" if isinstance(choice, str) else isinstance(choice, bool) for choice in choices}) > 1:
        raise BadInput(f"{where}: choices must be all text, all numbers, or all true or false")
    if twice := next((choice for choice in choices if choices.count(choice) > 1), None):
        raise BadInput(f"{where}: the choice {_shown(twice)} stands there twice")


def _check_numbers(where: str, name: str, told: Mapping[str, Any], kind: type) -> None:
    if kind is int and name in _BOUNDS:
        raise BadInput(f"{where}: type must be float")
    for key in ("low", "high"):
        if key not in told:
            raise BadInput(f"{where}: {key} is missing")
    low, high = (checked(f"{where}: {key}", told[key], kind) for key in ("low", "high"))
    is_log = checked(f"{where}: log", told.get("log", False), bool)
    if not low < high:
        raise BadInput(f"{where}: low must be below high, not {low} and {high}")
    if is_log and low <= 0:
        raise BadInput(f"{where}: low must be above 0 on a logarithmic scale, not {low}")
    for key, value in (("low", low), ("high", high)):
        check_bounds(f"{where}: {key}", name, value)
    if "step" in told:
        step = checked(f"{where}: step", told["step"], kind)
        if is_log and step != 1:
            raise BadInput(f"{where}: step and log exclude each other")
        if step <= 0:
            raise BadInput(f"{where}: step must be above 0, not {step}")
        if (Decimal(str(high)) - Decimal(str(low))) % Decimal(str(step)):
            raise BadInput(f"{where}: no whole number of steps of {step} lies between {low} and {high}")


def _shown(value: Any) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value)
