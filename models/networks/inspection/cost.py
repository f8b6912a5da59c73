"""Parameters and multiply-accumulates of a network."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from models.data import IMAGE_SIZE


def count_parameters(model: nn.Module) -> int:
    """Return the number of trainable weights."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def count_macs(model: nn.Module, image_size: int = IMAGE_SIZE) -> int:
    """Return the multiply-accumulates of convolutions and matrix products to predict one square image."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model.eval()(torch.zeros(1, 3, image_size, image_size))
    return int(counter.get_total_flops()) // 2
