"""The convolution of images of few channels as a matrix product, on a GPU, with Triton.

cuDNN pads the three channels of an image, which makes the first convolution slow for its little arithmetic. Here a
matrix has one row a pixel with all values under the kernel, and cuBLAS is fast at its product with the weights.
README.md in this folder says what this saves.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.nn import functional as F

# At least 27 values a row (3 channels, kernel 3x3), padded to 32 because tensor cores need multiples of 16 bytes.
ROW = 32
# Pixels that one program copies.
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
    """Return the values under a square kernel at each pixel; values outside of the image are 0.

    Args:
        images: [n, c, h, w] with side * side * c of at most 32.
        side: side of the kernel in pixels, odd.

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
    """Apply the size-keeping convolution in bfloat16 to images that need no gradient.

    Args:
        images: [n, c, h, w].
        weight: [out, c, side, side], side odd, side * side * c of at most 32.

    Returns:
        bfloat16 [n, out, h, w], channels last.
    """
    n, _, height, width = images.shape
    matrix = weight.permute(0, 2, 3, 1).flatten(1)
    matrix = F.pad(matrix, (0, ROW - matrix.shape[1])).bfloat16()
    product = patches(images, weight.shape[-1]) @ matrix.t()
    return product.view(n, height, width, -1).permute(0, 3, 1, 2)
