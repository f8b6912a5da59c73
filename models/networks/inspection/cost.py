"""Parameters and multiply-accumulates of a network."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from inspect import unwrap
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from models.data import IMAGE_SIZE


def count_parameters(model: nn.Module) -> int:
    """Return the number of trainable weights."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def count_macs(model: nn.Module, image_size: int = IMAGE_SIZE) -> int:
    """Return the multiply-accumulates of convolutions and matrix products to predict one square image.

    The products of attention are among them.
    """
    with _Counter() as counter, torch.inference_mode(), _plain_attention():
        model.eval()(torch.zeros(1, 3, image_size, image_size))
    macs: int = counter.flops // 2
    return macs


class _Counter(TorchDispatchMode):
    """Adds up the floating-point operations by torch's own formulas.

    torch's FlopCounterMode gives the same number, but imports torch.compile, which takes a study seconds.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flops: int = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        count = flop_registry.get(func.overloadpacket)
        if count is None:
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        result = func(*args, **kwargs)
        if count is not None:
            self.flops += count(*args, **kwargs, out_val=result)
        return result


_Counter.__torch_dispatch__ = unwrap(_Counter.__torch_dispatch__)  # type: ignore[method-assign]


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Switch torch's fast path of attention off, because the counter does not see into it."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
