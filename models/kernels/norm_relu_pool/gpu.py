"""Batch normalisation, ReLU and max pooling as one operation for training on a GPU, in Triton.

torch runs each of the three layers by itself, forward and backward, and each reads and writes all activations. Here
each pass reads a layer twice, once for the sums and once for the result. The backward pass computes the values between
the three layers again instead of keeping them. README.md, one folder up, says what this saves.
"""

from typing import Any

import torch
import triton
from torch import Tensor
from torch.autograd.function import once_differentiable

from models.kernels.norm_relu_pool.gpu_kernels import (
    backward_kernel,
    backward_sums_kernel,
    forward_kernel,
    parameters_kernel,
    statistics_kernel,
    sums_kernel,
)

# At most 4096 values a program at a time, because they are held in registers.
TILE = 4096
# At most 512 programs share the pixels of a sum: four for each multiprocessor of an H200.
PROGRAMS = 512

# Without fused multiply-add forward and backward round alike, so they agree on the highest pixel of a window.
OPTIONS = {"enable_fp_fusion": False}


class _NormReluPool(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        running_mean: Tensor,
        running_variance: Tensor,
        batches: Tensor,
        momentum: float,
        eps: float,
        side: int,
    ) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        n, channels, height, width = x.shape
        mean, deviation = torch.empty_like(running_mean), torch.empty_like(running_mean)
        size = (n, channels, height // side, width // side)
        y = torch.empty(size, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
        pixels = n * height * width
        tile = _Tile(channels, 1)
        programs, tiles = tile.shares(pixels)
        sums = torch.empty(programs, 2, channels, device=x.device)
        sums_kernel[programs, tile.columns](x, sums, pixels, channels, tiles, tile.pixels, tile.channels, **OPTIONS)
        statistics_kernel[(triton.cdiv(channels, 8),)](
            x, sums, mean, deviation, running_mean, running_variance, batches,
            programs, pixels, channels, momentum, eps, triton.next_power_of_2(programs), 8, **OPTIONS,
        )  # fmt: skip
        tile = _Tile(channels, side)
        outputs = pixels // side**2
        forward_kernel[triton.cdiv(outputs, tile.pixels), tile.columns](
            x,
            mean,
            deviation,
            weight,
            bias,
            y,
            outputs,
            channels,
            width // side,
            side,
            tile.pixels,
            tile.channels,
            **OPTIONS,
        )
        ctx.save_for_backward(x, mean, deviation, weight, bias)
        ctx.side = side
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, mean, deviation, weight, bias = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        n, channels, height, width = gradient.shape
        outputs = n * height * width
        tile = _Tile(channels, ctx.side)
        programs, tiles = tile.shares(outputs)
        sums = torch.empty(programs, 2, channels, device=x.device)
        to_x, to_weight, to_bias = (torch.empty_like(tensor) for tensor in (x, weight, bias))
        backward_sums_kernel[programs, tile.columns](
            x, gradient, mean, deviation, weight, bias, sums, outputs, channels, width, tiles,
            ctx.side, tile.pixels, tile.channels, **OPTIONS,
        )  # fmt: skip
        parameters_kernel[(triton.cdiv(channels, 8),)](
            sums, to_weight, to_bias, programs, channels, triton.next_power_of_2(programs), 8, **OPTIONS
        )
        backward_kernel[triton.cdiv(outputs, tile.pixels), tile.columns](
            x, gradient, mean, deviation, weight, bias, to_weight, to_bias, to_x, outputs, channels, width,
            ctx.side, tile.pixels, tile.channels, **OPTIONS,
        )  # fmt: skip
        return to_x, to_weight, to_bias, None, None, None, None, None, None


class _Tile:
    """Holds the output pixels and channels that a program works on at a time, and the number of tiles side by side."""

    def __init__(self, channels: int, side: int) -> None:
        self.channels = min(64, triton.next_power_of_2(channels))
        self.columns = triton.cdiv(channels, self.channels)
        self.pixels = TILE // self.channels // side**2

    def shares(self, outputs: int) -> tuple[int, int]:
        """Return how many programs share a sum over `outputs` pixels, and the tiles of each program."""
        tiles = triton.cdiv(outputs, self.pixels)
        each = triton.cdiv(tiles, max(1, PROGRAMS // self.columns))
        return triton.cdiv(tiles, each), each


def norm_relu_pool(images: Tensor, norm: torch.nn.BatchNorm2d, side: int) -> Tensor:
    """Apply batch normalisation in training (Ioffe and Szegedy, 2015), ReLU, and max pooling over square windows.

    Args:
        images: [n, c, h, w] with more than one pixel, h and w multiples of `side`, fewer than 2**31 values.
        norm: gives weights, momentum and epsilon; its running statistics are updated.
        side: side of a window in pixels, 1, 2, 4 or 8; 1 does not pool.

    Returns:
        [n, c, h // side, w // side] of the type of `images`, channels last. Gradients equal the gradients of torch's
        layers, except that the maximum of a window is found in float32.
    """
    output: Tensor = _NormReluPool.apply(
        images,
        norm.weight,
        norm.bias,
        norm.running_mean,
        norm.running_var,
        norm.num_batches_tracked,
        norm.momentum,
        norm.eps,
        side,
    )
    return output
