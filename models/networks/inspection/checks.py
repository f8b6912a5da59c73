"""Checks of a network before anything is searched: it can be called, trained, repeated, saved and tuned."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.networks.hyperparameters import Value, of_network
from models.networks.inspection.attempts import (
    NetworkFault,
    attempt_build,
    attempt_prediction,
    attempt_step,
    check_logits,
    told_in_one_line,
    trains_on_one_image,
)
from models.networks.registry import Architecture
from models.precision import Precision

# At most 8 images a step, because the user waits, and more would show nothing else.
_IMAGES = 8
_SEED = 0


@dataclass(frozen=True)
class Checked:
    """Holds the findings about a network that can be studied.

    Attributes:
        notes: sentences for the user. Each begins with a verb whose subject is the network.
        ignored: the network's hyperparameters that change nothing.
    """

    notes: tuple[str, ...]
    ignored: tuple[str, ...]


def check_network(
    architecture: Architecture,
    n_classes: int,
    values: Mapping[str, Value],
    alternatives: Mapping[str, Sequence[Value]],
    last_batch: int,
    batch_size: int,
    precision: Precision,
    image_size: int = 32,
) -> Checked:
    """Build a network a few times on the CPU, and train one step. Global random states stay as they are.

    Args:
        n_classes: number of logits, at least 2.
        values: the baseline's hyperparameters.
        alternatives: other values of each hyperparameter of the network.
        last_batch: images of an epoch's last batch, at least 1.
        batch_size: images of the other batches.
        precision: number format of matrix products in training.
        image_size: pixels of a side of the images.

    Raises:
        NetworkFault: if the network cannot be studied.
    """
    model, other = (attempt_build(architecture, n_classes, values, seed) for seed in (_SEED, _SEED + 1))
    notes = _check_seeds(architecture, n_classes, values, model, other)
    generator = torch.Generator().manual_seed(_SEED)
    images = torch.randn(_IMAGES, 3, image_size, image_size, generator=generator)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.arange(_IMAGES) % n_classes
    logits, sizes = attempt_prediction(model, images[:2], precision)
    notes += check_logits(logits, 2, n_classes, "")
    notes += _shrunk(sizes)

    n = min(last_batch if last_batch > 1 else max(2, batch_size), _IMAGES)
    attempt_step(model, architecture.start, images[:n], labels[:n], n_classes, precision)
    if last_batch == 1 and not trains_on_one_image(model, images[:1]):
        if batch_size == 1:
            raise NetworkFault("cannot be trained on batches of one image (batch normalisation): raise --batch-size")
        notes.append("cannot be trained on one image alone, so the last image of every epoch is left out")
    _check_state(model, other, images[:2])
    effects = _Effects(architecture, n_classes, images, labels)
    ignored = tuple(name for name in alternatives if not effects.has_effect(name, values, alternatives))
    return Checked(tuple(notes), ignored)


def _shrunk(sizes: Sequence[tuple[int, int]]) -> list[str]:
    single = sum(size == (1, 1) for size in sizes)
    if not single:
        return []
    return [
        f"shrinks its feature maps to 1x1 early: {single} of its {len(sizes)} convolutions of over 1x1 read a single"
        f" pixel; smaller strides or larger images would use them"
    ]


def _check_seeds(
    architecture: Architecture, n_classes: int, values: Mapping[str, Value], model: nn.Module, other: nn.Module
) -> list[str]:
    """Raise NetworkFault unless the seed decides the initial weights. Return notes."""
    if not _are_equal(model, attempt_build(architecture, n_classes, values, _SEED)):
        raise NetworkFault(
            "has other initial weights each time it is built from one seed: draw random numbers from torch, numpy or"
            " random, whose global generators the study seeds"
        )
    if not _are_equal(model, other):
        return []
    if architecture.has_given_weights:
        return ["starts every run from the same weights, so seeds decide the data's order and dropout alone"]
    raise NetworkFault(
        "has the same initial weights for every seed: seed no generator in the factory, or name the file of the weights"
        " under `weights`"
    )


def _are_equal(one: nn.Module, other: nn.Module) -> bool:
    mine, yours = one.state_dict(), other.state_dict()
    return mine.keys() == yours.keys() and all(torch.equal(mine[name], yours[name]) for name in mine)


def _check_state(model: nn.Module, other: nn.Module, images: Tensor) -> None:
    """Raise NetworkFault unless another network becomes the same when it loads the state of this one."""
    state = model.state_dict()
    if strange := next((name for name, value in state.items() if not isinstance(value, Tensor)), None):
        raise NetworkFault(f"has {strange} in its state_dict, which is not a tensor: leave it out")
    try:
        other.load_state_dict(state)
    except (Exception, SystemExit) as error:  # a module may load its state itself
        raise NetworkFault(f"does not load its own state_dict into a new network: {told_in_one_line(error)}") from error
    predictions = [attempt_prediction(network, images, "fp32")[0] for network in (model, other)]
    if not torch.allclose(predictions[0], predictions[1], rtol=1e-3, atol=1e-4):  # type: ignore[arg-type]
        raise NetworkFault(
            "predicts otherwise after its state_dict was loaded into a new network: register every layer (ModuleList)"
            " and every tensor (register_buffer)"
        )


class _Effects:
    """Compares configurations of a network by their logits and gradients."""

    def __init__(self, architecture: Architecture, n_classes: int, images: Tensor, labels: Tensor) -> None:
        self._architecture = architecture
        self._n_classes = n_classes
        self._images = images
        self._labels = labels
        self._known: dict[tuple[tuple[str, Value], ...], str] = {}

    def has_effect(self, name: str, values: Mapping[str, Value], alternatives: Mapping[str, Sequence[Value]]) -> bool:
        """Return whether another value of a hyperparameter changes something.

        A value of another hyperparameter may switch it off, so the others' alternatives are tried, too.
        """
        rest = [{**values, other: value} for other in alternatives if other != name for value in alternatives[other]]
        return any(
            self._digest(base) != self._digest({**base, name: value})
            for base in (values, *rest)
            for value in alternatives[name]
            if value != values[name]
        )

    def _digest(self, values: Mapping[str, Value]) -> str:
        key = tuple(sorted(values.items()))
        if key not in self._known:
            model = attempt_build(self._architecture, self._n_classes, values, _SEED)
            try:
                logits, gradients = attempt_step(
                    model, self._architecture.start, self._images, self._labels, self._n_classes, "fp32"
                )
            except NetworkFault as error:
                told = ", ".join(f"{name}={value!r}" for name, value in of_network(values).items())
                raise NetworkFault(f"{error} (with {told}; narrow the search space)") from error
            digest = hashlib.sha256()
            for value in (logits, *(gradient for gradient in gradients if gradient is not None)):
                digest.update(value.detach().float().contiguous().flatten().numpy().data)
            self._known[key] = digest.hexdigest()
        return self._known[key]
