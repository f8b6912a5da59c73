"""A convolution with three faster ways to train: in float32 on a CPU, and in bfloat16 with Intel AMX or on a GPU.

README.md in this folder says what each saves.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.grad import conv2d_input, conv2d_weight

from models.kernels import winograd
from models.kernels.available import MOST_VALUES, Switchable, can_use_triton, has_memory

HAS_TILES = bool(torch.cpu.get_capabilities().get("amx_bf16", False))
# At most 8 pixels a row, because oneDNN is slow on such rows; on rows of 16 it is not.
NARROW = 8
# At least enough images side by side to fill the tiles with rows of hundreds of pixels.
IMAGES_A_ROW = 32
# At most 32 values under the kernel, because models/kernels/first_convolution.py has rows of 32.
MOST_IN_A_ROW = 32
# At least this many channels on both sides: with fewer, Winograd's transforms take about as long as they save.
MANY_CHANNELS = 64


class Conv2d(Switchable, nn.Conv2d):
    """Maps [n, in_channels, h, w] to [n, out_channels, h, w] as torch's size-keeping convolution without bias does.

    For the gradient of the weights oneDNN multiplies a row of pixels at a time, and a row of 8 pixels fills a quarter
    of an AMX tile. Images put side by side make rows of hundreds of pixels and give the same sums.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: odd side of the square kernel, in pixels.
        groups: divides both numbers of channels; default 1, an ordinary convolution.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, groups: int = 1) -> None:
        super().__init__(in_channels, out_channels, kernel_size, padding=kernel_size // 2, groups=groups, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Convolve with the fast code if it is switched on and supports the images, else with torch's layer."""
        if not self.uses_kernels:
            return super().forward(images)
        if not has_memory(images):
            return super().forward(images)
        if self.groups == 1 and images.shape[-1] <= NARROW and _multiplies_in_tiles(images):
            output: Tensor = _SideBySide.apply(images.bfloat16(), self.weight.bfloat16())
            return output
        if self.training and self.suits_winograd and winograd.can_take(images):
            return winograd.convolve(images, self.weight)
        if self.training and self._suits_patches(images) and can_use_triton():
            from models.kernels.first_convolution import convolve

            return convolve(images, self.weight)
        return super().forward(images)

    @property
    def suits_winograd(self) -> bool:
        """Whether the layer has 3x3 kernels, and enough channels that Winograd's convolution saves time."""
        is_wide = min(self.in_channels, self.out_channels) >= MANY_CHANNELS
        return is_wide and self.groups == 1 and self.kernel_size == (3, 3)

    def _suits_patches(self, images: Tensor) -> bool:
        values = self.in_channels * self.kernel_size[0] ** 2
        is_small = values <= MOST_IN_A_ROW and images[:, 0].numel() * MOST_IN_A_ROW <= MOST_VALUES
        return _is_bfloat16(images, "cuda") and self.groups == 1 and is_small and not images.requires_grad


def _multiplies_in_tiles(images: Tensor) -> bool:
    return HAS_TILES and _is_bfloat16(images, "cpu")


def _is_bfloat16(images: Tensor, device: str) -> bool:
    return (
        images.device.type == device
        and torch.is_autocast_enabled(device)
        and torch.get_autocast_dtype(device) == torch.bfloat16
    )


class _SideBySide(torch.autograd.Function):
    """Convolves bfloat16 tensors; the gradient of the weights is computed from the images side by side."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(images, weight)
        return F.conv2d(images, weight, padding=weight.shape[-1] // 2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor]:
        images, weight = ctx.saved_tensors
        padding = weight.shape[-1] // 2
        to_images = conv2d_input(images.shape, weight, gradient, padding=padding) if ctx.needs_input_grad[0] else None
        wide, wide_gradient = side_by_side(images, padding), side_by_side(gradient, padding)
        return to_images, conv2d_weight(wide, weight.shape, wide_gradient, padding=padding)


def side_by_side(images: Tensor, gap: int) -> Tensor:
    """Put images in rows of 32, each image followed by `gap` columns of zeros.

    Args:
        images: [n, c, h, w].
        gap: columns of zeros, at least the padding of the convolution, so that neighbours do not mix.

    Returns:
        [ceil(n / 32), c, h, 32 * (w + gap)], channels last; the last row is filled up with zeros.
    """
    n, channels, height, width = images.shape
    if missing := -n % IMAGES_A_ROW:
        images = F.pad(images, (0, 0, 0, 0, 0, 0, 0, missing))
    rows = images.permute(0, 2, 3, 1).reshape(-1, IMAGES_A_ROW, height, width, channels)
    wide = images.new_zeros(len(rows), height, IMAGES_A_ROW, width + gap, channels)
    wide[:, :, :, :width] = rows.transpose(1, 2)
    return wide.view(len(rows), height, -1, channels).permute(0, 3, 1, 2)
