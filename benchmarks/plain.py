"""Networks as a tutorial builds them, for the sides that this project is compared with."""

from torch import nn

from models.networks.layers import Features
from models.networks.registry import Architecture


def plain_network(architecture: Architecture, n_classes: int, dropout: float) -> nn.Module:
    """Builds the network from torch's layers, run one after the other, with the same names of weights.

    Its kernels stay off, and in float32 its convolutions are torch's, too.
    """
    model = architecture.build(n_classes, {"dropout": dropout})
    for name, layers in model.named_children():
        if isinstance(layers, Features):
            setattr(model, name, nn.Sequential(*layers))
    return model
