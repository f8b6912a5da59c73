"""The networks that a study can compare. A new one is a file of its own and two lines here, import and entry."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from models.data import IMAGE_SIZE, LARGEST_IMAGE, SMALLEST_IMAGE
from models.networks.alexnet import AlexNet
from models.networks.hyperparameters import Value, of_network
from models.networks.mobilenet import MobileNetLike
from models.networks.starting import Start


@dataclass(frozen=True)
class Architecture:
    """Describes one network and its documented baseline.

    Attributes:
        name: lower-case identifier, used on the command line and in file names.
        title: name shown in tables and figures.
        factory: returns a module that maps images [n, 3, size, size] to logits [n, num_classes]. It is called with
            `num_classes`, `arguments` and the hyperparameters of the network, all by name.
        baseline: the hyperparameters of its documented recipe, by name. Without `lr` the learning rate is the
            documented one.
        arguments: further arguments of the factory, the same in every run.
        capturable: true if a training step may be captured as a CUDA graph and replayed, which is faster on a GPU
            (models/training/step.py). Every step must launch the same kernels on the same tensors: no decision in
            Python, no buffer that is replaced instead of changed, no value read back from the GPU, a gradient for
            every parameter, and no convolution or linear layer that shares its weights.
        image_sizes: the sizes that it takes, as the pixels of a side.
        has_given_weights: true if the initial weights are given, from a file or by the factory, so that they need not
            differ between seeds.
        start: given weights, frozen parts, and the normalisation of images.
    """

    name: str
    title: str
    factory: Callable[..., nn.Module]
    baseline: Mapping[str, Value] = field(default_factory=dict, hash=False)
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    capturable: bool = False
    image_sizes: range = range(SMALLEST_IMAGE, LARGEST_IMAGE + 1)
    has_given_weights: bool = False
    start: Start = field(default_factory=Start)

    def build(self, n_classes: int, values: Mapping[str, Value]) -> nn.Module:
        """Return a new module.

        Args:
            n_classes: number of logits, at least 1.
            values: a configuration; the factory gets its hyperparameters that belong to the network.
        """
        return self.factory(num_classes=n_classes, **self.arguments, **of_network(values))


ARCHITECTURES: dict[str, Architecture] = {}


def register(architecture: Architecture) -> None:
    """Make a network known by its name. Raises ValueError if the name is taken or is no lower-case identifier."""
    if not architecture.name.isidentifier() or architecture.name != architecture.name.lower():
        raise ValueError(f"architecture name {architecture.name!r} must be a lower-case identifier")
    if architecture.name in ARCHITECTURES:
        raise ValueError(f"architecture {architecture.name!r} is registered already")
    ARCHITECTURES[architecture.name] = architecture


_ONLY_32 = range(IMAGE_SIZE, IMAGE_SIZE + 1)  # its first linear layer takes 256 channels of 4x4 pixels
register(Architecture("alexnet", "AlexNet", AlexNet, {"dropout": 0.5}, capturable=True, image_sizes=_ONLY_32))
register(Architecture("mobilenet", "MobileNet-like", MobileNetLike, {"dropout": 0.0}, capturable=True))
