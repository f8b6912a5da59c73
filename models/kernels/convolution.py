"""A convolution that trains faster on CPUs that multiply bfloat16 matrices in tiles (Intel AMX)."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.grad import conv2d_input, conv2d_weight

from models.kernels.available import can_use_triton

HAS_TILES = bool(torch.cpu.get_capabilities().get("amx_bf16", False))
# oneDNN is slow on rows of so many pixels or fewer; it is not on rows of 16.
NARROW = 8
IMAGES_A_ROW = 32


class Conv2d(nn.Conv2d):
    """A convolution [n, in_channels, h, w] to [n, out_channels, h, w], without bias, trained as torch's is.

    For the gradient of the weights oneDNN multiplies a row of pixels at a time, and a row of 8 fills a quarter of an
    AMX tile. Images put side by side make rows of hundreds and give the same sums: the third and fourth convolution of
    AlexNet go backward in 55 ms a batch instead of 91, of a step of 250 (one thread).

    Args:
        kernel_size: odd side of the square kernel, in pixels.
        groups: divides both numbers of channels.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, groups: int = 1) -> None:
        super().__init__(in_channels, out_channels, kernel_size, padding=kernel_size // 2, groups=groups, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        if self.groups == 1 and images.shape[-1] <= NARROW and _multiplies_in_tiles(images):
            output: Tensor = _SideBySide.apply(images.bfloat16(), self.weight.bfloat16())
            return output
        if self.training and self._suits_patches(images) and can_use_triton():
            from models.kernels.first_convolution import convolve

            return convolve(images, self.weight)
        return super().forward(images)

    def _suits_patches(self, images: Tensor) -> bool:
        values = self.in_channels * self.kernel_size[0] ** 2
        return _is_bfloat16(images, "cuda") and self.groups == 1 and values <= 32 and not images.requires_grad


def _multiplies_in_tiles(images: Tensor) -> bool:
    return HAS_TILES and _is_bfloat16(images, "cpu")


def _is_bfloat16(images: Tensor, device: str) -> bool:
    return (
        images.device.type == device
        and torch.is_autocast_enabled(device)
        and torch.get_autocast_dtype(device) == torch.bfloat16
    )


class _SideBySide(torch.autograd.Function):
    """The convolution of bfloat16 tensors; its weights' gradient is taken of the images side by side."""

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
    """Puts images [n, c, h, w] in rows of 32, each followed by `gap` columns of zeros, channels last.

    Returns:
        [ceil(n / 32), c, h, 32 * (w + gap)]; what the last row lacks of 32 images is zeros.
    """
    n, channels, height, width = images.shape
    if missing := -n % IMAGES_A_ROW:
        images = F.pad(images, (0, 0, 0, 0, 0, 0, 0, missing))
    rows = images.permute(0, 2, 3, 1).reshape(-1, IMAGES_A_ROW, height, width, channels)
    wide = images.new_zeros(len(rows), height, IMAGES_A_ROW, width + gap, channels)
    wide[:, :, :, :width] = rows.transpose(1, 2)
    return wide.view(len(rows), height, -1, channels).permute(0, 3, 1, 2)
