"""Batch normalisation, ReLU and max pooling in one, for training on a GPU, as Triton kernels.

torch runs each of the three by itself, forward and backward, and each reads and writes all activations. Here a layer
is read twice each way, for the sums and for the result, and what lies between the three is not kept but made again.

Activations are channels last, so an image [n, c, h, w] is a matrix of n * h * w pixels by c channels. Sums are taken in
two steps, of fixed order, so equal inputs give equal outputs.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

# Values that one program holds at a time, and programs that share the pixels of a sum: four for each multiprocessor.
TILE = 4096
PROGRAMS = 512

# Products and sums rounded one by one, so that forward and backward agree on which pixel is the highest.
OPTIONS = {"enable_fp_fusion": False}
# Compiled once for all sizes of images and batches.
_kernel = triton.jit(do_not_specialize=["pixels", "outputs", "width", "programs", "tiles"])


@_kernel
def _sums_kernel(x, sums, pixels, channels, tiles, PIXELS: tl.constexpr, CHANNELS: tl.constexpr):
    """sums[program, 0 and 1]: of a share of the pixels the sums of x - x[0] and of its squares, which cancel less."""
    c = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    is_channel = c < channels
    origin = tl.load(x + c, is_channel, 0.0).to(tl.float32)
    total = tl.zeros([PIXELS, CHANNELS], tl.float32)
    squares = tl.zeros([PIXELS, CHANNELS], tl.float32)
    # Tiles loaded ahead, here and backward, take 1.5 % off AlexNet's step on an H200, 2.5 off the MobileNet-like net's.
    for tile in tl.range(tiles, num_stages=3):
        p = (tl.program_id(0) * tiles + tile) * PIXELS + tl.arange(0, PIXELS)
        inside = (p < pixels)[:, None] & is_channel[None, :]
        value = tl.load(x + p[:, None] * channels + c[None, :], inside, 0.0).to(tl.float32)
        value = tl.where(inside, value - origin[None, :], 0.0)
        total += value
        squares += value * value
    _store_sums(sums, total, squares, channels, c, is_channel)


@triton.jit
def _store_sums(sums, first, second, channels, c, is_channel):
    target = sums + tl.program_id(0) * 2 * channels + c
    tl.store(target, tl.sum(first, 0), is_channel)
    tl.store(target + channels, tl.sum(second, 0), is_channel)


@triton.jit
def _load_sums(sums, programs, channels, c, PROGRAMS: tl.constexpr):
    program = tl.arange(0, PROGRAMS)[:, None]
    source = sums + program * 2 * channels + c[None, :]
    inside = (program < programs) & (c < channels)[None, :]
    return tl.sum(tl.load(source, inside, 0.0), 0), tl.sum(tl.load(source + channels, inside, 0.0), 0)


@_kernel
def _statistics_kernel(
    x, sums, mean, deviation, running_mean, running_variance, batches,
    programs, pixels, channels, momentum, eps, PROGRAMS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Mean and deviation of each channel from the sums, and the running statistics brought up to date."""
    c = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    is_channel = c < channels
    total, squares = _load_sums(sums, programs, channels, c, PROGRAMS)
    offset = total / pixels
    average = tl.load(x + c, is_channel, 0.0).to(tl.float32) + offset
    variance = squares / pixels - offset * offset
    # Not tl.maximum, which drops a NaN.
    variance = tl.where(variance < 0, 0.0, variance)
    tl.store(mean + c, average, is_channel)
    tl.store(deviation + c, tl.sqrt(variance + eps), is_channel)
    unbiased = variance * (pixels / (pixels - 1.0))
    before = tl.load(running_mean + c, is_channel, 0.0)
    tl.store(running_mean + c, before + momentum * (average - before), is_channel)
    before = tl.load(running_variance + c, is_channel, 0.0)
    tl.store(running_variance + c, before + momentum * (unbiased - before), is_channel)
    if tl.program_id(0) == 0:
        tl.store(batches, tl.load(batches) + 1)


@triton.jit
def _scale_and_shift(c, is_channel, mean, deviation, weight, bias):
    """Batch normalisation is x * scale + shift, each [1, channels]."""
    scale = tl.load(weight + c, is_channel, 0.0) / tl.load(deviation + c, is_channel, 1.0)
    shift = tl.load(bias + c, is_channel, 0.0) - tl.load(mean + c, is_channel, 0.0) * scale
    return scale[None, :], shift[None, :]


@triton.jit
def _load(x, k, p, c, inside, channels, width, SIDE: tl.constexpr):
    """Pixel k of each window [p, c], and its places in x; the pooled image is `width` wide."""
    pixel = (p // width * SIDE + k // SIDE) * width * SIDE + p % width * SIDE + k % SIDE
    place = pixel[:, None] * channels + c[None, :]
    return tl.load(x + place, inside, 0.0).to(tl.float32), place


@triton.jit
def _highest(x, p, c, inside, scale, shift, channels, width, SIDE: tl.constexpr):
    """Of each window [p, c] the highest activation, the pixel that it comes from, and the number of that pixel.

    The first of equal ones, as in torch's pool.
    """
    pixel, _ = _load(x, 0, p, c, inside, channels, width, SIDE)
    highest = pixel * scale + shift
    number = tl.zeros(highest.shape, tl.int32)
    for k in tl.static_range(1, SIDE * SIDE):
        value, _ = _load(x, k, p, c, inside, channels, width, SIDE)
        activation = value * scale + shift
        is_higher = activation > highest
        highest = tl.where(is_higher, activation, highest)
        pixel = tl.where(is_higher, value, pixel)
        number = tl.where(is_higher, k, number)
    return highest, pixel, number


@_kernel
def _forward_kernel(
    x, mean, deviation, weight, bias, y, outputs, channels, width,
    SIDE: tl.constexpr, PIXELS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    c = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    is_channel = c < channels
    p = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    inside = (p < outputs)[:, None] & is_channel[None, :]
    scale, shift = _scale_and_shift(c, is_channel, mean, deviation, weight, bias)
    highest, _, _ = _highest(x, p, c, inside, scale, shift, channels, width, SIDE)
    # A NaN is not below 0, and stays.
    tl.store(y + p[:, None] * channels + c[None, :], tl.where(highest < 0, 0.0, highest), inside)


@_kernel
def _backward_sums_kernel(
    x, gradient, mean, deviation, weight, bias, sums, outputs, channels, width, tiles,
    SIDE: tl.constexpr, PIXELS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """sums[program, 0 and 1]: of a share of the windows the sums of the gradient behind the ReLU, and of it times the
    normalised pixel."""
    c = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    is_channel = c < channels
    scale, shift = _scale_and_shift(c, is_channel, mean, deviation, weight, bias)
    average = tl.load(mean + c, is_channel, 0.0)[None, :]
    total = tl.zeros([PIXELS, CHANNELS], tl.float32)
    products = tl.zeros([PIXELS, CHANNELS], tl.float32)
    for tile in tl.range(tiles, num_stages=3):
        p = (tl.program_id(0) * tiles + tile) * PIXELS + tl.arange(0, PIXELS)
        inside = (p < outputs)[:, None] & is_channel[None, :]
        above = tl.load(gradient + p[:, None] * channels + c[None, :], inside, 0.0).to(tl.float32)
        highest, pixel, _ = _highest(x, p, c, inside, scale, shift, channels, width, SIDE)
        above = tl.where(highest <= 0, 0.0, above)
        total += above
        products += above * (pixel - average)
    products /= tl.load(deviation + c, is_channel, 1.0)[None, :]
    _store_sums(sums, total, products, channels, c, is_channel)


@_kernel
def _parameters_kernel(sums, to_weight, to_bias, programs, channels, PROGRAMS: tl.constexpr, CHANNELS: tl.constexpr):
    c = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    total, products = _load_sums(sums, programs, channels, c, PROGRAMS)
    tl.store(to_bias + c, total, c < channels)
    tl.store(to_weight + c, products, c < channels)


@_kernel
def _backward_kernel(
    x, gradient, mean, deviation, weight, bias, to_weight, to_bias, to_x, outputs, channels, width,
    SIDE: tl.constexpr, PIXELS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    c = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    is_channel = c < channels
    p = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    inside = (p < outputs)[:, None] & is_channel[None, :]
    scale, shift = _scale_and_shift(c, is_channel, mean, deviation, weight, bias)
    above = tl.load(gradient + p[:, None] * channels + c[None, :], inside, 0.0).to(tl.float32)
    highest, _, number = _highest(x, p, c, inside, scale, shift, channels, width, SIDE)
    above = tl.where(highest <= 0, 0.0, above)
    # What the mean and the deviation of all pixels take off, as slope * (x - average) + offset.
    pixels = outputs * (SIDE * SIDE)
    average = tl.load(mean + c, is_channel, 0.0)[None, :]
    slope = tl.load(to_weight + c, is_channel, 0.0) / tl.load(deviation + c, is_channel, 1.0) / pixels
    offset = tl.load(to_bias + c, is_channel, 0.0)[None, :] / pixels
    for k in tl.static_range(SIDE * SIDE):
        value, place = _load(x, k, p, c, inside, channels, width, SIDE)
        below = tl.where(number == k, above, 0.0)
        tl.store(to_x + place, scale * (below - slope[None, :] * (value - average) - offset), inside)


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
        _sums_kernel[programs, tile.columns](x, sums, pixels, channels, tiles, tile.pixels, tile.channels, **OPTIONS)
        _statistics_kernel[(triton.cdiv(channels, 8),)](
            x, sums, mean, deviation, running_mean, running_variance, batches,
            programs, pixels, channels, momentum, eps, triton.next_power_of_2(programs), 8, **OPTIONS,
        )  # fmt: skip
        tile = _Tile(channels, side)
        outputs = pixels // side**2
        _forward_kernel[triton.cdiv(outputs, tile.pixels), tile.columns](
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
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, mean, deviation, weight, bias = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        n, channels, height, width = gradient.shape
        outputs = n * height * width
        tile = _Tile(channels, ctx.side)
        programs, tiles = tile.shares(outputs)
        sums = torch.empty(programs, 2, channels, device=x.device)
        to_x, to_weight, to_bias = (torch.empty_like(tensor) for tensor in (x, weight, bias))
        _backward_sums_kernel[programs, tile.columns](
            x, gradient, mean, deviation, weight, bias, sums, outputs, channels, width, tiles,
            ctx.side, tile.pixels, tile.channels, **OPTIONS,
        )  # fmt: skip
        _parameters_kernel[(triton.cdiv(channels, 8),)](
            sums, to_weight, to_bias, programs, channels, triton.next_power_of_2(programs), 8, **OPTIONS
        )
        _backward_kernel[triton.cdiv(outputs, tile.pixels), tile.columns](
            x, gradient, mean, deviation, weight, bias, to_weight, to_bias, to_x, outputs, channels, width,
            ctx.side, tile.pixels, tile.channels, **OPTIONS,
        )  # fmt: skip
        return to_x, to_weight, to_bias, None, None, None, None, None, None


class _Tile:
    """How many output pixels, and of how many channels, a program works on at a time."""

    def __init__(self, channels: int, side: int) -> None:
        self.channels = min(64, triton.next_power_of_2(channels))
        self.columns = triton.cdiv(channels, self.channels)
        self.pixels = TILE // self.channels // side**2

    def shares(self, outputs: int) -> tuple[int, int]:
        """Programs that share a sum over so many pixels, and tiles of each."""
        tiles = triton.cdiv(outputs, self.pixels)
        each = triton.cdiv(tiles, max(1, PROGRAMS // self.columns))
        return triton.cdiv(tiles, each), each


def norm_relu_pool(images: Tensor, norm: torch.nn.BatchNorm2d, side: int) -> Tensor:
    """Batch normalisation in training (Ioffe and Szegedy, 2015), ReLU, and the maxima of square windows.

    Args:
        images: [n, c, h, w] with more than one pixel, h and w multiples of `side`, fewer than 2**31 values.
        norm: gives weights, running statistics (which it updates), momentum and epsilon.
        side: of a window, in pixels, 1, 2, 4 or 8; 1 does not pool.

    Returns:
        [n, c, h // side, w // side] of the type of `images`, channels last. Gradients are those of torch's own layers,
        but that the first maximum of a window is that of float32 values.
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
