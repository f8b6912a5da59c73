"""The check of a study's networks before anything is searched, and what the study then leaves out."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import torch
from optuna.distributions import CategoricalDistribution

from models.data import VALIDATION_FRACTION
from models.networks.hyperparameters import Value, belongs_to_network
from models.networks.inspection.attempts import NetworkFault
from models.networks.inspection.checks import check_network
from models.networks.registry import Architecture
from models.precision import resolve
from study.errors import BadInput
from study.settings.config import StudyConfig
from study.settings.networks import architecture_of, baseline_of, space_of
from study.settings.search_space import Range

# The note about a network whose dropout is left out. study.json keeps it.
_IGNORES_DROPOUT = "ignores its dropout, so dropout is not searched"


def check_by_building(config: StudyConfig, n_train: int, n_classes: int) -> tuple[StudyConfig, dict[str, list[str]]]:
    """Build each network and train one step of it on the CPU.

    Args:
        n_train: training images before the split.
        n_classes: number of classes.

    Returns:
        The settings, without the dropout of a network that ignores it, and the notes about each network by its name.

    Raises:
        BadInput: if a network cannot be studied, or ignores another hyperparameter of its search space.
    """
    n_training = n_train - round(VALIDATION_FRACTION * n_train)
    notes: dict[str, list[str]] = {}
    for arch in config.archs:
        architecture, values = architecture_of(config, arch), baseline_of(config, arch).values
        batch_size = config.training(values).batch_size
        ranges = space_of(config, arch).ranges
        own = {name: _alternatives(scale) for name, scale in ranges.items() if belongs_to_network(name)}
        try:
            checked = check_network(
                architecture,
                n_classes,
                values,
                own,
                last_batch=n_training % batch_size or batch_size,
                batch_size=batch_size,
                precision=resolve(config.precision, torch.device("cpu")),
                image_size=config.image_size,
            )
        except NetworkFault as error:
            raise BadInput(f"the network {arch!r} {error}") from error
        notes[arch] = list(checked.notes)
        for name in checked.ignored:
            if name != "dropout":
                raise BadInput(
                    f"the network {arch!r} ignores {name}: its logits and gradients are the same for every value. Use"
                    " it in the factory, or leave it out of the search space"
                )
            config = _without_dropout(config, architecture, values["dropout"])
            notes[arch].append(_IGNORES_DROPOUT)
    return config, notes


def leave_out_again(config: StudyConfig, begun: StudyConfig, notes: Mapping[str, Sequence[str]]) -> StudyConfig:
    """Leave out the dropouts that the check left out when the study began.

    Args:
        config: the settings that a study file and flags give.
        begun: the settings that the study has.
        notes: the notes about each network, as study.json has them.
    """
    networks = dict(config.networks)
    for arch in config.archs:
        if _IGNORES_DROPOUT in notes.get(arch, ()):
            told = networks.get(arch, {})
            arguments = {**told.get("arguments", {})}
            if (demanded := begun.networks[arch].get("arguments", {}).get("dropout")) is not None:
                arguments.setdefault("dropout", demanded)
            given = {"arguments": arguments} if arguments else {}
            networks[arch] = {**told, **given, "space": {**told.get("space", {}), "dropout": False}}
    return replace(config, networks=networks)


def _alternatives(scale: Range) -> Sequence[Value]:
    return (
        cast(Sequence[Value], scale.choices) if isinstance(scale, CategoricalDistribution) else (scale.high, scale.low)
    )


def _without_dropout(config: StudyConfig, architecture: Architecture, value: Value) -> StudyConfig:
    """Leave the dropout of a network out of its search. A factory that demands one always gets this value."""
    told = config.networks.get(architecture.name, {})
    parameter = inspect.signature(architecture.factory).parameters.get("dropout")
    demanded: Mapping[str, Any] = {}
    if parameter is not None and parameter.default is inspect.Parameter.empty:
        demanded = {"arguments": {**told.get("arguments", {}), "dropout": value}}
    without = {**told, **demanded, "space": {**told.get("space", {}), "dropout": False}}
    return replace(config, networks={**config.networks, architecture.name: without})
