"""Inference time of networks."""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from models.data import IMAGE_SIZE
from models.networks.registry import Architecture
from models.precision import training_device

LATENCY_CALLS = 1000
THROUGHPUT_BATCH_SIZE = 128
_ROUNDS = 10
_WARM_UP_CALLS = 10


def measure_latency(
    architectures: Mapping[str, Architecture], n_classes: int, threads: int, image_size: int = IMAGE_SIZE
) -> dict[str, Any]:
    """Time predictions of freshly built networks in eval mode, in float32, channels last.

    The networks take turns, so that a disturbance of the machine slows both. A call predicts one batch that is on the
    device already, and ends when its logits are there. On a GPU it is synchronised.

    Returns:
        By architecture: `latency_ms` with the quantiles p50, p90 and p99 over `calls` calls of batch size 1,
        `images_per_s` at `batch_size`, `device`, `dtype` and `threads`.
    """
    device = training_device()
    torch.set_num_threads(threads)
    models = {
        name: architecture.build(n_classes, architecture.baseline)
        .eval()
        .to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        for name, architecture in architectures.items()
    }
    one, many = (
        torch.zeros(n, 3, image_size, image_size, device=device).contiguous(memory_format=torch.channels_last)
        for n in (1, THROUGHPUT_BATCH_SIZE)
    )
    latencies: dict[str, list[float]] = {name: [] for name in models}
    batch_times: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(_ROUNDS):
        for name, model in models.items():
            _time_calls(model, one, _WARM_UP_CALLS)
            latencies[name] += _time_calls(model, one, LATENCY_CALLS // _ROUNDS)
            batch_times[name] += _time_calls(model, many, 1)
    device_name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    return {
        name: {
            "latency_ms": {f"p{q}": float(np.percentile(latencies[name], q)) * 1e3 for q in (50, 90, 99)},
            "images_per_s": THROUGHPUT_BATCH_SIZE / float(np.median(batch_times[name])),
            "calls": len(latencies[name]),
            "batch_size": THROUGHPUT_BATCH_SIZE,
            "device": device_name,
            "dtype": "float32",
            "threads": threads,
        }
        for name in models
    }


@torch.inference_mode()
def _time_calls(model: nn.Module, batch: torch.Tensor, calls: int) -> list[float]:
    """Seconds of each call."""
    seconds = []
    for _ in range(calls):
        start = time.perf_counter()
        model(batch)
        if batch.device.type == "cuda":
            torch.cuda.synchronize(batch.device)
        seconds.append(time.perf_counter() - start)
    return seconds
