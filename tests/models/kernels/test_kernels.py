"""The Triton kernels beside what torch computes; without a GPU in Triton's interpreter, see tests/conftest.py."""

import copy
from contextlib import AbstractContextManager

import pytest
import torch
from torch import nn
from torch.nn import functional as F

pytest.importorskip("triton")
from models.kernels.bfloat16_weights import Bfloat16Weights
from models.kernels.first_convolution import convolve
from tests.builders import channels_last

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
# A share of the norm. The interpreter cuts bfloat16 off where a GPU rounds.
TOLERANCE = 8e-3


@pytest.mark.parametrize("shape", [(2, 3, 8, 8), (3, 1, 5, 7)])
def test_a_convolution_of_patches_is_the_convolution(shape: tuple[int, ...]) -> None:
    images = channels_last(DEVICE, *shape)
    weight = channels_last(DEVICE, 16, shape[1], 3, 3).bfloat16().requires_grad_()
    other = weight.detach().float().requires_grad_()
    ours = convolve(images, weight)
    expected = F.conv2d(images.bfloat16().float(), other, padding=1)
    above = torch.randn_like(expected).bfloat16()
    (gradient,) = torch.autograd.grad(ours, weight, above)
    (theirs,) = torch.autograd.grad(expected, other, above.float())
    assert ours.is_contiguous(memory_format=torch.channels_last)
    assert (ours - expected).norm() <= TOLERANCE * expected.norm()
    assert (gradient - theirs).norm() <= TOLERANCE * theirs.norm()


def small_network(seed: int) -> nn.Sequential:
    """Without a ReLU, whose flips would tell bfloat16 from float32 by more than rounding."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = [nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3, groups=2)]
        head = [nn.Flatten(), nn.Linear(4 * 36, 8), nn.Tanh(), nn.Linear(8, 5, bias=False)]
        return nn.Sequential(*layers, *head).to(DEVICE)


def gradients(optimizer: torch.optim.Adam, before: list[torch.Tensor]) -> list[torch.Tensor]:
    """What the last step of Adam was given, by the running means of gradients before and after it."""
    beta = optimizer.param_groups[0]["betas"][0]
    return [(new - beta * old) / (1 - beta) for new, old in zip(first_moments(optimizer), before, strict=True)]


def first_moments(optimizer: torch.optim.Adam) -> list[torch.Tensor]:
    parameters = optimizer.param_groups[0]["params"]
    return [optimizer.state[p]["exp_avg"].clone() if optimizer.state[p] else torch.zeros_like(p) for p in parameters]


@pytest.mark.parametrize("seed", range(3))
def test_takes_the_gradients_of_the_network_and_updates_it_as_torchs_adam_does(seed: int) -> None:
    model = small_network(seed)
    labels = torch.arange(8, device=DEVICE) % 5
    other = copy.deepcopy(model)
    optimizer, torchs_own = (
        torch.optim.Adam(network.parameters(), lr=1e-2, fused=True, capturable=True) for network in (model, other)
    )
    weights = Bfloat16Weights(model, optimizer)
    for step in range(5):
        images, before = channels_last(DEVICE, 8, 3, 8, 8) + step, first_moments(optimizer)
        for network in (model, other):
            network.zero_grad(set_to_none=True)
        weights.start()
        with torch.autocast(DEVICE.type, torch.bfloat16):
            ours, expected = (F.cross_entropy(network(images), labels) for network in (weights, other))
        ours.backward()
        weights.finish()
        optimizer.step()
        expected.backward()
        for mine, theirs in zip(gradients(optimizer, before), other.parameters(), strict=True):
            assert theirs.grad is not None
            # Later the copies of the interpreter, cut off, are others than those that autocast rounds.
            assert step > 0 or (mine - theirs.grad).norm() <= 0.01 * theirs.grad.norm()
            theirs.grad = mine
        torchs_own.step()
        torch.testing.assert_close(list(model.parameters()), list(other.parameters()), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(optimizer.state_dict(), torchs_own.state_dict(), rtol=1e-4, atol=1e-6)
    images = channels_last(DEVICE, 8, 3, 8, 8)
    with torch.autocast(DEVICE.type, torch.bfloat16):
        ours, expected = weights(images), model(images)
    # Both round again and again; a copy that was left behind is further off.
    assert (ours - expected).norm() <= 0.05 * expected.norm()


def test_what_the_second_stream_reads_is_kept_from_autograd_until_the_end() -> None:
    """A gradient that goes to a convolution and past it, too, would be added to in place where both ways meet."""

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(3, 8, 3, padding=1)
            self.norm = nn.BatchNorm2d(8)
            self.second = nn.Conv2d(8, 8, 3, padding=1)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            images = self.first(images)
            return images + self.second(self.norm(images))

    class Watched(Bfloat16Weights):
        def beside(self, *used: torch.Tensor) -> AbstractContextManager[None]:
            read.extend(tensor.data_ptr() for tensor in used)
            return super().beside(*used)

    read: list[int] = []
    model = Residual().to(DEVICE)
    weights = Watched(model, torch.optim.Adam(model.parameters(), fused=True, capturable=True))
    weights.start()
    with torch.autocast(DEVICE.type, torch.bfloat16):
        logits = weights(channels_last(DEVICE, 4, 3, 8, 8)).mean((2, 3))
    F.cross_entropy(logits, torch.arange(4, device=DEVICE)).backward()
    weights.finish()
    assert len(set(read)) == len(read) == 4


def test_refuses_a_weight_that_two_layers_share() -> None:
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    second.weight = first.weight
    model = nn.Sequential(first, second).to(DEVICE)
    weights = Bfloat16Weights(model, torch.optim.Adam(model.parameters(), fused=True))
    with pytest.raises(RuntimeError, match="share a weight"):
        weights(torch.zeros(2, 4, device=DEVICE))


def test_a_weight_that_is_used_by_no_layer_is_updated_too() -> None:
    class Transposed(nn.Linear):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.to(self.weight.dtype) @ self.weight

    model = Transposed(4, 4).to(DEVICE)
    before = model.weight.detach().clone()
    weights = Bfloat16Weights(model, torch.optim.Adam(model.parameters(), lr=0.1, fused=True))
    weights.start()
    weights(torch.ones(2, 4, device=DEVICE)).float().sum().backward()
    weights.finish()
    # The first step of Adam is the learning rate.
    torch.testing.assert_close(model.weight.detach(), before - 0.1, rtol=1e-4, atol=1e-5)
