"""Batch normalisation, ReLU and max pooling in one, for training on a CPU: models/norm_relu_pool.c.

torch runs each of the three by itself, forward and backward, and each reads and writes all activations; its pool keeps
an index of 8 bytes for each value, too. Here a layer is read twice each way, for the sums and for the result.
"""

import ctypes
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import BatchNorm2d

# Channels come in as many as the longest vectors of any CPU hold.
LANES = 16
SOURCE = Path(__file__).with_name("norm_relu_pool.c")
COMPILER = ("cc", "-O3", "-march=native", "-fopenmp", "-shared", "-fPIC", "-Wno-psabi")
# Products and sums rounded one by one, so that forward and backward agree on which pixel is the highest.
ROUNDING = ("-ffp-contract=off",)
OPTIONS = {torch.bfloat16: ("-DBFLOAT16",), torch.float32: ()}


class CompilationFailed(Exception):
    """There is no C compiler, it fails, or what it made cannot be loaded."""


class _Sizes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_long) for name in ("n", "height", "width", "channels", "side")]


@cache
def library(dtype: torch.dtype) -> ctypes.CDLL:
    """The code for tensors of this type, compiled for the CPU of this process, which takes a third of a second.

    Raises:
        CompilationFailed: see there.
    """
    try:
        with tempfile.TemporaryDirectory() as directory:
            output = Path(directory, "norm_relu_pool.so")
            command = [*COMPILER, *ROUNDING, *OPTIONS[dtype], str(SOURCE), "-o", str(output), "-lm"]
            subprocess.run(command, check=True, capture_output=True, text=True, errors="replace")
            # torch has loaded its copy of OpenMP, so the threads are torch's.
            return ctypes.CDLL(str(output))
    except subprocess.CalledProcessError as error:
        raise CompilationFailed(error.stderr.strip() or str(error)) from error
    except OSError as error:
        raise CompilationFailed(str(error)) from error


def run_c(function: Any, *arguments: Tensor | ctypes.Structure | ctypes.c_double) -> None:
    """Calls a function of the code with the addresses of tensors, and the number of threads as its last argument."""
    pointers = (ctypes.c_void_p(a.data_ptr()) if isinstance(a, Tensor) else a for a in arguments)
    function(*pointers, ctypes.c_int(torch.get_num_threads()))


class _NormReluPool(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        running_mean: Tensor,
        running_variance: Tensor,
        momentum: float,
        eps: float,
        side: int,
    ) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        n, channels, height, width = x.shape
        statistics, sums = weight.new_empty(4, channels), weight.new_empty(n, 2, channels)
        size = (n, channels, height // side, width // side)
        y = torch.empty(size, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
        sizes = _Sizes(n, height, width, channels, side)
        run_c(
            library(x.dtype).forward, x, weight, bias, running_mean, running_variance, statistics, sums, y, sizes,
            ctypes.c_double(momentum), ctypes.c_double(eps),
        )  # fmt: skip
        ctx.save_for_backward(x, statistics)
        ctx.sizes = sizes
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, statistics = ctx.saved_tensors
        # Where hooks keep saved tensors elsewhere, they may come back in another layout.
        x = x.contiguous(memory_format=torch.channels_last)
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        n, channels = x.shape[:2]
        sums, work = statistics.new_empty(n, 2, channels), statistics.new_empty(2, channels)
        to_x, to_weight, to_bias = torch.empty_like(x), statistics.new_empty(channels), statistics.new_empty(channels)
        run_c(library(x.dtype).backward, x, gradient, statistics, sums, work, to_x, to_weight, to_bias, ctx.sizes)
        return to_x, to_weight, to_bias, None, None, None, None, None


def can_take(images: Tensor) -> bool:
    """Whether there is code for the type and the channels of these images [n, c, h, w]."""
    return images.device.type == "cpu" and images.dtype in OPTIONS and images.shape[1] % LANES == 0


def norm_relu_pool(images: Tensor, norm: BatchNorm2d, side: int) -> Tensor:
    """Batch normalisation in training, ReLU, and the maxima of square windows.

    Args:
        images: [n, c, h, w] that `can_take` takes, h and w multiples of `side`.
        norm: gives weights, running statistics, which it updates, momentum and epsilon.
        side: of a window, in pixels; 1 does not pool.

    Returns:
        [n, c, h // side, w // side] of the type of `images`, channels last, the same bits for any number of threads.
        Gradients are those of torch's own layers, but that the first maximum of a window is that of float32 values.

    Raises:
        CompilationFailed: there is no code.
    """
    assert norm.num_batches_tracked is not None
    norm.num_batches_tracked.add_(1)
    output: Tensor = _NormReluPool.apply(
        images, norm.weight, norm.bias, norm.running_mean, norm.running_var, norm.momentum, norm.eps, side
    )
    return output
