"""Read a study file: the settings of a study in TOML, or the study.json of another study.

Each table is checked as a whole, and an error line names the file, the table and the key. It imports neither torch nor
Optuna.
"""

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from math import isfinite
from pathlib import Path
from typing import Any, get_type_hints

from models.training.recipe import CONSTANTS, TrainingConfig
from study.errors import BadInput, one_line, unknown
from study.settings.check import check
from study.settings.config import FILE_ONLY, StudyConfig
from study.settings.file.tables import NetworkTable, check_bounds, check_key, check_range, checked, hyperparameters

# These settings stand in [recipe], beside the constants that have no flag.
IN_RECIPE = tuple(field.name for field in fields(StudyConfig) if field.name in CONSTANTS)
IN_STUDY = tuple(field.name for field in fields(StudyConfig) if field.name not in (*FILE_ONLY, *IN_RECIPE))
TABLES = ("study", *FILE_ONLY)
# The table of each key that has one home.
_HOMES = {**dict.fromkeys(IN_STUDY, "study"), **dict.fromkeys(CONSTANTS, "recipe")}
_HOMES |= {field.name: "networks.NAME" for field in fields(NetworkTable) if field.name not in (*_HOMES, *FILE_ONLY)}


def tables_of(config: StudyConfig) -> dict[str, dict[str, Any]]:
    """Return the tables of a study file that say all that these settings say."""
    values = config.to_json()
    said = {name: "none" if value is None else value for name, value in values.items()}
    return {
        "study": {name: said[name] for name in IN_STUDY},
        "recipe": {**{name: values[name] for name in IN_RECIPE}, **values["recipe"]},
        "space": dict(values["space"]),
        "networks": dict(values["networks"]),
    }


def read_study_file(path: Path) -> dict[str, Any]:
    """Return the settings that a file gives, by their names in StudyConfig.

    Raises:
        BadInput: if the file cannot be read, or a table, a key or a value in it is not as it should be.
    """
    tables = _read_tables(path)
    for name, table in tables.items():
        if name not in TABLES:
            table_of = f"; {name} belongs into [{_HOMES[name]}]" if name in _HOMES else ""
            raise BadInput(f"{path}: {unknown('table', name, TABLES)}{table_of}")
        if not isinstance(table, dict):
            raise BadInput(f"{path}: {name} must be a table, [{name}]")
        _check_plain(f"{path}: [{name}]", table)
    values: dict[str, Any] = {}
    kinds, study = get_type_hints(StudyConfig), f"{path}: [study]"
    for key, value in tables.get("study", {}).items():
        check_key(study, key, IN_STUDY, _HOMES)
        values[key] = checked(f"{study} {key}", value, kinds[key])
    if "recipe" in tables:
        recipe = _recipe(f"{path}: [recipe]", tables["recipe"])
        values |= {name: recipe.pop(name) for name in IN_RECIPE if name in recipe} | {"recipe": recipe}
    if "space" in tables:
        values["space"] = _space(f"{path}: [space]", tables["space"])
    if "networks" in tables:
        values["networks"] = {
            arch: _network(path, arch, checked(f"{path}: [networks] {arch}", told, Mapping[str, Any]))
            for arch, told in tables["networks"].items()
        }
        if "archs" not in values and any("factory" in told for told in values["networks"].values()):
            values["archs"] = tuple(values["networks"])
    _check_momentum(path, values)
    try:
        check(replace(StudyConfig(), **values))
    except BadInput as error:
        # A setting has the name of its flag there.
        line = re.sub(r"--([a-z]+(?:-[a-z]+)*)", lambda flag: flag[1].replace("-", "_"), str(error))
        table = "recipe" if line.startswith(IN_RECIPE) else "study"
        raise BadInput(f"{path}: [{table}] {line}") from error
    return values


def check_tables_of_networks(path: Path, networks: Mapping[str, Mapping[str, Any]], archs: Iterable[str]) -> None:
    """Raise BadInput if a table is about a network that is neither among `archs` nor has a factory of its own."""
    names = {word.rpartition(":")[2].lower() for word in (*archs, *StudyConfig.archs)}
    for name, told in networks.items():
        if "factory" not in told and name not in names:
            raise BadInput(f"{path}: [networks] {unknown('network', name, sorted(names))}")


def _read_tables(path: Path) -> dict[str, Any]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
        if path.suffix != ".json":
            return tomllib.loads(text)
        found = json.loads(text)
    except OSError as error:
        raise BadInput(f"--config {str(path)!r} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        kind = "JSON" if path.suffix == ".json" else "TOML"
        raise BadInput(f"{path} is no {kind}: {one_line(error)}") from error
    if not isinstance(found, dict) or not isinstance(found.get("config"), dict):
        raise BadInput(f"{path} is not the study.json of a study: give that, or a file in TOML")
    try:
        return tables_of(StudyConfig.from_json(found["config"]))
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from error


def _check_plain(where: str, value: Any) -> None:
    """Raise BadInput unless everything in a table can be kept as JSON and typed on a command line."""
    match value:
        case dict():
            for key, item in value.items():
                _check_plain(f"{where} {key}", item)
        case list():
            for item in value:
                _check_plain(where, item)
        case str():
            if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
                raise BadInput(f"{where} is not text")
        case float() if not isfinite(value):
            raise BadInput(f"{where} must be finite, not {value}")
        case int() if abs(value) >= 2**63 and not where.endswith("seed"):
            raise BadInput(f"{where} is too large")
        case bool() | int() | float():
            pass
        case _:
            raise BadInput(f"{where} must be text, a number, true or false, a list or a table, not {value!r}")


def _recipe(where: str, table: Mapping[str, Any]) -> dict[str, Any]:
    """Return the constants that differ from the documented recipe, beside patience and batch size."""
    kinds = get_type_hints(TrainingConfig)
    recipe = {}
    for key, value in table.items():
        check_key(where, key, CONSTANTS, _HOMES)
        recipe[key] = checked(f"{where} {key}", value, kinds[key])
        check_bounds(f"{where} {key}", key, recipe[key])
    if recipe.get("nesterov") and (recipe.get("optimizer") != "sgd" or recipe.get("momentum") == 0):
        raise BadInput(f'{where} nesterov needs optimizer = "sgd" with a momentum above 0')
    defaults = {field.name: field.default for field in fields(TrainingConfig)}
    return {key: value for key, value in recipe.items() if key in IN_RECIPE or value != defaults[key]}


def _network(path: Path, arch: str, table: Mapping[str, Any]) -> dict[str, Any]:
    where = f"{path}: [networks.{arch}]"
    if not arch.isidentifier() or arch != arch.lower():
        raise BadInput(f"{where} must be named by lower-case letters, digits and _")
    kinds = get_type_hints(NetworkTable)
    told: dict[str, Any] = {}
    for key, value in table.items():
        check_key(where, key, kinds, _HOMES)
        value = checked(f"{where} {key}", value, kinds[key])
        told[key] = list(value) if isinstance(value, tuple) else value
    if "factory" in told and not re.fullmatch(r"[\w.]+:\w+", told["factory"]):
        raise BadInput(f"{where} factory must be an import path, package.module:function, not {told['factory']!r}")
    if "baseline" in told:
        told["baseline"] = hyperparameters(f"{where} baseline", told["baseline"])
        for name, value in told["baseline"].items():
            if isinstance(value, list | dict):
                raise BadInput(f"{where} baseline: {name} must be a number, text, or true or false, not {value!r}")
            check_bounds(f"{where} baseline: {name}", name, value)
    if "space" in told:
        told["space"] = _space(f"{path}: [networks.{arch}.space]", told["space"], left_out=False)
    if "normalisation" in told:
        _check_normalisation(f"{where} normalisation", told["normalisation"])
    return told


def _space(where: str, table: Mapping[str, Any], left_out: Any = None) -> dict[str, Any]:
    """Return the ranges of a table. `left_out` is the value that stands for no range; None if each key needs one."""
    ranges = hyperparameters(where, table)
    for name, told in ranges.items():
        if left_out is None or told is not left_out:
            check_range(f"{where} {name}", name, told)
    return ranges


def _check_normalisation(where: str, value: Any) -> None:
    match value:
        case "training" | "none":
            return
        case {"mean": [_, _, _] as mean, "deviation": [_, _, _] as deviation, **others} if not others:
            for number in (*mean, *deviation):
                checked(where, number, float)
            if min(deviation) <= 0:
                raise BadInput(f"{where}: deviation must be above 0, not {min(deviation)}")
            return
    raise BadInput(f'{where} must be "training", "none", or {{ mean = [...], deviation = [...] }} of 3 numbers each')


def _check_momentum(path: Path, values: Mapping[str, Any]) -> None:
    """Raise BadInput if a momentum is searched that the optimizer does not have, or Nesterov's would be 0."""
    recipe, networks = values.get("recipe", {}), values.get("networks", {})
    own = {f"networks.{arch}.space": told.get("space", {}) for arch, told in networks.items()}
    for table, space in {"space": values.get("space", {}), **own}.items():
        if not (told := space.get("momentum")):
            continue
        if recipe.get("optimizer") != "sgd":
            raise BadInput(f'{path}: [{table}] momentum is searched, which only optimizer = "sgd" in [recipe] has')
        if recipe.get("nesterov") and min(told.get("choices", [told.get("low")])) == 0:
            raise BadInput(f"{path}: [{table}] momentum must be above 0, because nesterov is true in [recipe]")
