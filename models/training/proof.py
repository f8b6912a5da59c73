"""The proof that the fast code trains a network on this machine as torch's own layers do.

The fast code is the kernels in C and Triton, the convolutions by Winograd and for Intel AMX, the captured step (CUDA
graph) and the second stream. Before a network uses it in a process, one small batch is trained with it and with torch's
layers, from equal weights. The results must agree within the tolerances below.
"""

import copy
import logging
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from models.data import IMAGE_SIZE, ChannelStatistics
from models.kernels import convolution
from models.kernels.available import can_compile_c, can_use_triton, has_switchable, use_kernels
from models.precision import Precision
from models.randomness import seeded
from models.training import step as steps
from models.training.inference import DeviceImages
from models.training.optimizer import Adam

Setting = Literal["auto", "off"]

# At most this part of the norm of torch's gradient may differ. Sums in another order round differently, and activations
# near 0 then fall on either side of the ReLU; bfloat16 has only 8 bits.
GRADIENT_TOLERANCE: dict[Precision, float] = {"fp32": 0.02, "bf16": 0.3}
# At most this part of the loss, of a buffer or of an update of Adam may differ: rounding averages out there.
TOLERANCE = 0.02
# A tensor whose norm is below this part of the norm of its kind is noise, and is compared on that scale.
NOISE = 0.01
IMAGES = 16
# So small that the second step starts from almost equal weights on both sides.
LEARNING_RATE = 1e-4
_Results = dict[str, dict[str, Tensor]]


@dataclass(frozen=True)
class Kernels:
    """Names the code that trains a network, "fast" or "torch" (torch's own layers alone), and the reason."""

    path: Literal["fast", "torch"]
    reason: str


# The results of this process, by network, device, precision and image size.
_proven: dict[tuple[object, ...], Kernels] = {}


def choose_kernels(
    name: str,
    model: nn.Module,
    n_classes: int,
    is_capturable: bool,
    device: torch.device,
    precision: Precision,
    setting: Setting,
    image_size: int = IMAGE_SIZE,
) -> Kernels:
    """Return the code that may train a network here; prove the fast code once a process and setting.

    If the fast code raises, disagrees or gives values that are not finite, log one warning and return "torch". Global
    random states and the network itself stay as they are.

    Args:
        name: name of the network, for the warning.
        model: the network, on the device.
        n_classes: number of logits, at least 1.
        is_capturable: see `Architecture.capturable`.
        device: device that trains.
        precision: number format of matrix products.
        setting: "auto" proves and uses the fast code; "off" uses torch's layers everywhere.
        image_size: pixels of a side of the images.

    Raises:
        ValueError: if `setting` is another word.
    """
    if setting not in ("auto", "off"):
        raise ValueError(f"kernels {setting!r} is neither auto nor off")
    if setting == "off":
        return Kernels("torch", "switched off")
    parts = _fast_parts(model, is_capturable, device, precision)
    if not parts:
        return Kernels("torch", "there is no fast code for this network and machine")
    shapes = tuple((key, tuple(value.shape)) for key, value in model.state_dict().items())
    key = (name, shapes, n_classes, is_capturable, device, precision, image_size)
    if key not in _proven:
        fault = _fault(model, n_classes, is_capturable, device, precision, image_size)
        if fault is not None:
            logging.getLogger(__name__).warning(
                "%s trains with torch's layers, which is slower: the fast code (%s) %s", name, ", ".join(parts), fault
            )
        _proven[key] = Kernels("torch", fault) if fault is not None else Kernels("fast", ", ".join(parts))
    return _proven[key]


def _fast_parts(model: nn.Module, is_capturable: bool, device: torch.device, precision: Precision) -> list[str]:
    parts = []
    if has_switchable(model):
        if device.type == "cuda" and can_use_triton():
            parts.append("Triton")
        if device.type == "cpu" and can_compile_c(torch.bfloat16 if precision == "bf16" else torch.float32):
            parts.append("C")
        if device.type == "cpu" and precision == "fp32" and any(map(_suits_winograd, model.modules())):
            # Images may still have sides that are no multiples of a tile's: then torch's convolution takes them.
            parts.append("Winograd convolution")
        if device.type == "cpu" and precision == "bf16" and convolution.HAS_TILES:
            parts.append("AMX convolution")
    if is_capturable and steps.can_capture(device):
        parts.append("CUDA graph")
        if precision == "bf16" and can_use_triton():
            parts.append("second stream")
    return parts


def _suits_winograd(layer: nn.Module) -> bool:
    return isinstance(layer, convolution.Conv2d) and layer.suits_winograd


def _fault(
    model: nn.Module,
    n_classes: int,
    is_capturable: bool,
    device: torch.device,
    precision: Precision,
    image_size: int,
) -> str | None:
    """Return what is wrong with the fast code, as a predicate; None if nothing is."""
    n_steps = steps.WARM_UP_STEPS + 2 if is_capturable and steps.can_capture(device) else 1
    try:
        theirs, ours = (
            _train(model, n_classes, captures, is_fast, device, precision, n_steps, image_size)
            for captures, is_fast in ((False, False), (is_capturable, True))
        )
    except Exception as error:  # a failed launch, a kernel that does not compile, a capture that breaks
        return f"failed: {type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    theirs["update of"] = _updates(ours, n_steps)
    for kind, tensors in theirs.items():
        scale = NOISE * math.hypot(*(tensor.norm().item() for tensor in tensors.values()))
        tolerance = GRADIENT_TOLERANCE[precision] if kind.endswith("gradient of") else TOLERANCE
        for name, tensor in tensors.items():
            found, where = ours[kind][name], f"{kind} {name}".strip()
            if not bool(found.isfinite().all()):
                return f"gave values that are not finite ({where})"
            distance, size = (found - tensor).norm().item(), tensor.norm().item()
            if not distance <= tolerance * (size + scale):
                return f"disagrees with torch's layers ({where} is off by {distance:.2g}, of a norm of {size:.2g})"
    return None


def _train(
    model: nn.Module,
    n_classes: int,
    captures: bool,
    is_fast: bool,
    device: torch.device,
    precision: Precision,
    n_steps: int,
    image_size: int,
) -> _Results:
    """Train a copy of the network on one batch `n_steps` times; return the results by kind and name."""
    model = copy.deepcopy(model).train()
    use_kernels(model, is_fast)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (IMAGES, image_size, image_size, 3), np.uint8)
    statistics = ChannelStatistics(np.full(3, 127.5, np.float32), np.full(3, 73.9, np.float32))
    images = DeviceImages(pixels, statistics, device)
    labels = torch.arange(IMAGES, device=device) % n_classes
    optimizer = Adam(model.parameters(), lr=LEARNING_RATE, fused=True, capturable=True)
    step = steps.TrainingStep(model, optimizer, images, labels, precision, IMAGES, captures)
    weights = dict(model.named_parameters())
    with seeded(0, device), steps.side_stream(device):
        for _ in range(n_steps):
            before = {name: weight.detach().clone() for name, weight in weights.items()}
            step(torch.arange(IMAGES, device=device))
    states = {name: optimizer.state[weight] for name, weight in weights.items() if optimizer.state[weight]}
    return {
        "loss": {"": step.loss_sum},
        "mean gradient of": {name: state["exp_avg"] for name, state in states.items()},
        "mean squared gradient of": {name: state["exp_avg_sq"] for name, state in states.items()},
        "buffer": {name: buffer.float() for name, buffer in model.named_buffers()},
        "update of": {name: before[name] - weights[name].detach() for name in states},
    }


def _updates(results: _Results, n_steps: int) -> dict[str, Tensor]:
    """Return the last updates of Adam (Kingma and Ba, 2015) that these moments give."""
    updates = {}
    for name, first in results["mean gradient of"].items():
        second = results["mean squared gradient of"][name]
        root = (second / (1 - 0.999**n_steps)).sqrt() + 1e-8
        updates[name] = LEARNING_RATE * first / (1 - 0.9**n_steps) / root
    return updates
