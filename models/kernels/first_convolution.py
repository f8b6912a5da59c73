"""The convolution of images of few channels as a product of matrices, on a GPU.

cuDNN pads the three channels of an image and still takes, of AlexNet's step on an H200, 94 of 885 us for the first
convolution, which has a hundredth of the arithmetic. A matrix with a row for each pixel, of all values under the
kernel, makes a product of it that cuBLAS is fast at.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.nn import functional as F

# Values a row: a multiple of what tensor cores take, and of 16 bytes.
ROW = 32
PIXELS = 128


@triton.jit(do_not_specialize=["pixels", "height", "width"])
def _patches_kernel(
    images, rows, pixels, height, width,
    CHANNELS: tl.constexpr, SIDE: tl.constexpr, PIXELS: tl.constexpr, ROW: tl.constexpr,
):  # fmt: skip
    p = (tl.program_id(0) * PIXELS + tl.arange(0, PIXELS))[:, None]
    value = tl.arange(0, ROW)[None, :]
    y = p // width % height + value // CHANNELS // SIDE - SIDE // 2
    x = p % width + value // CHANNELS % SIDE - SIDE // 2
    inside = (p < pixels) & (value < SIDE * SIDE * CHANNELS) & (y >= 0) & (y < height) & (x >= 0) & (x < width)
    source = (p // width // height * height + y) * width + x
    patch = tl.load(images + source * CHANNELS + value % CHANNELS, inside, 0.0)
    tl.store(rows + p * ROW + value, patch, p < pixels)


def patches(images: Tensor, side: int) -> Tensor:
    """What lies under a square kernel at each pixel, zeros where that is outside of the image.

    Args:
        images: [n, c, h, w] with side * side * c of at most 32.
        side: of the kernel, in pixels, odd.

    Returns:
        bfloat16 [n * h * w, 32]; a row holds [side, side, c] values and then zeros.
    """
    images = images.contiguous(memory_format=torch.channels_last)
    n, channels, height, width = images.shape
    pixels = n * height * width
    rows = torch.empty(pixels, ROW, dtype=torch.bfloat16, device=images.device)
    _patches_kernel[(triton.cdiv(pixels, PIXELS),)](
        images, rows, pixels, height, width, channels, side, PIXELS, ROW, enable_fp_fusion=False
    )
    return rows


def convolve(images: Tensor, weight: Tensor) -> Tensor:
    """The size-keeping convolution in bfloat16 of images that need no gradient, [n, c, h, w] to [n, out, h, w].

    Args:
        weight: [out, c, side, side], side * side * c of at most 32.
    """
    n, _, height, width = images.shape
    matrix = weight.permute(0, 2, 3, 1).flatten(1)
    matrix = F.pad(matrix, (0, ROW - matrix.shape[1])).bfloat16()
    product = patches(images, weight.shape[-1]) @ matrix.t()
    return product.view(n, height, width, -1).permute(0, 3, 1, 2)
