"""Batch normalisation, ReLU and max pooling: the kernel for the device if there is one, else torch's three layers."""

import torch
from torch import Tensor
from torch.nn import BatchNorm2d
from torch.nn import functional as F

from models.kernels.available import MOST_VALUES, can_compile_c, can_use_triton, has_memory
from models.kernels.norm_relu_pool import cpu


def norm_relu_pool(images: Tensor, norm: BatchNorm2d, side: int) -> Tensor:
    """Apply batch normalisation in training (Ioffe and Szegedy, 2015), ReLU, and max pooling over square windows.

    Args:
        images: [n, c, h, w].
        norm: in train mode; its running statistics are updated.
        side: side of a window in pixels, at least 1; 1 does not pool.

    Returns:
        [n, c, h // side, w // side] of the type of `images`.
    """
    if _is_supported(images, norm, side):
        if images.is_cuda and side in (1, 2, 4, 8) and images.numel() <= MOST_VALUES and can_use_triton():
            from models.kernels.norm_relu_pool.gpu import norm_relu_pool as on_gpu

            return on_gpu(images, norm, side)
        if cpu.can_take(images) and can_compile_c(images.dtype):
            return cpu.norm_relu_pool(images, norm, side)
    activations = F.relu(norm(images))
    return F.max_pool2d(activations, side) if side > 1 else activations


def _is_supported(images: Tensor, norm: BatchNorm2d, side: int) -> bool:
    """Return whether the kernels support this layer and input; they check nothing themselves."""
    of_a_channel = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    return (
        norm.training
        and norm.momentum is not None
        and has_memory(images)
        and images.ndim == 4
        and images.numel() > images.shape[1]
        and images.shape[2] % side == 0
        and images.shape[3] % side == 0
        and all(
            values is not None
            and values.shape == images.shape[1:2]
            and values.dtype == torch.float32
            and values.device == images.device
            and values.is_contiguous()
            for values in of_a_channel
        )
    )
