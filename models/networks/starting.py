"""The start of a network's training: weights from a file, frozen parts, and how its images are normalised."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from models.data import ChannelStatistics

# An error line names at most 3 keys of a kind, because a wrong file can have hundreds.
_NAMED = 3


@dataclass(frozen=True)
class Start:
    """Says where the training of a network starts.

    A pattern names keys of the network's state_dict by their beginning, with * for any letters: "fc." or "*.bn".

    Attributes:
        weights: file of the weights, absolute; None keeps the initial weights of the factory. Every machine that
            trains reads it, so on a cluster it lies on storage that all nodes share.
        digest: SHA-256 of the file, as 64 hexadecimal digits; None if there is no file. A file that has changed since
            is refused.
        skip: patterns of keys that keep the factory's initial weights, such as the classifier.
        freeze: patterns of keys that training leaves as they are. A layer with a frozen buffer, such as the running
            mean of a batch normalisation, stays in eval mode. Dropout in frozen parts stays on.
        mean: each channel's mean, as a fraction of 255; None takes it from the training images.
        deviation: the same for the standard deviation.
    """

    weights: Path | None = None
    digest: str | None = None
    skip: tuple[str, ...] = ()
    freeze: tuple[str, ...] = ()
    mean: tuple[float, ...] | None = None
    deviation: tuple[float, ...] | None = None

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "Start":
        """Return the start that a study's table of a network describes, the file's digest with it.

        Only `apply` needs the file, so a trained network can be used without it.

        Args:
            told: `weights`, `skip`, `freeze` and `normalisation` if they are given; other keys are ignored.

        Raises:
            ValueError: if a number of the normalisation makes no sense; the message is one line.
        """
        weights = None if told.get("weights") is None else Path(told["weights"]).expanduser().absolute()
        mean, deviation = _normalisation(told.get("normalisation", "training"))
        return cls(
            weights,
            _digest(weights) if weights is not None and weights.is_file() else None,
            tuple(told.get("skip") or ()),
            tuple(told.get("freeze") or ()),
            mean,
            deviation,
        )

    def statistics(self, of_training: ChannelStatistics) -> ChannelStatistics:
        """Return what images are normalised with, given the statistics of the training images."""
        if self.mean is None or self.deviation is None:
            return of_training
        mean, deviation = (255 * np.array(values, np.float32) for values in (self.mean, self.deviation))
        return ChannelStatistics(mean, deviation)

    def apply(self, model: nn.Module) -> None:
        """Give a network that the factory made the weights of the file, and freeze its parts.

        Raises:
            ValueError: if the file has changed or does not fit, or a pattern names nothing; the message is one line.
        """
        if self.weights is not None:
            self._load(model, self.weights)
        elif self.skip:
            raise ValueError("skip: there is no file of weights to leave anything out of: name it in weights")
        _check("freeze", self.freeze, list(model.state_dict()))
        for name, parameter in model.named_parameters():
            if _matches(name, self.freeze):
                parameter.requires_grad_(False)
        if not any(parameter.requires_grad for parameter in model.parameters()):
            raise ValueError("freeze: no weight of the network is left to train")
        self.hold(model)

    def hold(self, model: nn.Module) -> None:
        """Put the layers with frozen buffers into eval mode, after the network was put into train mode."""
        for name, module in model.named_modules():
            prefix = f"{name}." if name else ""
            if any(_matches(prefix + buffer, self.freeze) for buffer, _ in module.named_buffers(recurse=False)):
                module.eval()

    def _load(self, model: nn.Module, path: Path) -> None:
        if _digest(path) != self.digest:
            raise ValueError(f"weights {path} changed since the study began: put the former file back")
        held = _read(path)
        _check("skip", self.skip, [*model.state_dict(), *held])
        found = {key: value for key, value in held.items() if not _matches(key, self.skip)}
        expected = {key: value for key, value in model.state_dict().items() if not _matches(key, self.skip)}
        shapes = [
            f"{key} ({_times(found[key])}, not {_times(value)})"
            for key, value in expected.items()
            if key in found and found[key].shape != value.shape
        ]
        faults = (
            ("missing", [key for key in expected if key not in found]),
            ("unexpected", [key for key in found if key not in expected]),
            ("of another shape", shapes),
        )
        if told := "; ".join(f"{kind}: {_some(named)}" for kind, named in faults if named):
            raise ValueError(f"weights {path} do not fit the network ({told}): name in skip what is to start fresh")
        model.load_state_dict(found, strict=False)


def _normalisation(told: Any) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    if told == "training":
        return None, None
    if told == "none":
        return (0.0,) * 3, (1.0,) * 3
    mean, deviation = tuple(told["mean"]), tuple(told["deviation"])
    if not all(0 <= value <= 1 for value in mean) or not all(0 < value <= 1 for value in deviation):
        raise ValueError(
            f"normalisation: mean and deviation are fractions of the highest pixel value, at most 1, not {mean} and"
            f" {deviation}: divide them by 255"
        )
    return mean, deviation


def _check(word: str, patterns: Iterable[str], keys: list[str]) -> None:
    for pattern in patterns:
        if not any(_matches(key, (pattern,)) for key in keys):
            raise ValueError(f"{word}: {pattern!r} names no weight: there are {_some(keys)}")


def _matches(key: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(key, f"{pattern}*") for pattern in patterns)


def _digest(path: Path) -> str:
    """Return the SHA-256 of a file. Raises ValueError if it cannot be read."""
    try:
        facts = path.stat()
        return _digest_of(path, facts.st_size, facts.st_mtime_ns)
    except OSError as error:
        raise ValueError(f"weights {path} cannot be read: {error.strerror}") from error


@cache
def _digest_of(path: Path, size: int, modified: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(path: Path) -> Mapping[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # both libraries raise errors of many kinds for a damaged file
        reason = (str(error).splitlines() or [""])[0]
        raise ValueError(f"weights {path} cannot be read ({type(error).__name__}: {reason})") from error
    if not isinstance(found, Mapping) or not all(isinstance(value, Tensor) for value in found.values()):
        raise ValueError(f"weights {path} hold other things than tensors by name: save the network's state_dict alone")
    return found


def _some(keys: list[str]) -> str:
    rest = f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else ""
    return ", ".join(keys[:_NAMED]) + rest


def _times(value: Tensor) -> str:
    return "x".join(map(str, value.shape)) or "scalar"
