"""Batch normalisation, ReLU and max pooling in one, where there is code for it, and one after the other elsewhere."""

from torch import Tensor
from torch.nn import BatchNorm2d
from torch.nn import functional as F

from models import norm_relu_pool_cpu
from models.kernels import can_compile_c, can_use_triton


def norm_relu_pool(images: Tensor, norm: BatchNorm2d, side: int) -> Tensor:
    """Batch normalisation in training (Ioffe and Szegedy, 2015), ReLU, and the maxima of square windows.

    Args:
        images: [n, c, h, w] with more than one pixel.
        norm: affine, with running statistics, which it updates.
        side: of a window, in pixels; 1 does not pool.

    Returns:
        [n, c, h // side, w // side] of the type of `images`.
    """
    fits = images.shape[2] % side == 0 and images.shape[3] % side == 0
    if fits and images.is_cuda and can_use_triton():
        from models.norm_relu_pool_gpu import norm_relu_pool as on_gpu

        return on_gpu(images, norm, side)
    if (
        fits
        and images.device.type == "cpu"
        and norm_relu_pool_cpu.can_take(images, norm)
        and can_compile_c(images.dtype)
    ):
        return norm_relu_pool_cpu.norm_relu_pool(images, norm, side)
    activations = F.relu(norm(images))
    return F.max_pool2d(activations, side) if side > 1 else activations
