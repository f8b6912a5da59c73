"""Attempts to build, predict and train with a network once. Each fault is one line."""

import copy
import inspect
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parameter import is_lazy

from models.networks.hyperparameters import Value, of_network
from models.networks.registry import Architecture
from models.networks.starting import Start
from models.precision import Precision, autocast
from models.randomness import seeded

_CPU = torch.device("cpu")
_SEED = 0


class NetworkFault(ValueError):
    """Says in one line, which begins with a verb, why a network cannot be studied and what to do."""


def trains_on_one_image(model: nn.Module, image: Tensor) -> bool:
    """Return whether a network can be trained on one image, which batch normalisation of single values cannot.

    The network and the global random states stay as they are.

    Args:
        model: the network in train mode, apart from the layers that training leaves in eval mode.
        image: float32 [1, 3, size, size].
    """
    with seeded(0, image.device), torch.no_grad():
        try:
            copy.deepcopy(model)(image)
        except ValueError:  # torch's normalisation layers raise it: "Expected more than 1 value per channel"
            return False
    return True


def attempt_build(architecture: Architecture, n_classes: int, values: Mapping[str, Value], seed: int) -> nn.Module:
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
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        raise NetworkFault(f"cannot be built with {told}: {told_in_one_line(error)}") from error
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


def attempt_prediction(model: nn.Module, images: Tensor, precision: Precision) -> tuple[object, list[tuple[int, int]]]:
    """Predict in eval mode. Return the logits, and the height and width that each convolution of over 1x1 reads."""
    sizes: list[tuple[int, int]] = []

    def note(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if isinstance(layer, nn.Conv2d) and max(layer.kernel_size) > 1:
            sizes.append((inputs[0].shape[-2], inputs[0].shape[-1]))

    hooks = [layer.register_forward_pre_hook(note) for layer in model.modules()]
    try:
        with seeded(_SEED, _CPU), torch.no_grad(), autocast(precision, _CPU):
            return model.eval()(images), sizes
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        raise NetworkFault(f"cannot predict an image: {told_in_one_line(error)}") from error
    finally:
        for hook in hooks:
            hook.remove()


def check_logits(logits: object, n: int, n_classes: int, when: str) -> list[str]:
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


def attempt_step(
    model: nn.Module, start: Start, images: Tensor, labels: Tensor, n_classes: int, precision: Precision
) -> tuple[Tensor, list[Tensor | None]]:
    """Train one step without changing a weight. Return the logits and the gradients.

    The network is in the mode that it is trained in afterwards: layers with frozen buffers stay in eval mode.

    Raises:
        NetworkFault: if the network cannot be trained.
    """
    model.train().zero_grad()
    start.hold(model)
    try:
        with seeded(_SEED, _CPU), autocast(precision, _CPU):
            logits = model(images)
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        raise NetworkFault(
            f"cannot be trained on a batch of {len(images)} images: {told_in_one_line(error)}"
        ) from error
    check_logits(logits, len(images), n_classes, " in training")
    loss = F.cross_entropy(logits.float(), labels)
    try:
        loss.backward()
    except (Exception, SystemExit) as error:
        raise NetworkFault(f"has no gradient: {told_in_one_line(error)}") from error
    gradients = [parameter.grad for parameter in model.parameters()]
    if not loss.isfinite() or not all(bool(found.isfinite().all()) for found in gradients if found is not None):
        raise NetworkFault("has a loss or a gradient that is not finite in its first step of training")
    return logits.detach(), gradients


def told_in_one_line(error: Exception | SystemExit) -> str:
    """Return an error as one line, with a remedy if it asks for a GPU."""
    line = f"{type(error).__name__}: {' '.join(str(error).split())}"
    if any(word in line for word in ("CUDA", "NVIDIA", "cuda")):
        return f"{line[:200]}: build it on the CPU, and the study moves it to a GPU"
    return line
