"""Batch normalisation, ReLU and max pooling as one operation for training on a CPU, in C (norm_relu_pool.c).

torch runs each of the three layers by itself, forward and backward, and each reads and writes all activations. torch's
pool also keeps an index of 8 bytes for each value. Here each pass reads a layer twice, once for the sums and once for
the result. README.md, one folder up, says what this saves.
"""

import ctypes
import os
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import BatchNorm2d

# The channels must be a multiple of 16, because the longest vectors (AVX-512) hold 16 floats.
LANES = 16
SOURCE = Path(__file__).with_name("norm_relu_pool.c")
COMPILER = ("cc", "-O3", "-march=native", "-fopenmp", "-shared", "-fPIC", "-Wno-psabi")
# Without fused multiply-add forward and backward round alike, so they agree on the highest pixel of a window.
ROUNDING = ("-ffp-contract=off",)
# At least 100 times as long as the compiler takes on a quiet server (0.35 s), because one that takes longer hangs.
LONGEST_SECONDS = 120.0
OPTIONS = {torch.bfloat16: ("-DBFLOAT16",), torch.float32: ()}


class CompilationFailed(Exception):
    """Says that there is no C compiler, that it fails, or that its output cannot be loaded."""


class _Sizes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_long) for name in ("n", "height", "width", "channels", "side")]


@cache
def library(dtype: torch.dtype) -> ctypes.CDLL:
    """Compile the code for tensors of this type and for the CPU of this process, once a process; return the library.

    Raises:
        CompilationFailed: if there is no C compiler, if it fails, or if its output cannot be loaded.
    """
    try:
        with tempfile.TemporaryDirectory() as directory:
            output = Path(directory, "norm_relu_pool.so")
            command = [*COMPILER, *ROUNDING, *OPTIONS[dtype], str(SOURCE), "-o", str(output), "-lm"]
            _compile(command, Path(directory, "errors"))
            # torch has already loaded OpenMP, so the code shares torch's threads.
            return ctypes.CDLL(str(output))
    except OSError as error:
        raise CompilationFailed(str(error)) from error


def _compile(command: Sequence[str], errors: Path) -> None:
    """Run the compiler, whose errors go into a file, and end it with its processes if it takes too long."""
    with (
        errors.open("wb") as output,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        ) as compiler,
    ):
        try:
            status = compiler.wait(LONGEST_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise CompilationFailed(f"{command[0]} did not end within {LONGEST_SECONDS:.0f} s") from error
        finally:
            if compiler.poll() is None:
                os.killpg(compiler.pid, signal.SIGKILL)
    if status:
        said = errors.read_text(errors="replace").strip()
        raise CompilationFailed(said or f"{command[0]} ended with status {status}")


def run_c(function: Any, *arguments: Tensor | ctypes.Structure | ctypes.c_double) -> None:
    """Call a function of the library with the addresses of the tensors and with torch's number of threads."""
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
        # Hooks for saved tensors may bring them back in another layout.
        x = x.contiguous(memory_format=torch.channels_last)
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        n, channels = x.shape[:2]
        sums, work = statistics.new_empty(n, 2, channels), statistics.new_empty(2, channels)
        to_x, to_weight, to_bias = torch.empty_like(x), statistics.new_empty(channels), statistics.new_empty(channels)
        run_c(library(x.dtype).backward, x, gradient, statistics, sums, work, to_x, to_weight, to_bias, ctx.sizes)
        return to_x, to_weight, to_bias, None, None, None, None, None


def can_take(images: Tensor) -> bool:
    """Return whether there is code for the device, the type and the channels of these images [n, c, h, w]."""
    return images.device.type == "cpu" and images.dtype in OPTIONS and images.shape[1] % LANES == 0


def norm_relu_pool(images: Tensor, norm: BatchNorm2d, side: int) -> Tensor:
    """Apply batch normalisation in training, ReLU, and max pooling over square windows.

    Args:
        images: [n, c, h, w] that `can_take` takes, h and w multiples of `side`.
        norm: gives weights, momentum and epsilon; its running statistics are updated.
        side: side of a window in pixels, at least 1; 1 does not pool.

    Returns:
        [n, c, h // side, w // side] of the type of `images`, channels last, the same bits for any number of threads.
        Gradients equal the gradients of torch's layers, except that the maximum of a window is found in float32.

    Raises:
        CompilationFailed: if the code cannot be compiled or loaded.
    """
    assert norm.num_batches_tracked is not None
    norm.num_batches_tracked.add_(1)
    output: Tensor = _NormReluPool.apply(
        images, norm.weight, norm.bias, norm.running_mean, norm.running_var, norm.momentum, norm.eps, side
    )
    return output
