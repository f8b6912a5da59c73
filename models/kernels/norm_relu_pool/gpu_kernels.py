"""The Triton kernels of batch normalisation, ReLU and max pooling; gpu.py launches them.

Activations are channels last: images [n, c, h, w] are a matrix of n * h * w pixels by c channels. Each program of a
kernel works on a tile of PIXELS rows and CHANNELS columns. A sum has two steps of fixed order (a partial sum for each
program, then the sum of the partial sums), so equal inputs give equal outputs.
"""

import triton
import triton.language as tl

# Triton compiles each kernel once for all sizes of images and batches.
_kernel = triton.jit(do_not_specialize=["pixels", "outputs", "width", "programs", "tiles"])


@_kernel
def sums_kernel(x, sums, pixels, channels, tiles, PIXELS: tl.constexpr, CHANNELS: tl.constexpr):
    """Store in sums[program, 0 and 1] the sums of x - x[0] and of its squares over one share of the pixels."""
    c = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    is_channel = c < channels
    origin = tl.load(x + c, is_channel, 0.0).to(tl.float32)
    total = tl.zeros([PIXELS, CHANNELS], tl.float32)
    squares = tl.zeros([PIXELS, CHANNELS], tl.float32)
    # num_stages loads tiles ahead; README.md has the gain.
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
def statistics_kernel(
    x, sums, mean, deviation, running_mean, running_variance, batches,
    programs, pixels, channels, momentum, eps, PROGRAMS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Store mean and deviation of each channel, and update the running statistics."""
    c = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    is_channel = c < channels
    total, squares = _load_sums(sums, programs, channels, c, PROGRAMS)
    offset = total / pixels
    average = tl.load(x + c, is_channel, 0.0).to(tl.float32) + offset
    variance = squares / pixels - offset * offset
    # tl.maximum would drop a NaN.
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
    """Return scale and shift, [1, channels] each: batch normalisation is x * scale + shift."""
    scale = tl.load(weight + c, is_channel, 0.0) / tl.load(deviation + c, is_channel, 1.0)
    shift = tl.load(bias + c, is_channel, 0.0) - tl.load(mean + c, is_channel, 0.0) * scale
    return scale[None, :], shift[None, :]


@triton.jit
def _load(x, k, p, c, inside, channels, width, SIDE: tl.constexpr):
    """Load pixel k of each window [p, c]; return it and its places in x. The pooled image is `width` pixels wide."""
    pixel = (p // width * SIDE + k // SIDE) * width * SIDE + p % width * SIDE + k % SIDE
    place = pixel[:, None] * channels + c[None, :]
    return tl.load(x + place, inside, 0.0).to(tl.float32), place


@triton.jit
def _highest(x, p, c, inside, scale, shift, channels, width, SIDE: tl.constexpr):
    """Return the highest activation of each window [p, c], its pixel before normalisation, and the pixel's number.

    If activations are equal, the first wins, as in torch's pool.
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
def forward_kernel(
    x, mean, deviation, weight, bias, y, outputs, channels, width,
    SIDE: tl.constexpr, PIXELS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    c = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    is_channel = c < channels
    p = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    inside = (p < outputs)[:, None] & is_channel[None, :]
    scale, shift = _scale_and_shift(c, is_channel, mean, deviation, weight, bias)
    highest, _, _ = _highest(x, p, c, inside, scale, shift, channels, width, SIDE)
    # A NaN is not below 0, so it stays.
    tl.store(y + p[:, None] * channels + c[None, :], tl.where(highest < 0, 0.0, highest), inside)


@_kernel
def backward_sums_kernel(
    x, gradient, mean, deviation, weight, bias, sums, outputs, channels, width, tiles,
    SIDE: tl.constexpr, PIXELS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Store in sums[program, 0 and 1] two sums over one share of the windows.

    The first is of the gradient at the input of the ReLU, the second of this gradient times the normalised pixel.
    """
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
def parameters_kernel(sums, to_weight, to_bias, programs, channels, PROGRAMS: tl.constexpr, CHANNELS: tl.constexpr):
    c = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    total, products = _load_sums(sums, programs, channels, c, PROGRAMS)
    tl.store(to_bias + c, total, c < channels)
    tl.store(to_weight + c, products, c < channels)


@_kernel
def backward_kernel(
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
    # Mean and deviation depend on all pixels, which subtracts slope * (x - average) + offset from the gradient.
    pixels = outputs * (SIDE * SIDE)
    average = tl.load(mean + c, is_channel, 0.0)[None, :]
    slope = tl.load(to_weight + c, is_channel, 0.0) / tl.load(deviation + c, is_channel, 1.0) / pixels
    offset = tl.load(to_bias + c, is_channel, 0.0)[None, :] / pixels
    for k in tl.static_range(SIDE * SIDE):
        value, place = _load(x, k, p, c, inside, channels, width, SIDE)
        below = tl.where(number == k, above, 0.0)
        tl.store(to_x + place, scale * (below - slope[None, :] * (value - average) - offset), inside)
