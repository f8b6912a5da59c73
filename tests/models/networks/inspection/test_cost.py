"""Multiply-accumulates, against values worked out by hand."""

import pytest
import torch
from torch import nn

from models.networks.inspection.cost import count_macs
from models.networks.registry import ARCHITECTURES

# Output pixels x output channels x (kernel pixels x input channels a group), then the fully connected layers.
ALEXNET = (
    32 * 32 * 64 * (9 * 3)
    + 16 * 16 * 192 * (9 * 64)
    + 8 * 8 * 384 * (9 * 192)
    + 8 * 8 * 256 * (9 * 384)
    + 4096 * 1024
    + 1024 * 512
    + 512 * 10
)
MOBILENET = (
    32 * 32 * 32 * (9 * 3) + 32 * 32 * 32 * 9 + 32 * 32 * 64 * 32 + 16 * 16 * 64 * 9 + 16 * 16 * 128 * 64 + 128 * 10
)


@pytest.mark.parametrize(("name", "macs"), [("alexnet", ALEXNET), ("mobilenet", MOBILENET)])
def test_networks(name: str, macs: int) -> None:
    assert count_macs(ARCHITECTURES[name].build(10, {"dropout": 0.5})) == macs


def test_convolutions_cost_more_on_larger_images() -> None:
    assert count_macs(ARCHITECTURES["mobilenet"].build(10, {}), 64) == 4 * (MOBILENET - 128 * 10) + 128 * 10


def test_known_values() -> None:
    assert (ALEXNET, MOBILENET) == (133_895_168, 5_522_688)


def test_layers_without_products_cost_nothing() -> None:
    model = nn.Sequential(nn.MaxPool2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 16 * 16, 7), nn.ReLU())
    assert count_macs(model) == 3 * 16 * 16 * 7


def test_counting_leaves_the_weights_alone() -> None:
    model = ARCHITECTURES["mobilenet"].build(10, {"dropout": 0.0})
    before = {name: value.clone() for name, value in model.state_dict().items()}
    count_macs(model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
