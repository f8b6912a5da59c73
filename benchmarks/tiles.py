"""How much faster is the backward pass of a convolution with its images side by side?

    python -m benchmarks.tiles

times the backward pass of AlexNet's third and fourth convolution (batch 128, 8 pixels a row, bfloat16) with torch's own
layer and with models/kernels/convolution.py, in turn, and prints medians. It needs a CPU with AMX, where oneDNN
multiplies in tiles; elsewhere training does not use this code. The gradients of both ways are compared with float32.
"""

import argparse
import json
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
from models.kernels.convolution import HAS_TILES, Conv2d
from models.training.recipe import BATCH_SIZE

# Channels in and out of AlexNet's convolutions on images of 8 pixels a side.
LAYERS = {"AlexNet's third": (192, 384), "AlexNet's fourth": (384, 256)}
SIDE = 8


def backward(layer: Conv2d, images: Tensor, gradient: Tensor, *, is_exact: bool = False) -> tuple[float, Tensor]:
    """Returns the seconds of a backward pass, and the gradient of the weights."""
    layer.zero_grad()
    images = images.detach().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=not is_exact):
        output = layer(images)
    begun = time.perf_counter()
    output.backward(gradient.to(output.dtype))
    seconds = time.perf_counter() - begun
    assert layer.weight.grad is not None
    return seconds, layer.weight.grad.clone()


def measure(name: str, rounds: int, batch: int) -> dict[str, Any]:
    """Returns the row of a layer: milliseconds of both ways, and how far each gradient is from float32's."""
    torch.manual_seed(0)
    inputs, outputs = LAYERS[name]
    layer: Any = Conv2d(inputs, outputs, 3).to(memory_format=torch.channels_last)
    images, gradient = (
        torch.randn(batch, channels, SIDE, SIDE).contiguous(memory_format=torch.channels_last)
        for channels in (inputs, outputs)
    )
    _, exact = backward(layer, images, gradient, is_exact=True)
    seconds: dict[bool, list[float]] = {False: [], True: []}
    errors = {}
    for turn in range(rounds + 1):
        for is_ours in seconds:
            use_kernels(layer, is_ours)
            taken, found = backward(layer, images, gradient)
            errors[is_ours] = float((found - exact).norm() / exact.norm())
            if turn:  # the first turn prepares oneDNN's code
                seconds[is_ours].append(1000 * taken)
    torchs, ours = median(seconds[False]), median(seconds[True])
    return {
        "layer": name,
        "torch_ms": torchs,
        "side_by_side_ms": ours,
        "ratio": torchs / ours,
        "torch_error": errors[False],
        "side_by_side_error": errors[True],
        "threads": torch.get_num_threads(),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=50, help="backward passes of each way (default: 50)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="threads (default: 1 2)")
    parser.add_argument("--quick", action="store_true", help="2 rounds of 4 images")
    parser.add_argument("--json", type=user_path, help="write the rows there")
    options = parser.parse_args(arguments)
    batch, rounds = (4, 2) if options.quick else (BATCH_SIZE, options.rounds)
    rows, before = [], torch.get_num_threads()
    for threads in options.threads:
        torch.set_num_threads(threads)
        rows += [measure(name, rounds, batch) for name in LAYERS]
    torch.set_num_threads(before)
    table = Table(title=f"Backward pass, ms (medians of {rounds}); this CPU has {'' if HAS_TILES else 'no '}AMX")
    for heading in ("layer", "threads", "torch", "side by side", "ratio", "error of torch", "error side by side"):
        table.add_column(heading)
    for row in rows:
        table.add_row(
            row["layer"],
            str(row["threads"]),
            *(f"{row[name]:.1f}" for name in ("torch_ms", "side_by_side_ms")),
            f"{row['ratio']:.2f}",
            *(f"{row[name]:.5f}" for name in ("torch_error", "side_by_side_error")),
        )
    Console(width=140).print(table)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
