"""The fingerprint of a network: equal for the same network, and a plain line for any other."""

import json
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from models.networks.inspection.fingerprint import difference, fingerprint
from models.networks.registry import ARCHITECTURES, Architecture
from tests.builders import TOY


def described(build: Any, dropout: float = 0.1) -> dict[str, Any]:
    return fingerprint(Architecture("toy", "Toy", build, {"dropout": dropout}), 3)


def test_is_the_same_again_through_json_and_draws_nothing() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    found = fingerprint(ARCHITECTURES["alexnet"], 10)
    again = json.loads(json.dumps(fingerprint(ARCHITECTURES["alexnet"], 10)))
    assert torch.equal(torch.get_rng_state(), before)
    assert found["parameters"] == 6_387_658
    assert found["weights"]["classifier.1.weight"] == [1024, 4096]
    assert len(found["source"]) == len(found["layers"]) == 64
    assert difference(again, found) is None


class Written(nn.Module):
    """Has a docstring."""

    def __init__(self, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(3072, num_classes))

    def forward(self, images: torch.Tensor) -> Any:
        """Has another one."""
        return self.layers(images)  # a comment


def _other_layout() -> type[nn.Module]:
    class Written(nn.Module):
        def __init__(self, num_classes: int, dropout: float) -> None:
            super().__init__()
            self.layers = nn.Sequential(
                nn.Flatten(),
                nn.Linear(3072, num_classes),
            )

        def forward(self, images: torch.Tensor) -> Any:
            return self.layers(images)

    return Written


def _other_forward() -> type[nn.Module]:
    class Written(nn.Module):
        def __init__(self, num_classes: int, dropout: float) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.Flatten(), nn.Linear(3072, num_classes))

        def forward(self, images: torch.Tensor) -> Any:
            return self.layers(images) * 2

    return Written


def test_comments_docstrings_and_layout_make_no_difference() -> None:
    before, after = (described(kind) | {"definitions": {}} for kind in (Written, _other_layout()))
    assert difference(before, after) is None


def test_another_forward_pass_does() -> None:
    before, after = (described(kind) | {"definitions": {}} for kind in (Written, _other_forward()))
    line = difference(before, after)
    assert line == "the source of its classes differs, though all layers are the same"


def _sequence(*layers: nn.Module) -> Any:
    return lambda num_classes, dropout: nn.Sequential(*layers)


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        (_sequence(nn.Linear(2, 4)), _sequence(nn.Linear(3, 4)), "0.weight has shape 4x3, was 4x2"),
        (_sequence(nn.Linear(2, 4)), _sequence(nn.Linear(2, 4, bias=False)), "it has no 0.bias"),
        (_sequence(nn.ReLU()), _sequence(nn.ReLU(), nn.PReLU()), "it has 1.weight, which was not there"),
        (_sequence(nn.PReLU()), _sequence(nn.PReLU().requires_grad_(False)), "it has 0 trainable weights, had 1"),
        (_sequence(nn.ReLU()), _sequence(nn.GELU()), "a layer or its settings differ, though all weights have"),
        (_sequence(nn.MaxPool2d(2)), _sequence(nn.MaxPool2d(3)), "a layer or its settings differ"),
    ],
)
def test_says_in_one_line_what_differs(before: Any, after: Any, line: str) -> None:
    found = difference(described(before), described(after))
    assert found is not None and found.startswith(line)


def test_another_baseline_is_another_network() -> None:
    before, after = (fingerprint(replace(TOY, baseline={"dropout": dropout}), 3) for dropout in (0.1, 0.2))
    assert difference(before | {"layers": ""}, after | {"layers": ""}) == "its baseline has dropout 0.2, had 0.1"


def test_a_class_whose_source_cannot_be_read_has_none() -> None:
    made = type("Made", (nn.Module,), {"__module__": "nowhere", "forward": lambda self, images: images})
    found = described(lambda num_classes, dropout: made())
    assert found["source"] is None
    assert difference(found, found | {"source": "0" * 64}) is None
