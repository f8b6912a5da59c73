"""Write the whole configuration of a study as a study file, in which each key has its help above it."""

import json
import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from models.training.recipe import CONSTANTS, TrainingConfig
from study.settings.config import StudyConfig
from study.settings.fields import helps
from study.settings.file.read import tables_of
from study.settings.file.tables import NetworkTable, RangeTable
from study.settings.networks import architecture_of, baseline_of, space_of
from study.settings.search_space import SEARCH_SPACE, SearchSpace


def whole_tables(config: StudyConfig) -> dict[str, dict[str, Any]]:
    """Return the tables of a study file with every default, each network's baseline and search space among them.

    Settings that mean the same have equal tables.

    Raises:
        BadInput: if a network cannot be found.
    """
    tables = tables_of(config)
    defaults = {field.name: field.default for field in fields(TrainingConfig) if field.name in CONSTANTS}
    spaces = {arch: space_of(config, arch).to_json() for arch in config.archs}
    every = SearchSpace.from_json(config.space) if config.space else SEARCH_SPACE
    shared = every.to_json()
    if not config.space:
        shared = {name: told for name, told in shared.items() if all(name in space for space in spaces.values())}
    networks = {}
    for arch, space in spaces.items():
        known = architecture_of(config, arch)
        networks[arch] = {
            **config.networks.get(arch, {}),
            "title": known.title,
            "arguments": dict(known.arguments),
            "baseline": dict(baseline_of(config, arch).values),
            "space": {name: _with_type(told) for name, told in space.items() if shared.get(name) != told}
            | {name: False for name in shared if name not in space},
        }
    return {
        **tables,
        "recipe": {**defaults, **tables["recipe"]},
        "space": {name: _with_type(told) for name, told in shared.items()},
        "networks": networks,
    }


def whole_file(config: StudyConfig, origin: Mapping[str, Any] | None = None) -> str:
    """Return a study file, in TOML, that begins the same study.

    Args:
        origin: the earlier study that it goes on from, as study.json has it.

    Raises:
        BadInput: if a network cannot be found.
    """
    tables = whole_tables(config)
    begin = "python -m study.run --config FILE" + ("" if origin is None else " --from DIR")
    told = [] if origin is None else [f"# DIR is the folder of {origin['study']!r}, which tells its trials."]
    lines = [
        f"# The whole configuration of a study: `{begin}` begins it again. Flags win over it.",
        *told,
        '# "none" takes a setting back: the study works it out from the machine or the data.',
        *_table("study", tables["study"], helps(StudyConfig)),
        *_table("recipe", tables["recipe"], helps(StudyConfig) | helps(TrainingConfig)),
        *["", "[space]", f"# {helps(StudyConfig)['space']}"],
        *(f"#   {key}: {text}" for key, text in helps(RangeTable).items()),
        *_keys(tables["space"]),
    ]
    texts = helps(NetworkTable)
    for arch, told in tables["networks"].items():
        own = told.pop("space")
        lines += _table(f"networks.{arch}", {name: told[name] for name in texts if name in told}, texts)
        lines += [f"# {name} (not set): {text}" for name, text in texts.items() if name not in told and name != "space"]
        if own:
            lines += ["", f"[networks.{arch}.space]", f"# {texts['space']}", *_keys(own)]
    return "\n".join(lines) + "\n"


def _with_type(told: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "categorical" if "choices" in told else "float", **told}


def _table(name: str, table: Mapping[str, Any], texts: Mapping[str, str]) -> list[str]:
    pairs = zip(table, _keys(table), strict=True)
    return ["", f"[{name}]", *(line for key, pair in pairs for line in (f"# {texts[key]}", pair))]


def _keys(table: Mapping[str, Any]) -> list[str]:
    return [f"{_key(name)} = {toml_value(told)}" for name, told in table.items()]


def _key(name: str) -> str:
    return name if re.fullmatch("[A-Za-z0-9_-]+", name) else toml_value(name)


def toml_value(value: Any) -> str:
    """Return a value in TOML; it has no null."""
    match value:
        case dict():
            return f"{{ {', '.join(_keys(value))} }}" if value else "{}"
        case list() | tuple():
            return f"[{', '.join(map(toml_value, value))}]"
        case str():
            # JSON's quoting is TOML's, except that TOML also quotes this letter.
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value, allow_nan=False)
