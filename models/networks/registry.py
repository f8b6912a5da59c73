"""The networks that a study can compare. A new one is a file of its own and two lines here, import and entry."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from models.networks.alexnet import AlexNet
from models.networks.mobilenet import MobileNetLike


@dataclass(frozen=True)
class Architecture:
    """Describes one network and its documented baseline.

    Attributes:
        name: lower-case identifier, used on the command line and in file names.
        title: name shown in tables and figures.
        build: `build(n_classes, dropout)` returns a module that maps images [n, 3, 32, 32] to logits [n, n_classes].
        baseline_dropout: the dropout of its documented recipe, in [0, 1).
        capturable: true if a training step may be captured as a CUDA graph and replayed, which is faster on a GPU
            (models/training/step.py). Every step must launch the same kernels on the same tensors: no decision in
            Python, no buffer that is replaced instead of changed, no value read back from the GPU, a gradient for
            every parameter, and no convolution or linear layer that shares its weights.
    """

    name: str
    title: str
    build: Callable[[int, float], nn.Module]
    baseline_dropout: float
    capturable: bool = False


ARCHITECTURES: dict[str, Architecture] = {}


def register(architecture: Architecture) -> None:
    """Make a network known by its name. Raises ValueError if the name is taken or is no lower-case identifier."""
    if not architecture.name.isidentifier() or architecture.name != architecture.name.lower():
        raise ValueError(f"architecture name {architecture.name!r} must be a lower-case identifier")
    if architecture.name in ARCHITECTURES:
        raise ValueError(f"architecture {architecture.name!r} is registered already")
    ARCHITECTURES[architecture.name] = architecture


register(Architecture("alexnet", "AlexNet", AlexNet, baseline_dropout=0.5, capturable=True))
register(Architecture("mobilenet", "MobileNet-like", MobileNetLike, baseline_dropout=0.0, capturable=True))
