"""Keeps the step times of networks in the user's cache, by machine and network, and measures the missing ones."""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from joblib import cpu_count

from analysis.results.files import DamagedFile, read_json, write_json
from analysis.retraining.step_time import StepTime, measure_step
from models.data import IMAGE_SIZE
from models.networks.inspection.fingerprint import fingerprint
from models.networks.registry import Architecture
from models.precision import Precision, training_device
from models.training.proof import Setting
from study.data.user_cache import user_cache


def step_times(
    architectures: Mapping[str, Architecture],
    n_classes: int,
    precision: Precision,
    kernels: Setting,
    threads: int,
    batch_size: int,
    keep: bool,
    measure: Callable[..., StepTime] = measure_step,
    is_elsewhere: bool = False,
    image_size: int = IMAGE_SIZE,
) -> dict[str, StepTime]:
    """Return the step time of each network here, from the cache if it was measured before.

    Args:
        architectures: the networks by name.
        threads: torch's threads in a run.
        batch_size: images of a step.
        keep: False leaves no trace in the cache.
        measure: called as `measure_step` is.
        is_elsewhere: True if other machines train, for which the cache has nothing.
        image_size: pixels of a side of the images.

    Returns:
        The times by name. A network whose step fails is missing, and a warning names it.
    """
    cache = user_cache() / "step-times.json"
    known, found = {} if is_elsewhere else _read(cache), {}
    for name, architecture in architectures.items():
        try:
            settings = (n_classes, precision, kernels, threads, batch_size, image_size)
            key = _key(architecture, *settings)
            if key not in known:
                known[key] = asdict(measure(architecture, *settings))
            found[name] = StepTime(**known[key])
        except Exception as error:  # a network is the user's code and may raise anything
            line = (str(error).splitlines() or [""])[0]
            logging.getLogger(__name__).warning("a step of %s failed: %s: %s", name, type(error).__name__, line)
    if keep and known != _read(cache):
        with suppress(OSError):  # without a cache the next study measures again
            write_json(cache, known)
    return found


def _read(cache: Path) -> dict[str, Any]:
    """Return the times that were measured before; none of them if the file is missing or damaged."""
    try:
        known = read_json(cache)
    except (OSError, DamagedFile):
        return {}
    is_whole = isinstance(known, dict) and all(
        isinstance(times, dict) and set(times) == set(StepTime.__dataclass_fields__) for times in known.values()
    )
    return known if is_whole else {}


def _key(
    architecture: Architecture,
    n_classes: int,
    precision: Precision,
    kernels: Setting,
    threads: int,
    batch_size: int,
    image_size: int,
) -> str:
    """Name a measurement by all that its result depends on."""
    device = training_device()
    if device.type == "cuda":
        machine = torch.cuda.get_device_name(device)
    else:
        machine = f"{torch.cpu.get_capabilities().get('cpu_name', 'CPU')}, {cpu_count()} cores"
    network = hashlib.sha256(json.dumps(fingerprint(architecture, n_classes), sort_keys=True).encode()).hexdigest()
    batches = f"batches of {batch_size} images of {image_size} pixels"
    settings = f"{precision}, kernels {kernels}, {threads} threads, {batches}, torch {torch.__version__}"
    return f"{machine}; {architecture.name} {network[:16]}; {settings}"
