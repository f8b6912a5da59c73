"""Whether the kernels of this project run here: those of a GPU, in Triton, and those of a CPU, in C."""

import warnings
from functools import cache

import torch
from torch import nn


@cache
def can_use_triton() -> bool:
    """Whether Triton, which asks for a C compiler and Python's headers, can build kernels for the GPU; warns if not."""
    try:
        from models.kernels.norm_relu_pool_gpu import norm_relu_pool

        with torch.no_grad():
            norm_relu_pool(torch.zeros(1, 8, 2, 2, device="cuda"), nn.BatchNorm2d(8, device="cuda"), 2)
    except Exception as error:  # of many kinds: no module, no compiler, no support for this GPU
        warnings.warn(f"Triton builds no kernels here, so training is slower: {error}", RuntimeWarning, stacklevel=2)
        return False
    return True


@cache
def can_compile_c(dtype: torch.dtype) -> bool:
    """Whether there is a C compiler (cc) whose code for this type of values can run here; warns if not."""
    from models.kernels.norm_relu_pool_cpu import CompilationFailed, library

    try:
        library(dtype)
    except CompilationFailed as error:
        warnings.warn(f"No C is compiled here, so training is slower: {error}", RuntimeWarning, stacklevel=2)
        return False
    return True
