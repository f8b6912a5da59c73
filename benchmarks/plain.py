"""A network as a tutorial builds it, for the sides that this project is compared with."""

from torch import nn

from models.networks.layers import Features
from models.networks.registry import Architecture


def plain_network(architecture: Architecture, n_classes: int, dropout: float) -> nn.Module:
    """The network with the same weights by the same names, whose layers torch runs one after the other.

    In float32, in which it is to be trained, its convolutions are torch's by themselves.
    """
    model = architecture.build(n_classes, dropout)
    for name, layers in model.named_children():
        if isinstance(layers, Features):
            setattr(model, name, nn.Sequential(*layers))
    return model
