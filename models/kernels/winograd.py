"""A 3x3 convolution with a quarter of the multiplications, for training in float32 on a CPU.

It is F(4x4, 3x3) of Lavin and Gray (Fast Algorithms for Convolutional Neural Networks, 2016, section 4.3), whose
matrices it has. Tiles of 6x6 pixels overlap by 2, and each gives 4x4 pixels of the output. Transforms turn a tile and a
kernel into 36 numbers each. Their products, number by number, are summed over the channels: 36 multiplications instead
of 144 for each pair of channels.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

# Pixels of a side of a tile of the output, and of the tile of the input that it needs.
SIDE = 4
WHOLE = SIDE + 2
NUMBERS = WHOLE**2
# At most this many tiles at once, unless one image has more. If a batch with rows of 16 pixels is not divided, torch's
# convolution is faster.
TILES_AT_ONCE = 128
_TILE = [
    [4, 0, -5, 0, 1, 0],
    [0, -4, -4, 1, 1, 0],
    [0, 4, -4, -1, 1, 0],
    [0, -2, -1, 2, 1, 0],
    [0, 2, -1, -2, 1, 0],
    [0, 4, 0, -5, 0, 1],
]
_KERNEL: Sequence[Sequence[float]] = [
    [1 / 4, 0, 0],
    [-1 / 6, -1 / 6, -1 / 6],
    [-1 / 6, 1 / 6, -1 / 6],
    [1 / 24, 1 / 12, 1 / 6],
    [1 / 24, -1 / 12, 1 / 6],
    [0, 0, 1],
]
_OUTPUT = [
    [1, 1, 1, 1, 1, 0],
    [0, 1, -1, 2, -2, 0],
    [0, 1, 1, 4, 4, 0],
    [0, 1, -1, 8, -8, 1],
]


def _of_squares(matrix: Sequence[Sequence[float]]) -> Tensor:
    """Return the matrix that transforms the columns and the rows of a square in one product."""
    values = torch.tensor(matrix, dtype=torch.float64, device="cpu")
    return torch.kron(values, values).float()


FROM_TILE, FROM_KERNEL, TO_OUTPUT = _of_squares(_TILE), _of_squares(_KERNEL), _of_squares(_OUTPUT)


def can_take(images: Tensor) -> bool:
    """Return whether there is code for the device, the type and the size of these images [n, c, h, w]."""
    has_tiles = images.ndim == 4 and images.shape[2] % SIDE == 0 and images.shape[3] % SIDE == 0
    is_float = images.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    return images.device.type == "cpu" and is_float and has_tiles


def convolve(images: Tensor, weight: Tensor) -> Tensor:
    """Convolve images with 3x3 kernels and a padding of one pixel.

    Args:
        images: [n, c, h, w] that `can_take` takes.
        weight: float32 [channels, c, 3, 3].

    Returns:
        [n, channels, h, w], channels last. It and the gradients differ from torch's convolution by rounding: by some
        3e-6 of their norm.
    """
    output: Tensor = Convolution.apply(images, weight)
    return output


class Convolution(torch.autograd.Function):
    """Runs the two passes of `convolve`."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor) -> Tensor:
        tiles: list[Tensor] | None = [] if ctx.needs_input_grad[1] else None
        output = _convolve(images, _transformed(weight).transpose(1, 2), tiles)
        ctx.save_for_backward(weight, *(tiles or ()))
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        weight, *tiles = ctx.saved_tensors
        to_images = _convolve(gradient, _transformed(weight.flip(2, 3))) if ctx.needs_input_grad[0] else None
        if not ctx.needs_input_grad[1]:
            return to_images, None
        channels, c = weight.shape[:2]
        sums = _to_kernels(gradient, tiles, c).view(NUMBERS, -1)
        return to_images, (FROM_KERNEL.T @ sums).view(3, 3, channels, c).permute(2, 3, 0, 1)


def _convolve(images: Tensor, kernels: Tensor, kept: list[Tensor] | None = None) -> Tensor:
    """Convolve images [n, c, h, w] with kernels as numbers [36, c, channels]; keep the numbers of the tiles if asked.

    Returns:
        [n, channels, h, w], channels last.
    """
    n, c, height, width = images.shape
    channels = kernels.shape[2]
    output = images.new_empty(n, height, width, channels)
    places = output.view(n, height // SIDE, SIDE, width // SIDE, SIDE, channels).permute(2, 4, 0, 1, 3, 5)
    for part in _parts(images):
        tiles = (FROM_TILE @ _squares(F.pad(images[part], (1, 1, 1, 1)), WHOLE)).view(NUMBERS, -1, c)
        if kept is not None:
            kept.append(tiles)
        some = places[:, :, part]
        some.copy_((TO_OUTPUT @ torch.bmm(tiles, kernels).view(NUMBERS, -1)).view(some.shape))
    return output.permute(0, 3, 1, 2)


def _to_kernels(gradient: Tensor, tiles: list[Tensor], c: int) -> Tensor:
    """Return the gradient [36, channels, c] of the kernels' numbers.

    Args:
        gradient: gradient of the output [n, channels, h, w].
        tiles: the numbers of the tiles of the input, which has `c` channels.
    """
    channels = gradient.shape[1]
    sums = gradient.new_zeros(NUMBERS, channels, c)
    for part, some in zip(_parts(gradient), tiles, strict=True):
        spread = (TO_OUTPUT.T @ _squares(gradient[part], SIDE)).view(NUMBERS, -1, channels)
        sums.baddbmm_(spread.transpose(1, 2), some)
    return sums


def _transformed(weight: Tensor) -> Tensor:
    """Map kernels [channels, c, 3, 3] to their numbers [36, channels, c]."""
    return (FROM_KERNEL @ weight.permute(2, 3, 0, 1).reshape(9, -1)).view(NUMBERS, *weight.shape[:2])


def _parts(images: Tensor) -> list[slice]:
    """Divide images [n, c, h, w] into parts that have few tiles each."""
    n, _, height, width = images.shape
    step = max(1, TILES_AT_ONCE * SIDE**2 // (height * width))
    return [slice(start, start + step) for start in range(0, n, step)]


def _squares(images: Tensor, side: int) -> Tensor:
    """Copy the squares of images [n, c, h, w], one every 4 pixels, to [side * side, n * rows * columns * c]."""
    squares = images.permute(0, 2, 3, 1).unfold(1, side, SIDE).unfold(2, side, SIDE)
    return squares.permute(4, 5, 0, 1, 2, 3).reshape(side**2, -1)
