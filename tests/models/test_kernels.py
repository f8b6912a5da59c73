"""The Triton kernels beside what torch computes; without a GPU in Triton's interpreter, see tests/conftest.py."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

pytest.importorskip("triton")
from models.bfloat16_weights import Bfloat16Weights
from models.norm_relu_pool import norm_relu_pool
from models.patches import convolve

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
# Shares of the norm. The interpreter cuts bfloat16 off where a GPU rounds.
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 8e-3}


def channels_last(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    values = 2 * torch.randn(shape, device=DEVICE, generator=torch.Generator(DEVICE).manual_seed(0)) + 3
    return values.to(dtype, memory_format=torch.channels_last)


def trained_norm(channels: int) -> nn.BatchNorm2d:
    """With weights of both signs, as training can make them."""
    norm = nn.BatchNorm2d(channels, momentum=0.3, eps=1e-3)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    return norm.to(DEVICE)


def torchs(images: torch.Tensor, norm: nn.BatchNorm2d, side: int) -> torch.Tensor:
    output = F.relu(norm(images.float()))
    return F.max_pool2d(output, side) if side > 1 else output


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize(
    ("shape", "side"),
    [
        ((4, 32, 8, 8), 1),
        ((4, 64, 8, 8), 2),
        ((2, 192, 6, 10), 2),
        ((3, 5, 8, 4), 4),
        ((2, 70, 7, 9), 1),
        pytest.param((40, 8, 32, 32), 1, id="many programs share a sum"),
    ],
)
def test_normalises_and_pools_as_torch_does(shape: tuple[int, ...], side: int, dtype: torch.dtype) -> None:
    images, norm = channels_last(*shape, dtype=dtype).requires_grad_(), trained_norm(shape[1])
    other = copy.deepcopy(norm)
    ours = norm_relu_pool(images, norm, side)
    expected = torchs(images, other, side)
    above = torch.randn_like(expected)
    gradients = torch.autograd.grad(ours, (images, norm.weight, norm.bias), above.to(dtype))
    others = torch.autograd.grad(expected, (images, other.weight, other.bias), above.to(dtype).float())

    assert ours.dtype == dtype
    assert ours.is_contiguous(memory_format=torch.channels_last)
    for mine, theirs in zip((ours, *gradients), (expected, *others), strict=True):
        assert (mine.float() - theirs).norm() <= TOLERANCE[dtype] * theirs.norm()
    for name, buffer in norm.named_buffers():
        torch.testing.assert_close(buffer, other.get_buffer(name), rtol=1e-4, atol=1e-5)


def test_the_first_of_equal_pixels_gets_the_gradient() -> None:
    norm = nn.BatchNorm2d(8, device=DEVICE)
    images = torch.zeros(1, 8, 4, 4, device=DEVICE)
    images[:, :, :2, :2] = 1  # equal in one window; all other windows are below 0 once normalised
    images.requires_grad_()
    output = norm_relu_pool(images, norm, 2)
    above = torch.rand_like(output)
    (ours,) = torch.autograd.grad(output, images, above)
    (expected,) = torch.autograd.grad(torchs(images, copy.deepcopy(norm), 2), images, above)
    torch.testing.assert_close(ours, expected)


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_what_is_not_finite_is_not_hidden() -> None:
    norm = nn.BatchNorm2d(8, device=DEVICE)
    images = channels_last(2, 8, 4, 4)
    images[1, 3, 2, 1] = torch.inf
    images.requires_grad_()
    output = norm_relu_pool(images, norm, 2)
    assert output[:, 3].isnan().all()
    assert output[:, [0, 1, 2, 4, 5, 6, 7]].isfinite().all()
    (gradient,) = torch.autograd.grad(output, images, torch.ones_like(output))
    assert gradient[:, 3].isnan().any()


@pytest.mark.parametrize("shape", [(2, 3, 8, 8), (3, 1, 5, 7)])
def test_a_convolution_of_patches_is_the_convolution(shape: tuple[int, ...]) -> None:
    images = channels_last(*shape)
    weight = channels_last(16, shape[1], 3, 3).bfloat16().requires_grad_()
    other = weight.detach().float().requires_grad_()
    ours = convolve(images, weight)
    expected = F.conv2d(images.bfloat16().float(), other, padding=1)
    above = torch.randn_like(expected).bfloat16()
    (gradient,) = torch.autograd.grad(ours, weight, above)
    (theirs,) = torch.autograd.grad(expected, other, above.float())
    assert ours.is_contiguous(memory_format=torch.channels_last)
    assert (ours - expected).norm() <= TOLERANCE[torch.bfloat16] * expected.norm()
    assert (gradient - theirs).norm() <= TOLERANCE[torch.bfloat16] * theirs.norm()


def test_updates_weights_as_torchs_adam_does_and_keeps_its_state() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 36, 5)).to(DEVICE)
    other = copy.deepcopy(model)
    optimizer, torchs_own = (
        torch.optim.Adam(network.parameters(), lr=1e-2, fused=True, capturable=True) for network in (model, other)
    )
    weights = Bfloat16Weights(model, optimizer)
    for _ in range(5):
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(DEVICE.type, torch.bfloat16):
            weights(channels_last(8, 3, 8, 8)).square().mean().backward()
        for (name, parameter), theirs in zip(model.named_parameters(), other.parameters(), strict=True):
            gradient = weights.gradient(name) if parameter.grad is None else parameter.grad
            theirs.grad = gradient.float().clone()
        weights.update()
        optimizer.step()
        torchs_own.step()
    torch.testing.assert_close(list(model.parameters()), list(other.parameters()), rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(optimizer.state_dict(), torchs_own.state_dict(), rtol=1e-5, atol=1e-7)
    images = channels_last(8, 3, 8, 8)
    with torch.autocast(DEVICE.type, torch.bfloat16):
        ours, expected = weights(images), model(images)
    # Both round again and again; a copy that was left behind is further off.
    assert (ours - expected).norm() <= 0.05 * expected.norm()
