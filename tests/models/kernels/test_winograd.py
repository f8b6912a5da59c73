"""The convolution with fewer multiplications: the same sums as torch's, on a CPU in float32."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.kernels import winograd
from models.kernels.available import use_kernels
from models.kernels.convolution import MANY_CHANNELS, Conv2d

# Images, channels in and out, height and width: one tile, one part and several, a part that is not full.
SHAPES = [(1, 3, 5, 4, 4), (2, 16, 8, 8, 12), (40, 8, 16, 8, 8), (128, 64, 192, 16, 16), (33, 6, 6, 32, 4)]


def _passes(images: Tensor, weight: Tensor, gradient: Tensor, ours: bool) -> list[Tensor]:
    """Return the output, and the gradients of images and weights."""
    images, weight = images.clone().requires_grad_(), weight.clone().requires_grad_()
    output = winograd.convolve(images, weight) if ours else nn.functional.conv2d(images, weight, padding=1)
    return [output.detach(), *torch.autograd.grad(output, (images, weight), gradient)]


def _layers(in_channels: int, out_channels: int, kernel_size: int = 3, groups: int = 1) -> tuple[Conv2d, nn.Conv2d]:
    torch.manual_seed(0)
    ours = Conv2d(in_channels, out_channels, kernel_size, groups)
    theirs = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, groups=groups, bias=False)
    theirs.load_state_dict(ours.state_dict())
    use_kernels(ours, True)
    return ours, theirs


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("shape", SHAPES)
def test_all_sums_are_those_of_torch_within_rounding(
    shape: tuple[int, int, int, int, int], layout: torch.memory_format
) -> None:
    n, c, channels, height, width = shape
    torch.manual_seed(0)
    images = torch.randn(n, c, height, width).to(memory_format=layout)
    weight = torch.randn(channels, c, 3, 3).to(memory_format=layout) / c**0.5
    gradient = torch.randn(n, channels, height, width).to(memory_format=layout)
    exact = _passes(images.double(), weight.double(), gradient.double(), ours=False)
    for mine, truth in zip(_passes(images, weight, gradient, ours=True), exact, strict=True):
        assert mine.dtype == torch.float32
        assert (mine - truth).norm() <= 1e-5 * truth.norm()


def test_a_single_pixel_and_a_single_weight_meet_where_they_should() -> None:
    images, weight = torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 3, 3)
    images[0, 0, 3, 5], weight[0, 0, 0, 2] = 2.0, 3.0
    output = winograd.convolve(images, weight)
    expected = torch.zeros(8, 8)
    # The weight is above and to the right of the middle, so it takes the pixel to below and to the left.
    expected[4, 4] = 6.0
    assert torch.allclose(output[0, 0], expected, atol=1e-5)


def test_the_images_need_no_gradient_and_the_gradient_may_be_a_view() -> None:
    images, weight = torch.randn(3, 4, 8, 8), torch.randn(5, 4, 3, 3, requires_grad=True)
    winograd.convolve(images, weight).sum().backward()
    assert weight.grad is not None
    found = weight.grad.clone()
    weight.grad = None
    nn.functional.conv2d(images, weight, padding=1).sum().backward()
    assert torch.allclose(found, weight.grad, rtol=1e-4, atol=1e-3)


def test_frozen_weights_and_images_cost_no_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    images, weight = torch.randn(2, 4, 8, 8), torch.randn(4, 4, 3, 3)
    gradient = torch.randn(2, 4, 8, 8)
    of_images, of_weight = _passes(images, weight, gradient, ours=True)[1:]
    calls: list[str] = []
    for name in ("_convolve", "_to_kernels"):
        work = getattr(winograd, name)

        def watched(*given: Any, name: str = name, work: Callable[..., Any] = work) -> Any:
            calls.append(name)
            return work(*given)

        monkeypatch.setattr(winograd, name, watched)
    images.requires_grad_()
    winograd.convolve(images, weight).backward(gradient)
    assert images.grad is not None and torch.equal(images.grad, of_images)
    assert calls == ["_convolve", "_convolve"]
    calls.clear()
    images, weight = images.detach(), weight.requires_grad_()
    winograd.convolve(images, weight).backward(gradient)
    assert weight.grad is not None and torch.equal(weight.grad, of_weight)
    assert calls == ["_convolve", "_to_kernels"]


def test_a_second_derivative_is_refused() -> None:
    images = torch.randn(1, 4, 4, 4, requires_grad=True)
    (first,) = torch.autograd.grad(
        winograd.convolve(images, torch.randn(4, 4, 3, 3)).square().sum(), images, create_graph=True
    )
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def test_the_number_of_parts_changes_no_more_than_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    images, weight, gradient = torch.randn(7, 16, 8, 8), torch.randn(32, 16, 3, 3), torch.randn(7, 32, 8, 8)
    one = _passes(images, weight, gradient, ours=True)
    monkeypatch.setattr(winograd, "TILES_AT_ONCE", 1)
    for mine, other in zip(_passes(images, weight, gradient, ours=True), one, strict=True):
        assert (mine - other).norm() <= 1e-5 * other.norm()


def test_a_layer_takes_it_in_training_for_images_that_have_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.Size] = []
    convolve = winograd.convolve

    def watched(images: Tensor, weight: Tensor) -> Tensor:
        seen.append(images.shape)
        return convolve(images, weight)

    monkeypatch.setattr(winograd, "convolve", watched)
    ours, theirs = _layers(MANY_CHANNELS, MANY_CHANNELS)
    images = torch.randn(2, MANY_CHANNELS, 8, 8)
    assert torch.allclose(ours(images), theirs(images), rtol=1e-3, atol=1e-4)
    assert seen == [images.shape]
    for other in (images[..., :6], images[:, :, :7], images[0]):
        assert torch.allclose(ours(other), theirs(other), rtol=1e-3, atol=1e-4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours(images)
    ours.eval()
    assert torch.allclose(ours(images), theirs(images), rtol=1e-3, atol=1e-4)
    ours.train()
    use_kernels(ours, False)
    assert torch.equal(ours(images), theirs(images))
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("in_channels", "out_channels", "kernel_size", "groups"),
    [
        (MANY_CHANNELS - 1, MANY_CHANNELS, 3, 1),
        (MANY_CHANNELS, MANY_CHANNELS - 1, 3, 1),
        (MANY_CHANNELS, MANY_CHANNELS, 1, 1),
        (MANY_CHANNELS, MANY_CHANNELS, 5, 1),
        (MANY_CHANNELS, MANY_CHANNELS, 3, MANY_CHANNELS),
    ],
)
def test_other_layers_are_torchs_to_the_bit(in_channels: int, out_channels: int, kernel_size: int, groups: int) -> None:
    ours, theirs = _layers(in_channels, out_channels, kernel_size, groups)
    images = torch.randn(2, in_channels, 8, 8)
    assert not ours.suits_winograd
    assert torch.equal(ours(images), theirs(images))
