"""The networks of a study, ready to be trained: each with its baseline and its search space.

A network is registered in models/networks/registry.py, or is a factory of the user's own by its import path.
"""

import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from optuna.distributions import CategoricalDistribution

from models.networks.hyperparameters import PREFIX, Value, belongs_to_network
from models.networks.registry import ARCHITECTURES, Architecture
from models.networks.user_networks import load_factory
from models.training.recipe import OF_TRAINING, TrainingConfig, baseline_values
from study.errors import BadInput, unknown
from study.settings.config import StudyConfig
from study.settings.search_space import SEARCH_SPACE, SearchSpace


def architecture_of(config: StudyConfig, arch: str) -> Architecture:
    """Return a network of the study, whose baseline has a value for each hyperparameter that its factory gets.

    Raises:
        BadInput: if it cannot be found, or its baseline lacks a value.
    """
    values = baseline_of(config, arch).values
    known = _known(config, arch)
    own = {name: value for name, value in values.items() if belongs_to_network(name)}
    return replace(known, baseline={**own, **known.baseline})


def _known(config: StudyConfig, arch: str) -> Architecture:
    """Return a network with what the study says about it. Raises BadInput if it cannot be found."""
    told = config.networks.get(arch, {})
    if (path := told.get("factory")) is not None:
        try:
            known = Architecture(arch, arch, load_factory(path))
        except ValueError as error:
            raise BadInput(f"the network {arch!r}: {error}") from error
    elif arch in ARCHITECTURES:
        known = ARCHITECTURES[arch]
    else:
        raise BadInput(unknown("network", arch, ARCHITECTURES))
    return replace(
        known,
        title=told.get("title", known.title),
        arguments={**known.arguments, **told.get("arguments", {})},
        baseline={**known.baseline, **told.get("baseline", {})},
    )


def space_of(config: StudyConfig, arch: str) -> SearchSpace:
    """Return the ranges that a network's configurations are chosen from.

    The default space leaves `dropout` out if the network's factory has no such parameter.
    """
    ranges = dict(SEARCH_SPACE.ranges)
    if config.space:
        ranges = dict(SearchSpace.from_json(config.space).ranges)
    elif not _takes_dropout(_known(config, arch)):
        del ranges["dropout"]
    own = SearchSpace.from_json(config.networks.get(arch, {}).get("space", {}))
    return SearchSpace({**ranges, **own.ranges})


def shared_space(config: StudyConfig) -> dict[str, Any]:
    """Return the ranges that all networks of the study have in common, as study.json has them."""
    first, *others = (space_of(config, arch).to_json() for arch in config.archs)
    return {name: told for name, told in first.items() if all(other.get(name) == told for other in others)}


def baseline_of(config: StudyConfig, arch: str) -> TrainingConfig:
    """Return the baseline of a network, with a value for each hyperparameter of its search space.

    A value that the baseline does not name is its range's only choice, the recipe's constant, or the factory's own
    default.

    Raises:
        BadInput: if there is none.
    """
    architecture, constants = _known(config, arch), config.training({})
    documented = baseline_values(architecture.baseline, config.batch_size)
    told = config.networks.get(arch, {}).get("baseline", {})
    space = space_of(config, arch).ranges
    if "lr" not in space:
        raise BadInput(f"the search space of {arch!r} has no lr: add it; one choice alone keeps it fixed")
    if strange := next((name for name in documented if name not in space), None):
        raise BadInput(
            f"the baseline of {arch!r} has {strange}, which is not searched: add it to the network's space; one choice"
            " alone keeps it fixed"
        )
    defaults = _defaults(architecture)
    values: dict[str, Value] = {}
    for name, scale in space.items():
        if isinstance(scale, CategoricalDistribution) and scale.single() and name not in told:
            values[name] = cast(Value, scale.choices[0])
        elif name in documented:
            values[name] = documented[name]
        elif name in OF_TRAINING:
            values[name] = getattr(constants, name)
        elif (default := defaults.get(name.removeprefix(PREFIX))) is not None:
            values[name] = default
        else:
            raise BadInput(f"the baseline of {arch!r} has no {name}: add it to [networks.{arch}.baseline]")
    return config.training(values)


def check_networks(config: StudyConfig) -> None:
    """Raise BadInput if a network cannot be found, or its search space lacks its baseline or a first learning rate."""
    for arch in config.archs:
        space = space_of(config, arch)
        for name, value in baseline_of(config, arch).values.items():
            if not space.holds(name, value):
                raise BadInput(
                    f"[networks.{arch}] baseline: {name} is {value}, outside the range of the search"
                    f" ({space.to_json()[name]}): choose another baseline, range or batch size"
                )
        for lr in config.first_lrs if space.varies("lr") else ():
            if not space.holds("lr", lr):
                raise BadInput(
                    f"--first-lrs: {lr} is outside the range of the search of {arch!r} ({space.to_json()['lr']}):"
                    " choose another, or none"
                )


def _takes_dropout(architecture: Architecture) -> bool:
    return "dropout" in architecture.baseline or "dropout" in _parameters(architecture)


def _parameters(architecture: Architecture) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(architecture.factory).parameters


def _defaults(architecture: Architecture) -> dict[str, Any]:
    """Return the defaults of the factory's parameters that can be hyperparameters, and a dropout of 0."""
    found = {name: parameter.default for name, parameter in _parameters(architecture).items()}
    return {"dropout": 0.0} | {name: value for name, value in found.items() if isinstance(value, int | float | str)}
