"""The fingerprint of a network: a short description that tells whether two runs trained the same network."""

import ast
import hashlib
import inspect
import textwrap
from typing import Any

import torch
from torch import nn

from models.networks.inspection.source import digests, without_docstrings
from models.networks.registry import Architecture
from models.networks.user_networks import definition_of, package_of
from models.randomness import seeded


def fingerprint(architecture: Architecture, n_classes: int) -> dict[str, Any]:
    """Describe a network by its weights, its layers, its source and its baseline, as JSON can hold it.

    Global random states stay as they are.

    Args:
        architecture: the network.
        n_classes: number of logits, at least 1.

    Returns:
        weights (shape by name), parameters (number of trainable weights), layers and source (SHA-256 as 64 hexadecimal
        digits), baseline (the documented hyperparameters). source covers the classes of all submodules except torch's
        own, without comments, docstrings and layout; it is None if the source of a class cannot be read. definitions
        has a SHA-256 for each function, class and constant of the user's own modules that the network uses. package is
        the installed package of the factory with its version, or None. initial is the SHA-256 of the initial weights
        if the factory gives them, of their file if there is one, else None.
    """
    with seeded(0, torch.device("cpu")):
        model = architecture.build(n_classes, architecture.baseline)
    is_given_by_factory = architecture.has_given_weights and architecture.start.weights is None
    home = definition_of(architecture.factory)
    kinds = [(kind.__module__, kind.__qualname__.partition(".")[0]) for kind in _kinds(model)]
    return {
        "weights": shapes(model),
        "parameters": sum(weight.numel() for weight in model.parameters() if weight.requires_grad),
        "layers": _digest(repr(model)),
        "source": _source(model),
        "definitions": digests([home, *kinds]),
        "package": package_of(home[0]),
        "initial": _digest_of_weights(model) if is_given_by_factory else architecture.start.digest,
        "baseline": dict(architecture.baseline),
    }


def shapes(model: nn.Module) -> dict[str, list[int]]:
    """Return the shape of every entry of the network's state_dict, by name."""
    return {name: list(value.shape) for name, value in model.state_dict().items()}


def difference(before: dict[str, Any], after: dict[str, Any]) -> str | None:
    """Say in one line how the network of `after` differs from the network of `before`; None if it does not.

    Args:
        before: a fingerprint, as `fingerprint` returns it or as it comes back from JSON.
        after: the fingerprint to compare with it.
    """
    if line := shape_difference(after["weights"], before["weights"]):
        return line
    if before["parameters"] != after["parameters"]:
        return f"it has {after['parameters']:,} trainable weights, had {before['parameters']:,}"
    for name in sorted(before["baseline"].keys() | after["baseline"].keys()):
        was, is_ = before["baseline"].get(name), after["baseline"].get(name)
        if was != is_:
            return f"its baseline has {name} {is_}, had {was}"
    if before["layers"] != after["layers"]:
        return "a layer or its settings differ, though all weights have the same shapes"
    # An older version did not describe these.
    if "definitions" in before and (line := _changed_definitions(before["definitions"], after["definitions"])):
        return line
    if None not in (before["source"], after["source"]) and before["source"] != after["source"]:
        return "the source of its classes differs, though all layers are the same"
    for name, meaning in (("package", "it comes from {}, came from {}"), ("initial", "its initial weights differ")):
        was, is_ = before.get(name), after[name]
        if None not in (was, is_) and was != is_:
            return meaning.format(is_, was)
    return None


def _changed_definitions(before: dict[str, str], after: dict[str, str]) -> str | None:
    changed = [name for name in sorted(before.keys() | after.keys()) if before.get(name) != after.get(name)]
    if not changed:
        return None
    more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
    return f"the source of {changed[0]}{more} differs"


def shape_difference(found: dict[str, list[int]], expected: dict[str, list[int]]) -> str | None:
    """Say in one line how these shapes of weights, by name, differ from the expected ones; None if they do not."""
    for name, shape in expected.items():
        if name not in found:
            return f"it has no {name}"
        if list(found[name]) != list(shape):
            return f"{name} has shape {_times(found[name])}, was {_times(shape)}"
    unknown = next((name for name in found if name not in expected), None)
    return None if unknown is None else f"it has {unknown}, which was not there"


def _times(shape: list[int]) -> str:
    return "x".join(map(str, shape)) or "scalar"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _digest_of_weights(model: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, value in model.state_dict().items():
        digest.update(f"|{name}|".encode())
        digest.update(value.detach().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _kinds(model: nn.Module) -> set[type]:
    """Return the classes of all submodules and their bases, except torch's own."""
    return {kind for module in model.modules() for kind in type(module).__mro__ if not _is_of_torch(kind)}


def _source(model: nn.Module) -> str | None:
    """Return the digest of the code of all classes of the network except torch's own; None if one cannot be read."""
    try:
        return _digest("\n".join(sorted(_code(kind) for kind in _kinds(model))))
    except (OSError, TypeError, SyntaxError):
        return None


def _is_of_torch(kind: type) -> bool:
    return kind.__module__.partition(".")[0] in ("torch", "builtins", "typing", "abc")


def _code(kind: type) -> str:
    """Return the source of a class without comments, docstrings and layout."""
    return without_docstrings(ast.parse(textwrap.dedent(inspect.getsource(kind))))
