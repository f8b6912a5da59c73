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
from models.networks.starting import Start
from models.networks.user_networks import load_factory
from models.training.recipe import OF_TRAINING, TrainingConfig, baseline_values
from study.errors import BadInput, unknown
from study.settings.config import StudyConfig
from study.settings.search_space import SEARCH_SPACE, SearchSpace


def architecture_of(config: StudyConfig, arch: str) -> Architecture:
    """Return a network of the study, whose baseline has a value for each hyperparameter that its factory gets.

    Raises:
        BadInput: if it cannot be found, its baseline lacks a value, or its normalisation makes no sense.
    """
    values = baseline_of(config, arch).values
    known = _known(config, arch)
    own = {name: value for name, value in values.items() if belongs_to_network(name)}
    try:
        start = Start.from_json(config.networks.get(arch, {}))
    except ValueError as error:
        raise BadInput(f"the network {arch!r}: {error}") from error
    return replace(known, baseline={**own, **known.baseline}, start=start)


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
        others = f"choose from {', '.join(ARCHITECTURES)}, or name a factory, package.module:function"
        raise BadInput(unknown("network", arch, ARCHITECTURES, others))
    arguments = {**known.arguments, **told.get("arguments", {})}
    baseline = {**known.baseline, **told.get("baseline", {})}
    return replace(
        known,
        title=told.get("title", known.title),
        arguments=arguments,
        baseline={name: value for name, value in baseline.items() if name not in _left_out(told)},
        has_given_weights=known.has_given_weights
        or "weights" in told
        or any(arguments.get(name) for name in ("weights", "pretrained")),
    )


def _left_out(told: Mapping[str, Any]) -> set[str]:
    """Return the hyperparameters that a network's space sets to false: they are not searched."""
    return {name for name, scale in told.get("space", {}).items() if scale is False}


def space_of(config: StudyConfig, arch: str) -> SearchSpace:
    """Return the ranges that a network's configurations are chosen from.

    The default space leaves `dropout` out if the network's factory has no such parameter. A range that the network's
    own space sets to false is left out.
    """
    told = config.networks.get(arch, {})
    left_out = _left_out(told)
    ranges = dict(SEARCH_SPACE.ranges)
    if config.space:
        ranges = dict(SearchSpace.from_json(config.space).ranges)
    elif not _takes_dropout(_known(config, arch)):
        del ranges["dropout"]
    own = {name: scale for name, scale in told.get("space", {}).items() if name not in left_out}
    ranges |= SearchSpace.from_json(own).ranges
    return SearchSpace({name: scale for name, scale in ranges.items() if name not in left_out})


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
    """Raise BadInput if a network cannot be found, does not take the images, or has a faulty search space.

    The space is faulty if it lacks the baseline or a first learning rate.
    """
    for arch in config.archs:
        _check_size(config, arch)
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


def _check_size(config: StudyConfig, arch: str) -> None:
    """Raise BadInput if a network does not take images of this size."""
    size, taken = config.image_size, _known(config, arch).image_sizes
    if size not in taken:
        only = f"{taken[0]}" if len(taken) == 1 else f"{taken[0]} to {taken[-1]}"
        others = [name for name, known in ARCHITECTURES.items() if size in known.image_sizes]
        raise BadInput(
            f"--image-size {size}: {arch!r} takes images of {only} pixels a side: leave the flag out, or compare"
            f" networks that take {size}, such as {', '.join(others)}"
        )


def _takes_dropout(architecture: Architecture) -> bool:
    takes = "dropout" in architecture.baseline or "dropout" in _parameters(architecture)
    return takes and "dropout" not in architecture.arguments


def _parameters(architecture: Architecture) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(architecture.factory).parameters


def _defaults(architecture: Architecture) -> dict[str, Any]:
    """Return the defaults of the factory's parameters that can be hyperparameters, and a dropout of 0."""
    found = {name: parameter.default for name, parameter in _parameters(architecture).items()}
    return {"dropout": 0.0} | {name: value for name, value in found.items() if isinstance(value, int | float | str)}
