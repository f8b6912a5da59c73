"""The two networks of the design, layer by layer, and the registry."""

import pytest
import torch
from torch import Tensor, nn

from models.networks import registry
from models.networks.inspection.cost import count_parameters
from models.networks.registry import ARCHITECTURES, Architecture, register
from tests.builders import ToyNet


def _conv(in_channels: int, out_channels: int, kernel: int = 3, groups: int = 1) -> list[tuple[object, ...]]:
    """A convolution that keeps the size, without bias, then BatchNorm and ReLU."""
    conv = ("Conv2d", in_channels, out_channels, (kernel, kernel), (1, 1), ((kernel - 1) // 2,) * 2, groups, False)
    return [conv, ("BatchNorm2d", out_channels), ("ReLU",)]


ALEXNET = [
    *_conv(3, 64),
    ("MaxPool2d", 2, 2),
    *_conv(64, 192),
    ("MaxPool2d", 2, 2),
    *_conv(192, 384),
    *_conv(384, 256),
    ("MaxPool2d", 2, 2),
    ("Flatten",),
    ("Linear", 4096, 1024, True),
    ("ReLU",),
    ("Dropout", 0.3),
    ("Linear", 1024, 512, True),
    ("ReLU",),
    ("Dropout", 0.3),
    ("Linear", 512, 10, True),
]
MOBILENET = [
    *_conv(3, 32),
    *_conv(32, 32, groups=32),
    *_conv(32, 64, kernel=1),
    ("MaxPool2d", 2, 2),
    *_conv(64, 64, groups=64),
    *_conv(64, 128, kernel=1),
    ("GlobalAveragePool",),
    ("Flatten",),
    ("Dropout", 0.3),
    ("Linear", 128, 10, True),
]
SIZES = {"alexnet": (4, 4), "mobilenet": (16, 16)}


def _describe(module: nn.Module) -> tuple[object, ...]:
    kind = type(module).__name__
    match module:
        case nn.Conv2d():
            shape = (module.kernel_size, module.stride, module.padding)
            return kind, module.in_channels, module.out_channels, *shape, module.groups, module.bias is not None
        case nn.BatchNorm2d():
            return kind, module.num_features
        case nn.MaxPool2d():
            return kind, module.kernel_size, module.stride
        case nn.Linear():
            return kind, module.in_features, module.out_features, module.bias is not None
        case nn.Dropout():
            return kind, module.p
    return (kind,)


def _executed(model: nn.Module, images: Tensor) -> tuple[list[tuple[object, ...]], list[Tensor], Tensor]:
    """The layers in the order in which they run, their outputs, and what the network returns."""
    layers: list[tuple[object, ...]] = []
    outputs: list[Tensor] = []

    def note(module: nn.Module, inputs: object, output: Tensor) -> None:
        layers.append(_describe(module))
        outputs.append(output)

    for module in model.modules():
        if not list(module.children()):
            module.register_forward_hook(note)
    return layers, outputs, model(images)


@pytest.mark.parametrize(("name", "expected"), [("alexnet", ALEXNET), ("mobilenet", MOBILENET)])
def test_layers_run_in_the_documented_order(name: str, expected: list[tuple[object, ...]]) -> None:
    layers, outputs, logits = _executed(
        ARCHITECTURES[name].build(10, {"dropout": 0.3}).eval(), torch.zeros(2, 3, 32, 32)
    )
    assert layers == expected
    assert outputs[-1] is logits, "logits, with nothing after the last layer"
    assert logits.shape == (2, 10)
    assert [tuple(output.shape[2:]) for output in outputs if output.ndim == 4 and output.shape[-1] > 1][-1] == (
        SIZES[name]
    )


@pytest.mark.parametrize(("name", "parameters"), [("alexnet", 6_387_658), ("mobilenet", 13_898)])
def test_parameter_counts(name: str, parameters: int) -> None:
    assert count_parameters(ARCHITECTURES[name].build(10, {"dropout": 0.0})) == parameters


@pytest.mark.parametrize(("name", "features"), [("alexnet", 512), ("mobilenet", 128)])
@pytest.mark.parametrize("n_classes", [2, 100])
def test_the_number_of_classes_changes_the_last_layer_alone(name: str, features: int, n_classes: int) -> None:
    ten, other = (ARCHITECTURES[name].build(classes, {"dropout": 0.0}) for classes in (10, n_classes))
    assert count_parameters(other) - count_parameters(ten) == (n_classes - 10) * (features + 1)
    assert other.eval()(torch.zeros(1, 3, 32, 32)).shape == (1, n_classes)


@pytest.mark.parametrize("size", [8, 33, 224])
def test_the_sizes_of_images_that_the_networks_state(size: int) -> None:
    alexnet, mobilenet = ARCHITECTURES["alexnet"], ARCHITECTURES["mobilenet"]
    images = torch.zeros(1, 3, size, size)
    assert size in mobilenet.image_sizes
    assert mobilenet.build(10, {}).eval()(images).shape == (1, 10)
    assert list(alexnet.image_sizes) == [32]


def test_frozen_weights_do_not_count() -> None:
    model = nn.Linear(3, 2)
    model.bias.requires_grad_(False)
    assert count_parameters(model) == 6


def test_documented_baselines() -> None:
    assert {name: entry.baseline for name, entry in ARCHITECTURES.items()} == {
        "alexnet": {"dropout": 0.5},
        "mobilenet": {"dropout": 0.0},
    }
    assert all(name == entry.name for name, entry in ARCHITECTURES.items())


@pytest.fixture
def empty_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "ARCHITECTURES", {})


def _named(name: str) -> Architecture:
    return Architecture(name, "A title", ToyNet, baseline={"dropout": 0.0})


@pytest.mark.usefixtures("empty_registry")
def test_a_registered_network_is_found_by_its_name() -> None:
    register(_named("resnet_18"))
    assert {"resnet_18": _named("resnet_18")} == registry.ARCHITECTURES


@pytest.mark.usefixtures("empty_registry")
def test_a_name_is_taken_once() -> None:
    register(_named("resnet"))
    with pytest.raises(ValueError, match="'resnet' is registered already"):
        register(_named("resnet"))


@pytest.mark.usefixtures("empty_registry")
@pytest.mark.parametrize("name", ["", "AlexNet", "alex-net", "../alexnet", "a/b", "a b", "1net", ".net", "net\n"])
def test_a_name_is_fit_for_a_file_name(name: str) -> None:
    with pytest.raises(ValueError, match="lower-case identifier"):
        register(_named(name))
    assert registry.ARCHITECTURES == {}


def test_unknown_networks_are_not_in_the_registry() -> None:
    with pytest.raises(KeyError):
        ARCHITECTURES["vgg"]
