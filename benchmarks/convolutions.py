"""How much faster are AlexNet's wide convolutions with this project's code for the CPU?

    python -m benchmarks.convolutions

times the second, third and fourth convolution (batch 128) forward and backward with torch's own layer and with
models/kernels, in turn, and prints medians. In float32 the code is winograd.py. In bfloat16 it is convolution.py, on
rows of 8 pixels and a CPU with AMX; elsewhere both ways are torch's. The outputs and the gradients of the weights are
compared with float64.
"""

import argparse
import json
import os
import time
from collections.abc import Sequence
from statistics import median
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from analysis.paths import user_path
from models.kernels.available import use_kernels
from models.kernels.convolution import Conv2d
from models.precision import Precision, resolve
from models.training.recipe import BATCH_SIZE

# Channels in and out, and pixels of a side.
LAYERS = {"second": (64, 192, 16), "third": (192, 384, 8), "fourth": (384, 256, 8)}
PASSES = ("forward", "backward")


def step(layer: Conv2d, images: Tensor, gradient: Tensor, precision: Precision) -> tuple[list[float], list[Tensor]]:
    """Returns the seconds of both passes, and two results: the output and the gradient of the weights."""
    layer.zero_grad()
    images = images.detach().requires_grad_()
    begun = time.perf_counter()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
        output = layer(images)
    between = time.perf_counter()
    output.backward(gradient.to(output.dtype))
    seconds = [between - begun, time.perf_counter() - between]
    assert layer.weight.grad is not None
    return seconds, [output.detach(), layer.weight.grad.clone()]


def measure(name: str, rounds: int, batch: int, precision: Precision) -> dict[str, Any]:
    """Returns the row of a layer: milliseconds of both ways, and how far their results are from float64's."""
    torch.manual_seed(0)
    inputs, outputs, side = LAYERS[name]
    layer: Any = Conv2d(inputs, outputs, 3).to(memory_format=torch.channels_last)
    images, gradient = (
        torch.randn(batch, channels, side, side).contiguous(memory_format=torch.channels_last)
        for channels in (inputs, outputs)
    )
    exact = step(layer.double(), images.double(), gradient.double(), "fp32")[1]
    layer.float()
    seconds: dict[str, list[list[float]]] = {"torch": [], "ours": []}
    row: dict[str, Any] = {"layer": name, "threads": torch.get_num_threads(), "precision": precision}
    for turn in range(rounds + 1):
        for way, taken in seconds.items():
            use_kernels(layer, way == "ours")
            passes, found = step(layer, images, gradient, precision)
            if turn:  # the first turn prepares oneDNN's code
                taken.append(passes)
            else:
                errors = (float((mine - truth).norm() / truth.norm()) for mine, truth in zip(found, exact, strict=True))
                row[f"{way}_output_error"], row[f"{way}_gradient_error"] = errors
    for number, one in enumerate(PASSES):
        for way, taken in seconds.items():
            row[f"{way}_{one}_ms"] = 1000 * median(passes[number] for passes in taken)
    row["ratio"] = median(map(sum, seconds["torch"])) / median(map(sum, seconds["ours"]))
    return row


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, help="steps of each way (default: 20)")
    counts = sorted({1, len(os.sched_getaffinity(0))})
    parser.add_argument("--threads", type=int, nargs="+", default=counts, help="threads (default: 1 and all cores)")
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto")
    parser.add_argument("--quick", action="store_true", help="2 rounds of 4 images")
    parser.add_argument("--json", type=user_path, help="write the rows there")
    options = parser.parse_args(arguments)
    batch, rounds = (4, 2) if options.quick else (BATCH_SIZE, options.rounds)
    precision = resolve(options.precision, torch.device("cpu"))
    rows, before = [], torch.get_num_threads()
    for threads in options.threads:
        torch.set_num_threads(threads)
        rows += [measure(name, rounds, batch, precision) for name in LAYERS]
    torch.set_num_threads(before)
    table = Table(title=f"AlexNet's convolutions, {precision}, ms (medians of {rounds})")
    ways = {"torch": "torch", "ours": "this project"}
    for heading in (
        "layer",
        "threads",
        *(f"{name}, {way}" for name in PASSES for way in ways.values()),
        "ratio of both",
        *(f"error of {what}, {way}" for what in ("output", "gradient") for way in ways.values()),
    ):
        table.add_column(heading, justify="left" if heading == "layer" else "right")
    for row in rows:
        table.add_row(
            row["layer"],
            str(row["threads"]),
            *(f"{row[f'{way}_{name}_ms']:.1f}" for name in PASSES for way in ways),
            f"{row['ratio']:.2f}",
            *(f"{row[f'{way}_{what}_error']:.1e}" for what in ("output", "gradient") for way in ways),
        )
    Console(width=150).print(table)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
