"""Inference time of networks."""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from analysis.results.study_folder import StudyFolder
from analysis.results.study_json import is_resized
from models.data import IMAGE_SIZE
from models.networks.inspection.cost import count_macs, count_parameters
from models.networks.registry import Architecture
from models.precision import training_device

LATENCY_CALLS = 1000
THROUGHPUT_BATCH_SIZE = 128
_ROUNDS = 10
_WARM_UP_CALLS = 10


def networks_to_measure(architectures: Mapping[str, Architecture], folder: StudyFolder) -> dict[str, Architecture]:
    """Return the distinct networks that a study's final runs have built.

    Args:
        architectures: the networks by name, each with its baseline.
        folder: the study's folder.

    Returns:
        Each network with its baseline, by name. If its tuned configuration builds another network, that network too, by
        the name of the tuned group.
    """
    found = dict(architectures)
    for metrics in folder.final.metrics().values():
        architecture = architectures.get(metrics["arch"])
        if architecture and metrics["is_tuned"] and is_resized(metrics["config"], architecture.baseline):
            found[metrics["group"]] = replace(architecture, baseline=metrics["config"])
    return found


def is_measured(architectures: Mapping[str, Architecture], folder: StudyFolder) -> bool:
    """Return whether the folder holds the inference time of each network that its final runs have built."""
    latency = folder.read_latency() or {}
    return all(
        name in latency and (name in architectures or latency[name].get("config") == dict(network.baseline))
        for name, network in networks_to_measure(architectures, folder).items()
    )


def measure_latency(
    architectures: Mapping[str, Architecture], n_classes: int, threads: int, image_size: int = IMAGE_SIZE
) -> dict[str, Any]:
    """Time predictions of freshly built networks in eval mode, in float32, channels last.

    The networks take turns, so that a disturbance of the machine slows both. A call predicts one batch that is on the
    device already, and ends when its logits are there. On a GPU it is synchronised.

    Args:
        architectures: the networks as `networks_to_measure` returns them.
        n_classes: number of logits.
        threads: torch's threads on a CPU.
        image_size: pixels of a side of the images.

    Returns:
        By the names of the networks: their `config`, `parameters` and `macs`, `latency_ms` with the quantiles p50, p90
        and p99 over `calls` calls of batch size 1, `images_per_s` at `batch_size`, `device`, `dtype` and `threads`.
    """
    device = training_device()
    torch.set_num_threads(threads)
    built = {name: network.build(n_classes, network.baseline).eval() for name, network in architectures.items()}
    sizes = {
        name: {"parameters": count_parameters(one), "macs": count_macs(one, image_size)} for name, one in built.items()
    }
    models = {
        name: model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        for name, model in built.items()
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
            "config": dict(architectures[name].baseline),
            **sizes[name],
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
