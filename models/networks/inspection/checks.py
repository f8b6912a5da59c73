"""Checks of a network before anything is searched: it can be called, trained, repeated, saved and tuned."""

import copy
import hashlib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parameter import is_lazy

from models.networks.hyperparameters import Value, of_network
from models.networks.registry import Architecture
from models.precision import Precision, autocast
from models.randomness import seeded

# At most 8 images a step, because the user waits, and more would show nothing else.
_IMAGES = 8
_CPU = torch.device("cpu")
_SEED = 0


class NetworkFault(ValueError):
    """Says in one line, which begins with a verb, why a network cannot be studied and what to do."""


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
    model, other = (_build(architecture, n_classes, values, seed) for seed in (_SEED, _SEED + 1))
    notes = _check_seeds(architecture, n_classes, values, model, other)
    generator = torch.Generator().manual_seed(_SEED)
    images = torch.randn(_IMAGES, 3, image_size, image_size, generator=generator)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.arange(_IMAGES) % n_classes
    logits, sizes = _predict(model, images[:2], precision)
    notes += _check_logits(logits, 2, n_classes, "")
    notes += _shrunk(sizes)

    n = last_batch
    if last_batch == 1 and not trains_on_one_image(model, images[:1]):
        if batch_size == 1:
            raise NetworkFault("cannot be trained on batches of one image (batch normalisation): raise --batch-size")
        notes.append("cannot be trained on one image alone, so the last image of every epoch is left out")
        n = batch_size
    n = min(n, _IMAGES)
    _train(model, images[:n], labels[:n], n_classes, precision)
    _check_state(model, other, images[:2])
    effects = _Effects(architecture, n_classes, images, labels)
    ignored = tuple(name for name in alternatives if not effects.has_effect(name, values, alternatives))
    return Checked(tuple(notes), ignored)


def trains_on_one_image(model: nn.Module, image: Tensor) -> bool:
    """Return whether a network can be trained on one image, which batch normalisation of single values cannot.

    The network and the global random states stay as they are.

    Args:
        image: float32 [1, 3, size, size].
    """
    with seeded(0, image.device), torch.no_grad():
        try:
            copy.deepcopy(model).train()(image)
        except ValueError:  # torch's normalisation layers raise it: "Expected more than 1 value per channel"
            return False
    return True


def _build(architecture: Architecture, n_classes: int, values: Mapping[str, Value], seed: int) -> nn.Module:
    """Build a network as a run does. Raises NetworkFault if the factory raises or its module cannot be trained."""
    named = {"num_classes": n_classes, **architecture.arguments, **of_network(values)}
    told = ", ".join(f"{name}={value!r}" for name, value in named.items())
    try:
        inspect.signature(architecture.factory).bind(**named)
    except TypeError as error:
        raise NetworkFault(f"cannot be called with {told} ({error}): change its parameters or its arguments") from error
    except ValueError:
        pass  # a callable written in C has no signature
    try:
        with seeded(seed, _CPU):
            model = architecture.build(n_classes, values)
    except Exception as error:  # the user's code may raise anything
        raise NetworkFault(f"cannot be built with {told}: {_told(error)}") from error
    if not isinstance(model, nn.Module):
        raise NetworkFault(f"is a {type(model).__name__}, not a torch.nn.Module: return the module itself")
    state = [*model.named_parameters(), *model.named_buffers()]
    if lazy := next((name for name, value in state if is_lazy(value)), None):
        raise NetworkFault(f"has a lazy layer, whose {lazy} has no shape yet: give the layer its size")
    if away := next(((name, value.device) for name, value in state if value.device.type != "cpu"), None):
        raise NetworkFault(f"has {away[0]} on {away[1]}: build it on the CPU, and the study moves it")
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise NetworkFault("has no trainable weights: register its layers as attributes or in a ModuleList")
    try:
        architecture.start.apply(model)
    except ValueError as error:
        raise NetworkFault(f"cannot start as told: {error}") from error
    return model.to(memory_format=torch.channels_last)


def _told(error: Exception) -> str:
    """Return an error as one line, with a remedy if it asks for a GPU."""
    line = f"{type(error).__name__}: {' '.join(str(error).split())}"
    if any(word in line for word in ("CUDA", "NVIDIA", "cuda")):
        return f"{line[:200]}: build it on the CPU, and the study moves it to a GPU"
    return line


def _predict(model: nn.Module, images: Tensor, precision: Precision) -> tuple[object, list[tuple[int, int]]]:
    """Predict in eval mode. Return the logits, and the height and width that each convolution of over 1x1 reads."""
    sizes: list[tuple[int, int]] = []

    def note(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if isinstance(layer, nn.Conv2d) and max(layer.kernel_size) > 1:
            sizes.append((inputs[0].shape[-2], inputs[0].shape[-1]))

    hooks = [layer.register_forward_pre_hook(note) for layer in model.modules()]
    try:
        with seeded(_SEED, _CPU), torch.no_grad(), autocast(precision, _CPU):
            return model.eval()(images), sizes
    except Exception as error:  # the user's code may raise anything
        raise NetworkFault(f"cannot predict an image: {_told(error)}") from error
    finally:
        for hook in hooks:
            hook.remove()


def _check_logits(logits: object, n: int, n_classes: int, when: str) -> list[str]:
    """Raise NetworkFault unless these are logits [n, n_classes]. Return notes.

    Args:
        when: "" or " in training".
    """
    if not isinstance(logits, Tensor):
        raise NetworkFault(f"returns a {type(logits).__name__}{when}, not a tensor: return the logits alone")
    if logits.shape != (n, n_classes) or not logits.is_floating_point():
        shape, kind = "x".join(map(str, logits.shape)) or "one number", str(logits.dtype).removeprefix("torch.")
        raise NetworkFault(
            f"returns {kind} {shape} for {n} images of {n_classes} classes{when}: return logits, {n}x{n_classes}"
        )
    values = logits.detach().double()
    if not values.isfinite().all():
        raise NetworkFault(f"returns values that are not finite{when}: look for a division by 0 or a logarithm")
    tolerance = 1e-2 if logits.dtype in (torch.bfloat16, torch.float16) else 1e-4
    if (values >= 0).all() and (values.sum(1) - 1).abs().max() < tolerance:
        raise NetworkFault(f"returns probabilities{when}: leave the softmax out, because the loss applies it")
    if not when and ((values > 0) & (values < 1)).all():
        return ["returns values between 0 and 1 alone, as after a sigmoid; logits train better"]
    return []


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
    if not _are_equal(model, _build(architecture, n_classes, values, _SEED)):
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


def _train(
    model: nn.Module, images: Tensor, labels: Tensor, n_classes: int, precision: Precision
) -> tuple[Tensor, list[Tensor | None]]:
    """Train one step without changing a weight. Return the logits and the gradients. Raises NetworkFault."""
    model.train().zero_grad()
    try:
        with seeded(_SEED, _CPU), autocast(precision, _CPU):
            logits = model(images)
    except Exception as error:  # the user's code may raise anything
        raise NetworkFault(f"cannot be trained on a batch of {len(images)} images: {_told(error)}") from error
    _check_logits(logits, len(images), n_classes, " in training")
    loss = F.cross_entropy(logits.float(), labels)
    try:
        loss.backward()
    except Exception as error:
        raise NetworkFault(f"has no gradient: {_told(error)}") from error
    gradients = [parameter.grad for parameter in model.parameters()]
    if not loss.isfinite() or not all(bool(found.isfinite().all()) for found in gradients if found is not None):
        raise NetworkFault("has a loss or a gradient that is not finite in its first step of training")
    return logits.detach(), gradients


def _check_state(model: nn.Module, other: nn.Module, images: Tensor) -> None:
    """Raise NetworkFault unless another network becomes the same when it loads the state of this one."""
    state = model.state_dict()
    if strange := next((name for name, value in state.items() if not isinstance(value, Tensor)), None):
        raise NetworkFault(f"has {strange} in its state_dict, which is not a tensor: leave it out")
    try:
        other.load_state_dict(state)
    except Exception as error:  # a module may load its state itself
        raise NetworkFault(f"does not load its own state_dict into a new network: {_told(error)}") from error
    predictions = [_predict(network, images, "fp32")[0] for network in (model, other)]
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
            model = _build(self._architecture, self._n_classes, values, _SEED)
            try:
                logits, gradients = _train(model, self._images, self._labels, self._n_classes, "fp32")
            except NetworkFault as error:
                told = ", ".join(f"{name}={value!r}" for name, value in of_network(values).items())
                raise NetworkFault(f"{error} (with {told}; narrow the search space)") from error
            digest = hashlib.sha256()
            for value in (logits, *(gradient for gradient in gradients if gradient is not None)):
                digest.update(value.detach().float().contiguous().flatten().numpy().data)
            self._known[key] = digest.hexdigest()
        return self._known[key]
