"""The machine's limit for one training step.

AlexNet is limited by multiplications: its operations divided by the measured peak of a matrix product in the project's
number format. In float32 on a CPU, Winograd's convolution multiplies a quarter as often. The MobileNet-like network
multiplies little and is limited by memory: the bytes that its layers must read and write, divided by the measured
bandwidth of a copy.
"""

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from models.kernels.convolution import Conv2d
from models.networks.layers import GlobalAveragePool
from models.networks.registry import ARCHITECTURES
from models.precision import Precision, resolve, training_device
from models.training.recipe import BATCH_SIZE

DEVICE = training_device()
ON_GPU = DEVICE.type == "cuda"
MATRIX_SIDE = 8192 if ON_GPU else 2048
COPY_BYTES = 2**32 if ON_GPU else 2**28
# Tensors there have a shape and no values, so nothing is computed.
COUNTED = "meta"


def flops(arch: str, has_winograd: bool, images: int = BATCH_SIZE) -> int:
    """Counts the floating-point operations of the products of one training step on this number of images.

    Winograd's convolution, if the step has it, multiplies 36 times for each tile and pair of channels instead of 144.
    """
    saved = 0

    def count(layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        nonlocal saved
        if isinstance(layer, Conv2d) and layer.suits_winograd:
            # Forward and for two gradients; a multiplication and an addition.
            saved += 3 * 2 * layer.in_channels * output.numel() * (144 - 36) // 16

    with torch.device(COUNTED):
        model = ARCHITECTURES[arch].build(10, {"dropout": 0.0}).train()
        for layer in model.modules():
            layer.register_forward_hook(count)
        with FlopCounterMode(display=False) as counter:
            model(torch.zeros(images, 3, 32, 32)).sum().backward()
    return int(counter.get_total_flops()) - has_winograd * saved


def bytes_moved(arch: str, precision: Precision, images: int = BATCH_SIZE) -> int:
    """Counts the bytes of activations and gradients that the layers of one training step must read and write.

    - A convolution reads its input and writes its output three times: forward, for the gradient of the weights, and for
      the gradient of the input. The first convolution needs no gradient of its input.
    - Batch normalisation with ReLU and max pool reads its input once for the statistics and once more to write the
      output of the pool. In the backward pass it reads input and gradient for two sums, then again to write a gradient.
    - The global pool reads and writes once in each direction.
    """
    values = 0

    def count(layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        nonlocal values
        read, written = inputs[0].numel(), output.numel()
        if isinstance(layer, nn.Conv2d):
            values += (2 if layer.in_channels == 3 else 3) * (read + written)
        elif isinstance(layer, nn.BatchNorm2d):
            values += 5 * read + 3 * written
        elif isinstance(layer, nn.MaxPool2d):
            values += 3 * (written - read)
        elif isinstance(layer, GlobalAveragePool):
            values += 2 * (read + written)

    with torch.device(COUNTED):
        model = ARCHITECTURES[arch].build(10, {"dropout": 0.0}).eval()
        for layer in model.modules():
            layer.register_forward_hook(count)
        model(torch.zeros(images, 3, 32, 32))
    return values * (2 if precision == "bf16" else 4)


def seconds_at_limit(arch: str, threads: int, images: int = BATCH_SIZE) -> float:
    """Returns the seconds of a step at the network's limit, measured on the GPU or else with this number of threads."""
    torch.set_num_threads(threads)
    precision = resolve("auto", DEVICE)
    if arch == "alexnet":
        number = torch.bfloat16 if precision == "bf16" else torch.float32
        side = torch.rand(MATRIX_SIDE, MATRIX_SIDE, dtype=number, device=DEVICE)
        operations = flops(arch, has_winograd=precision == "fp32" and not ON_GPU, images=images)
        return operations * _best(lambda: side @ side) / (2 * MATRIX_SIDE**3)
    source = torch.ones(COPY_BYTES, dtype=torch.uint8, device=DEVICE)
    target = torch.empty_like(source)
    return bytes_moved(arch, precision, images) * _best(lambda: target.copy_(source)) / (2 * COPY_BYTES)


def _best(work: Callable[[], object], times: int = 5) -> float:
    """Returns the seconds of the fastest of some calls."""
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        if ON_GPU:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return min(seconds)
