"""The convolution with the quick way to its weights' gradient: the same sums as torch's."""

import pytest
import torch
from torch import Tensor, nn

from models.kernels import convolution
from models.kernels.available import use_kernels
from models.kernels.convolution import Conv2d, side_by_side

SHAPES = [(1, 8, 3), (31, 8, 3), (32, 4, 3), (40, 8, 5), (128, 8, 3), (33, 2, 1), (2, 1, 3)]


@pytest.fixture(autouse=True)
def tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """The way is taken on any CPU, though it pays on some alone."""
    monkeypatch.setattr(convolution, "HAS_TILES", True)


def _layers(kernel_size: int, groups: int = 1) -> tuple[Conv2d, nn.Conv2d]:
    torch.manual_seed(0)
    ours = Conv2d(6, 4, kernel_size, groups)
    theirs = nn.Conv2d(6, 4, kernel_size, padding=kernel_size // 2, groups=groups, bias=False)
    theirs.load_state_dict(ours.state_dict())
    use_kernels(ours, True)
    return ours.to(memory_format=torch.channels_last), theirs  # type: ignore[call-overload]


def _backward(layer: nn.Module, images: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """The output, and the gradients of images and weights for a fixed gradient of the output."""
    images = images.clone(memory_format=torch.channels_last).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        output = layer(images)
    assert output.dtype == dtype
    output.backward(torch.randn(output.shape, generator=torch.Generator().manual_seed(1)).to(dtype))
    weight = next(layer.parameters())
    assert images.grad is not None and weight.grad is not None
    assert images.grad.dtype == weight.grad.dtype == torch.float32
    return output.detach(), images.grad, weight.grad


@pytest.mark.parametrize(("n", "width", "kernel_size"), SHAPES)
def test_gradients_are_those_of_torch(n: int, width: int, kernel_size: int) -> None:
    ours, theirs = _layers(kernel_size)
    images = torch.randn(n, 6, width, width)
    exact = _backward(theirs, images, torch.float32)
    theirs.zero_grad()
    usual = _backward(theirs, images, torch.bfloat16)
    for mine, other, truth in zip(_backward(ours, images, torch.bfloat16), usual, exact, strict=True):
        # As far from the truth as bfloat16 is by itself: a missing or doubled pixel is farther by far.
        assert (mine - truth).norm() <= 1.1 * (other - truth).norm()


def test_the_way_is_taken_where_rows_are_narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(convolution, "side_by_side", lambda images, gap: seen.append(images.shape) or images)
    ours, _ = _layers(3)
    for width in (8, 9):
        _backward(ours, torch.randn(3, 6, width, width), torch.bfloat16)
    _backward(ours, torch.randn(3, 6, 8, 8), torch.float32)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        ours(torch.randn(3, 6, 8, 8))
    assert seen == [(3, 6, 8, 8), (3, 4, 8, 8)]


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_elsewhere_it_is_torchs_to_the_bit(dtype: torch.dtype, groups: int) -> None:
    ours, theirs = _layers(3, groups)
    theirs = theirs.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = torch.randn(5, 6, 16 if groups == 1 else 8, 8 if groups > 1 else 16)
    for mine, other in zip(_backward(ours, images, dtype), _backward(theirs, images, dtype), strict=True):
        assert torch.equal(mine, other)


def test_the_first_layer_asks_for_no_gradient_of_the_images() -> None:
    ours, _ = _layers(3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours(torch.randn(3, 6, 8, 8)).sum().backward()
    assert ours.weight.grad is not None


def test_images_side_by_side() -> None:
    images = torch.arange(1.0, 1 + 33 * 2 * 3 * 4).view(33, 2, 3, 4)
    wide = side_by_side(images, gap=2)
    assert wide.shape == (2, 2, 3, 32 * 6)
    assert wide.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(wide[0, :, :, 6 * 5 : 6 * 5 + 4], images[5])
    assert torch.equal(wide[1, :, :, :4], images[32])
    assert wide.sum() == images.sum(), "zeros elsewhere"
