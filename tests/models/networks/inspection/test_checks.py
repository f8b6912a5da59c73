"""The checks of a network before a search: each fault in one line, and the notes about a network without one."""

import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torchvision import models as torchvision_models

from models.networks.hyperparameters import Value
from models.networks.inspection.attempts import NetworkFault, trains_on_one_image
from models.networks.inspection.checks import Checked, check_network
from models.networks.registry import ARCHITECTURES, Architecture
from models.networks.starting import Start
from tests.builders import TOY

CLASSES = 5


def flat(*after: nn.Module) -> nn.Module:
    return nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(48, CLASSES), *after)


class Around(nn.Module):
    """Gives a network's logits to a function, which may do anything with them."""

    def __init__(self, change: Callable[[nn.Module, torch.Tensor], Any], **attributes: Any) -> None:
        super().__init__()
        self.inner = flat()
        self.change = change
        for name, value in attributes.items():
            setattr(self, name, value)

    def forward(self, images: torch.Tensor) -> Any:
        return self.change(self, self.inner(images))


def check(
    factory: Callable[..., Any],
    values: Mapping[str, Value] | None = None,
    alternatives: Mapping[str, Sequence[Value]] | None = None,
    last_batch: int = 4,
    batch_size: int = 16,
    **told: Any,
) -> Checked:
    network = Architecture("net", "Net", factory, **told)
    values = {"lr": 1e-3, **(values or {})}
    return check_network(network, CLASSES, values, alternatives or {}, last_batch, batch_size, "fp32")


def around(change: Callable[[nn.Module, torch.Tensor], Any]) -> Callable[..., nn.Module]:
    return lambda num_classes: Around(change)


def _seeded_by_itself(num_classes: int) -> nn.Module:
    torch.manual_seed(3)
    return flat()


def _unseeded(num_classes: int) -> nn.Module:
    network = flat()
    generator = torch.Generator()
    generator.seed()
    nn.init.normal_(network[2].weight, generator=generator)  # type: ignore[index]
    return network


def _raising(num_classes: int) -> nn.Module:
    raise KeyError("width\nis not known")


def _exiting(*_: Any, **__: Any) -> nn.Module:
    raise SystemExit(3)


def _on_gpu(num_classes: int) -> nn.Module:
    raise RuntimeError("Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU")


def _elsewhere(num_classes: int) -> nn.Module:
    return flat().to("meta")


def _forgetful(num_classes: int) -> nn.Module:
    """Keeps a layer in a list, where no state_dict finds it."""
    hidden = [nn.Linear(CLASSES, CLASSES)]
    return Around(lambda module, logits: hidden[0](logits))


def _growing(module: nn.Module, logits: torch.Tensor) -> torch.Tensor:
    if not hasattr(module, "late"):
        module.register_buffer("late", torch.ones(CLASSES))
    return logits * module.late


def _zero(module: nn.Module, logits: torch.Tensor) -> torch.Tensor:
    return logits * torch.zeros(1).sqrt() if module.training else logits


FAULTS: dict[str, tuple[Callable[..., Any], str]] = {
    "signature": (lambda n_classes: flat(), r"cannot be called with num_classes=5 \(missing a required.*n_classes"),
    "raises": (_raising, "cannot be built with num_classes=5: KeyError: 'width"),
    "exits": (_exiting, "cannot be built with num_classes=5: SystemExit: 3"),
    "exits later": (around(_exiting), "cannot predict an image: SystemExit: 3"),
    "gpu": (_on_gpu, "cannot be built with .*NVIDIA.*: build it on the CPU, and the study moves it to a GPU"),
    "elsewhere": (_elsewhere, "has 2.weight on meta: build it on the CPU"),
    "no module": (lambda num_classes: flat, "is a function, not a torch.nn.Module: return the module itself"),
    "lazy": (lambda num_classes: nn.Sequential(nn.Flatten(), nn.LazyLinear(5)), "has a lazy layer, whose 1.weight"),
    "no weights": (lambda num_classes: nn.Flatten(), "has no trainable weights: register its layers"),
    "forward": (lambda num_classes: nn.Linear(3, 5), "cannot predict an image: RuntimeError: .*mat1 and mat2"),
    "tuple": (around(lambda module, logits: (logits, 0)), "returns a tuple, not a tensor: return the logits alone"),
    "in training": (
        around(lambda module, logits: [logits] if module.training else logits),
        "returns a list in training, not a tensor",
    ),
    "shape": (around(lambda module, logits: logits[..., None]), "returns float32 2x5x1 for 2 images of 5 classes"),
    "classes": (lambda num_classes: flat(nn.Linear(5, 9)), "returns float32 2x9 .*: return logits, 2x5"),
    "labels": (around(lambda module, logits: logits.argmax(1)), "returns int64 2 for 2 images of 5 classes"),
    "nan": (around(lambda module, logits: logits / 0), "returns values that are not finite: look"),
    "softmax": (lambda num_classes: flat(nn.Softmax(1)), "returns probabilities: leave the softmax out"),
    "softmax in training": (
        around(lambda module, logits: logits.softmax(1) if module.training else logits),
        "returns probabilities in training",
    ),
    "no gradient": (around(lambda module, logits: logits.detach()), "has no gradient: RuntimeError"),
    "gradient": (
        around(lambda module, logits: logits + (module.inner[2].weight * 0).abs().sqrt().sum()),  # type: ignore
        "has a loss or a gradient that is not finite in its first step",
    ),
    "own seed": (_seeded_by_itself, "has the same initial weights for every seed: seed no generator in the factory"),
    "no seed": (_unseeded, "has other initial weights each time it is built from one seed"),
    "unregistered": (_forgetful, "predicts otherwise after its state_dict was loaded into a new network: register"),
    "late": (around(_growing), "does not load its own state_dict into a new network: RuntimeError"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_line(fault: str) -> None:
    factory, line = FAULTS[fault]
    with pytest.raises(NetworkFault) as found:
        check(factory)
    assert re.match(line, str(found.value)), found.value
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("name", [pytest.param("alexnet", marks=pytest.mark.slow), "mobilenet"])
def test_the_documented_networks_have_no_fault_and_their_dropout_matters(name: str) -> None:
    checked = check_network(ARCHITECTURES[name], 10, {"dropout": 0.2}, {"dropout": (0.7, 0.0)}, 72, 128, "bf16")
    assert checked == Checked((), ())


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "squeezenet1_1"])
def test_networks_of_torchvision_have_no_fault(name: str) -> None:
    checked = check(getattr(torchvision_models, name), last_batch=2)
    (line,) = checked.notes
    assert re.fullmatch(r"shrinks its feature maps to 1x1 early: \d of its \d+ convolutions .*", line)


def test_global_random_states_stay_as_they_are() -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # type: ignore[index]
    check(TOY.factory, {"dropout": 0.1}, {"dropout": (0.5,)})
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1:] == (np.random.get_state()[1].tolist(), random.getstate())  # type: ignore[index]


def test_a_network_that_draws_from_numpy_and_random_repeats() -> None:
    def factory(num_classes: int) -> nn.Module:
        network = flat()
        with torch.no_grad():
            network[2].bias[:] = torch.from_numpy(np.random.normal(size=5)) + random.random()  # type: ignore
        return network

    assert check(factory) == Checked((), ())


def test_given_weights_may_be_the_same_for_every_seed() -> None:
    (note,) = check(_seeded_by_itself, has_given_weights=True).notes
    assert note == "starts every run from the same weights, so seeds decide the data's order and dropout alone"


def test_a_network_of_sigmoids_is_noted() -> None:
    (note,) = check(lambda num_classes: flat(nn.Sigmoid())).notes
    assert note.startswith("returns values between 0 and 1 alone, as after a sigmoid")
    assert check(lambda num_classes: flat(nn.LogSoftmax(1))).notes == ()


def _normalised(num_classes: int) -> nn.Module:
    return nn.Sequential(nn.AvgPool2d(32), nn.Flatten(), nn.BatchNorm1d(3), nn.Linear(3, num_classes))


def test_a_last_batch_of_one_image_is_left_out_if_it_cannot_be_trained() -> None:
    (note,) = check(_normalised, last_batch=1).notes
    assert note == "cannot be trained on one image alone, so the last image of every epoch is left out"
    assert check(_normalised, last_batch=2).notes == ()
    with pytest.raises(NetworkFault, match=r"cannot be trained on batches of one image .*: raise --batch-size"):
        check(_normalised, last_batch=1, batch_size=1)


def test_a_frozen_batch_normalisation_is_trained_on_one_image() -> None:
    frozen = Start(freeze=("2.",))
    assert check(_normalised, last_batch=1, start=frozen).notes == ()
    assert check(_normalised, last_batch=1, batch_size=1, start=frozen).notes == ()


def test_whether_a_network_trains_on_one_image_is_found_without_changing_it() -> None:
    image = torch.randn(1, 3, 32, 32)
    for factory, expected in ((_normalised, False), (ARCHITECTURES["alexnet"].factory, True)):
        network = factory(num_classes=5)
        before = {name: value.clone() for name, value in network.state_dict().items()}
        assert trains_on_one_image(network, image) is expected
        assert network.training
        assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def _switched(num_classes: int, dropout: float = 0.0, kind: str = "plain", width: int = 4, unused: int = 1) -> Any:
    """Uses its width only if kind is "wide"."""
    hidden = [nn.Linear(5, width), nn.Linear(width, 5)] if kind == "wide" else []
    return flat(nn.Identity(), *hidden)


def test_hyperparameters_that_change_nothing_are_found() -> None:
    values: dict[str, Value] = {"dropout": 0.0, "model.kind": "plain", "model.width": 4, "model.unused": 1}
    alternatives: dict[str, Sequence[Value]] = {
        "dropout": (0.7, 0.0),
        "model.kind": ("plain", "wide"),
        "model.width": (8, 2),
        "model.unused": (3, 0),
    }
    assert check(_switched, values, alternatives).ignored == ("dropout", "model.unused")


def test_a_value_of_the_search_that_fails_is_named() -> None:
    space: dict[str, Sequence[Value]] = {"model.width": (-1, 8), "model.kind": ("wide", "plain")}
    values: dict[str, Value] = {"model.width": 4, "model.kind": "wide"}
    with pytest.raises(NetworkFault, match="cannot be built with num_classes=5, width=-1, kind='wide': RuntimeError"):
        check(_switched, values, space)
