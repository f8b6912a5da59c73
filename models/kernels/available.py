"""The kernels that can run on this machine, and the switch that lets a network use them."""

import warnings
from functools import cache

import torch
from torch import Tensor, nn

# At most this many values of a tensor, because Triton's kernels count them in 32 bits.
MOST_VALUES = 2**31 - 1


class Switchable:
    """Marks a module that has fast code beside torch's own layers.

    Attributes:
        uses_kernels: true if the fast code may run; off until `use_kernels` switches it on.
    """

    uses_kernels: bool = False


def use_kernels(model: nn.Module, allowed: bool) -> None:
    """Switch the fast code of all layers of a network on or off; copies of the network keep the switch."""
    for module in model.modules():
        if isinstance(module, Switchable):
            module.uses_kernels = allowed


def has_switchable(model: nn.Module) -> bool:
    """Return whether some layer of the network has fast code."""
    return any(isinstance(module, Switchable) for module in model.modules())


def has_memory(values: Tensor) -> bool:
    """Return whether fast code may read the memory of a tensor; if not, torch's layers have to compute.

    A tensor of a subclass, such as a FakeTensor, may have no memory. A function transform (`torch.func`) or a trace
    sees torch's operations alone.
    """
    modes = torch._C._TorchDispatchModeKey
    return (
        type(values) in (Tensor, nn.Parameter)
        and not torch._C._are_functorch_transforms_active()
        and torch._C._get_tracing_state() is None
        and not torch.compiler.is_compiling()
        and not any(torch._C._get_dispatch_mode(mode) for mode in (modes.FAKE, modes.PROXY))
    )


@cache
def can_use_triton() -> bool:
    """Return whether Triton can build kernels for the GPU; warn if not.

    Triton needs a C compiler and Python's headers.
    """
    try:
        from models.kernels.norm_relu_pool.gpu import norm_relu_pool

        with torch.no_grad():
            norm_relu_pool(torch.zeros(1, 8, 2, 2, device="cuda"), nn.BatchNorm2d(8, device="cuda"), 2)
    except Exception as error:  # no module, no compiler, no support for this GPU
        warnings.warn(f"Triton builds no kernels here, so training is slower: {error}", RuntimeWarning, stacklevel=2)
        return False
    return True


@cache
def can_compile_c(dtype: torch.dtype) -> bool:
    """Return whether a C compiler (cc) builds code for values of this type that loads here; warn if not."""
    from models.kernels.norm_relu_pool.cpu import CompilationFailed, library

    try:
        library(dtype)
    except CompilationFailed as error:
        warnings.warn(f"No C is compiled here, so training is slower: {error}", RuntimeWarning, stacklevel=2)
        return False
    return True
