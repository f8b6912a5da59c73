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


class Attentive(nn.Module):
    """Reads an image as 16 tokens of 8x8 pixels, with one layer of a transformer."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Conv2d(3, 12, 8, 8)
        layer = nn.TransformerEncoderLayer(12, nhead=2, dim_feedforward=24, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.head = nn.Linear(12, 5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        tokens = self.tokens(images).flatten(2).transpose(1, 2)
        logits: torch.Tensor = self.head(self.encoder(tokens).mean(1))
        return logits


def test_attention_is_counted() -> None:
    """Projections of queries, keys and values and their output; tokens by tokens twice; the two layers behind."""
    attention = 16 * 12 * 12 * 4 + 2 * 16 * 16 * 12 + 2 * 16 * 12 * 24
    assert count_macs(Attentive()) == 16 * 12 * (64 * 3) + attention + 12 * 5
    assert torch.backends.mha.get_fastpath_enabled()
