"""Tensors with more values than Triton's kernels can count are left to torch's layers.

The tensors have a GPU's device and no memory.
"""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from models.kernels import convolution
from models.kernels.norm_relu_pool import layer

# At most this many images of 224 x 224 pixels have 2**31 values, in 64 and in 32 channels.
MOST_ACTIVATIONS, MOST_INPUTS = 668, 1337


class _Asked(Exception):
    pass


def _ask() -> bool:
    raise _Asked


@pytest.fixture(autouse=True)
def triton_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer, "can_use_triton", _ask)
    monkeypatch.setattr(convolution, "can_use_triton", _ask)
    for module in (layer, convolution):
        monkeypatch.setattr(module, "has_memory", lambda values: True)


def _images(n: int, channels: int) -> Any:
    return torch.empty(n, channels, 224, 224, device="cuda")


def test_activations() -> None:
    with FakeTensorMode():
        norm = nn.BatchNorm2d(64, device="cuda")
        with pytest.raises(_Asked):
            layer.norm_relu_pool(_images(MOST_ACTIVATIONS, 64), norm, 2)
        output: Tensor = layer.norm_relu_pool(_images(MOST_ACTIVATIONS + 1, 64), norm, 2)
        assert output.shape == (MOST_ACTIVATIONS + 1, 64, 112, 112)


def test_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolution, "_is_bfloat16", lambda images, device: device == "cuda")
    with FakeTensorMode(), torch.device("cuda"):
        conv = convolution.Conv2d(3, 32, 3)
        conv.uses_kernels = True
        with pytest.raises(_Asked):
            conv(_images(MOST_INPUTS, 3))
        assert conv(_images(MOST_INPUTS + 1, 3)).shape == (MOST_INPUTS + 1, 32, 224, 224)
