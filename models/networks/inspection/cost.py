"""Parameters and multiply-accumulates of a network."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def count_parameters(model: nn.Module) -> int:
    """Return the number of trainable weights."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def count_macs(model: nn.Module) -> int:
    """Return the multiply-accumulates of convolutions and matrix products to predict one 3x32x32 image.

    The products of attention are among them.
    """
    with FlopCounterMode(display=False) as counter, torch.inference_mode(), _plain_attention():
        model.eval()(torch.zeros(1, 3, 32, 32))
    return int(counter.get_total_flops()) // 2


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Switch torch's fast path of attention off, because the counter does not see into it."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
