"""The settings that each network of a study has for itself. A verdict is about a network together with them."""

from collections.abc import Mapping
from pathlib import PurePath
from types import MappingProxyType
from typing import Any

from analysis.numbers import listed
from analysis.results.study_json import Study

# The settings by which networks may differ, in words, and their values if the study does not name them.
_SETTINGS: dict[str, tuple[str, Any]] = {
    "recipe": ("recipe", {}),
    "normalisation": ("normalisation", "training"),
    "weights": ("starting weights", None),
    "freeze": ("frozen parts", []),
    "arguments": ("arguments", {}),
}
# Factories of torchvision and of timm take weights by these arguments.
_WEIGHTS = ("weights", "pretrained")
_NOTHING: Mapping[str, Any] = MappingProxyType({})


def own_settings(study: Study) -> str:
    """Return the settings in which the networks differ, in words; empty if they have the same ones."""
    spaces = [_space(study, arch) for arch in study.architectures]
    differing = ["search space"] if not study.config.baseline and any(space != spaces[0] for space in spaces) else []
    told = [_told(study, arch) for arch in study.architectures]
    for name, (words, default) in _SETTINGS.items():
        values = [one.get(name) or default for one in told]
        if any(value != values[0] for value in values):
            differing.append(words)
    return listed(differing)


def own_settings_sentence(study: Study) -> str:
    """Say in which settings the networks differ, and what the verdict is about; empty if they have the same ones."""
    own = own_settings(study)
    return (
        f"The networks differ in their {own}. The verdict is about each network together with its own." if own else ""
    )


def with_own_settings(study: Study) -> str:
    """Return the words that follow the names of networks in a verdict: ", each with its own search space"."""
    own = own_settings(study)
    return f", each with its own {own}" if own else ""


def settings_of(study: Study, arch: str) -> str:
    """Return the settings of a network that the study names, in words: "weights resnet18.pth, arguments width 2"."""
    told, said = _told(study, arch), []
    for name, (words, default) in _SETTINGS.items():
        if (value := told.get(name) or default) != default:
            said.append(f"{words} {_in_words(value)}")
    return ", ".join(said)


def starting_weights(study: Study) -> dict[str, str]:
    """Return the networks that start from weights, each with the name of the weights."""
    found = {}
    for arch in study.architectures:
        told = _told(study, arch)
        arguments = told.get("arguments") or {}
        if told.get("weights"):
            found[arch] = PurePath(str(told["weights"])).name
        elif given := next((f"{name}={arguments[name]}" for name in _WEIGHTS if arguments.get(name)), None):
            found[arch] = given
    return found


def _told(study: Study, arch: str) -> Mapping[str, Any]:
    return study.config.networks.get(arch, _NOTHING)


def _space(study: Study, arch: str) -> dict[str, Any]:
    space = study.space_of(arch)
    return {name: one.model_dump(exclude={"title"}, exclude_none=True) for name, one in space.items()}


def _in_words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_in_words(one)}" for name, one in value.items())
    return listed(value) if isinstance(value, list) else str(value)
