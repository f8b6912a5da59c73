"""Inference time of networks."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from typing import Any

import torch
from torch import nn

from analysis.results.study_folder import StudyFolder
from analysis.results.study_json import is_resized
from analysis.retraining.turns import THROUGHPUT_BATCH_SIZE, Timed, take_turns
from models.data import IMAGE_SIZE
from models.networks.inspection.cost import count_macs, count_parameters
from models.networks.registry import Architecture
from models.onnx_network import INPUT, NotExportable, missing_packages, open_session, to_onnx
from models.precision import training_device


def networks_to_measure(architectures: Mapping[str, Architecture], folder: StudyFolder) -> dict[str, Architecture]:
    """Return the distinct networks that a study's final runs have built.

    Args:
        architectures: the networks by name, each with its baseline.
        folder: the study's folder.

    Returns:
        Each network that has a final run, with its baseline, by name. If its tuned configuration builds another
        network, that network too, by the name of the tuned group.
    """
    runs = folder.final.metrics()
    built = {metrics["arch"] for metrics in runs.values()}
    found = {name: architecture for name, architecture in architectures.items() if name in built}
    for metrics in runs.values():
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

    The networks take turns, so that a disturbance of the machine slows both, until the ratio of their times is known. A
    call predicts one batch that is on the device already, and ends when its logits are there. On a GPU it is
    synchronised.

    Args:
        architectures: the networks as `networks_to_measure` returns them.
        n_classes: number of logits.
        threads: torch's threads on a CPU.
        image_size: pixels of a side of the images.

    Returns:
        By the names of the networks: their `config`, `parameters` and `macs`, `latency_ms` with the quantiles p50, p90
        and p99 over `calls` calls of batch size 1, `rounds` with `median_ms`, `mean_ms` and `cpu_ms` of each round (the
        last is processor time of the calling thread), `images_per_s` at `batch_size`, `device`, `dtype` and `threads`.
        If the extra `onnx` is installed, also `onnx`: the same numbers in ONNX Runtime on the CPU.
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
    timed = {
        name: Timed(partial(_predict, model, one), partial(_predict, model, many)) for name, model in models.items()
    }
    with torch.inference_mode():
        take_turns(list(timed.values()))
    device_name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    in_onnx = _measure_onnx(models, one.cpu(), many.cpu(), threads)
    return {
        name: {
            "config": dict(architectures[name].baseline),
            **sizes[name],
            **timed[name].numbers(),
            "device": device_name,
            "dtype": "float32",
            "threads": threads,
            **in_onnx[name],
        }
        for name in models
    }


def _measure_onnx(
    models: Mapping[str, nn.Module], one: torch.Tensor, many: torch.Tensor, threads: int
) -> dict[str, dict[str, Any]]:
    """Time the networks in ONNX Runtime on the CPU, on the same batches, after all measurements in PyTorch.

    Returns:
        By the names of the networks: `onnx`, with `latency_ms`, `images_per_s` and `version`, or with `failed`, the
        reason why a network has no ONNX form; nothing if the extra `onnx` is not installed.
    """
    if missing_packages():
        return {name: {} for name in models}
    timed: dict[str, Timed] = {}
    measured: dict[str, dict[str, Any]] = {}
    for name, model in models.items():
        try:
            session = open_session(to_onnx(model, many[:2]), threads)
        except NotExportable as error:
            measured[name] = {"onnx": {"failed": str(error)}}
            continue
        inputs = [{INPUT: batch.contiguous().numpy()} for batch in (one, many)]
        timed[name] = Timed(partial(session.run, None, inputs[0]), partial(session.run, None, inputs[1]))
    take_turns(list(timed.values()))
    runtime = version("onnxruntime")
    return measured | {name: {"onnx": {**network.numbers(), "version": runtime}} for name, network in timed.items()}


def _predict(model: nn.Module, batch: torch.Tensor) -> None:
    model(batch)
    if batch.device.type == "cuda":
        torch.cuda.synchronize(batch.device)
