"""Finds the capacity of a machine or a cluster, and divides it among training runs."""

import contextlib
import math
import time
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import ray
import torch
import yaml
from joblib import cpu_count

from models.data import IMAGE_SIZE
from study.errors import BadInput
from study.settings.check import LEAST_SHARE
from study.settings.config import StudyConfig

# A worker process with torch and a training run takes at most 1.5 GiB: about half of it is room to spare.
MEMORY_PER_RUN_GIB = 1.5
# Images of over 32 pixels a side take up to 2,000 bytes more for each pixel over that and each image of a batch: the
# MobileNet-like network keeps 1,400 with the fast code and 1,900 with torch's layers.
BYTES_PER_PIXEL = 2000
# At most 4 runs share a GPU by default, because a run alone leaves most of it idle.
RUNS_PER_GPU = 4
GIB = 2**30
# A cluster is asked for its capacity at most every 5 s, because nodes take longer than that to start.
CAPACITY_EVERY_SECONDS = 5.0
# `ray up` leaves this file on the head. Ray itself does not count nodes that the autoscaler has not started yet.
LAUNCHER_CONFIG = "ray_bootstrap_config.yaml"


@dataclass(frozen=True)
class Capacity:
    """Counts CPU cores, GPUs and memory in GiB, over all nodes."""

    cpus: float
    gpus: float
    memory_gib: float


@dataclass(frozen=True)
class Resources:
    """Says what each training run gets, and how many run at a time."""

    cpus_per_trial: float
    gpus_per_trial: float
    concurrency: int

    @property
    def threads(self) -> int:
        """Return the number of threads that torch may use in a run on the CPU."""
        return max(1, int(self.cpus_per_trial))


def divide(capacity: Capacity, config: StudyConfig) -> Resources:
    """Divides the capacity among training runs.

    Without GPUs a run gets one CPU: two runs with one thread each train more than one run with two threads, and the
    bits of a result do not depend on the number of runs. With GPUs, several runs share one.

    Args:
        capacity: the capacity of the machine or the cluster.
        config: its resource settings are kept. On this machine alone, the concurrency is lowered until the runs fit.

    Raises:
        BadInput: if one run asks for more than the capacity.
    """
    gpus = _gpu_share(capacity, config.concurrency) if config.gpus_per_trial is None else config.gpus_per_trial
    if gpus and not capacity.gpus:
        raise BadInput(
            f"--gpus-per-trial {gpus:g} needs a GPU, and there is none: use a machine that has one, or train on CPUs by"
            " --gpus-per-trial 0 --cpus-per-trial none --concurrency none"
        )
    if gpus > capacity.gpus:
        raise BadInput(f"--gpus-per-trial {gpus:g} asks for more than the {capacity.gpus:g} GPUs there are: lower it")
    if gpus > 1 and gpus != int(gpus):
        raise BadInput(f"--gpus-per-trial {gpus:g} must be a whole number if it is over 1")
    if config.cpus_per_trial is not None and config.cpus_per_trial > capacity.cpus:
        raise BadInput(
            f"--cpus-per-trial {config.cpus_per_trial:g} asks for more than the {capacity.cpus:g} CPUs there are:"
            " lower it"
        )
    concurrency = config.concurrency or _fitting(capacity, config.cpus_per_trial or 1.0, gpus, memory_per_run(config))
    cpus = config.cpus_per_trial or _cpus_each(capacity, concurrency, on_gpu=gpus > 0)
    if config.address is None:
        # Further runs would only wait, and their configurations would be suggested without the results of the others.
        concurrency = min(concurrency, _fitting(replace(capacity, memory_gib=math.inf), cpus, gpus, 1.0))
    return Resources(cpus, gpus, concurrency)


def _gpu_share(capacity: Capacity, concurrency: int | None) -> float:
    """Returns each run's share of a GPU: 1 / RUNS_PER_GPU, or less if the asked concurrency needs more runs a GPU."""
    if not capacity.gpus:
        return 0.0
    runs_per_gpu = max(RUNS_PER_GPU, math.ceil((concurrency or 1) / capacity.gpus))
    return max(LEAST_SHARE, math.floor(1000 / runs_per_gpu) / 1000)


def memory_per_run(config: StudyConfig) -> float:
    """Returns the memory that a training run takes at most, in GiB."""
    more_pixels = max(0, config.image_size**2 - IMAGE_SIZE**2)
    return MEMORY_PER_RUN_GIB + BYTES_PER_PIXEL * more_pixels * config.batch_size / GIB


def _fitting(capacity: Capacity, cpus: float, gpus: float, memory_gib: float) -> int:
    """Returns how many runs with these shares fit at a time, at least 1."""
    by_memory = capacity.memory_gib / memory_gib
    by_gpu = capacity.gpus / gpus if gpus else math.inf
    return max(1, math.floor(min(capacity.cpus / cpus, by_memory, by_gpu) + 1e-9))


def _cpus_each(capacity: Capacity, concurrency: int, *, on_gpu: bool) -> float:
    """Returns the CPUs of each run: at most 1 without a GPU, at most 4 with one."""
    share = capacity.cpus / concurrency
    if share < 1:
        return max(LEAST_SHARE, math.floor(share * 1000) / 1000)
    return float(min(4, int(share))) if on_gpu else 1.0


def capacity() -> Capacity:
    """Returns the capacity of the joined cluster, with all the nodes that its autoscaler may start."""
    there, possible = ray.cluster_resources(), launchable(Path.home() / LAUNCHER_CONFIG)
    return capacity_of({name: max(there.get(name, 0.0), possible.get(name, 0.0)) for name in there | possible})


def capacity_of(resources: dict[str, float]) -> Capacity:
    """Converts Ray's resources, memory in bytes, to a capacity."""
    return Capacity(resources.get("CPU", 0.0), resources.get("GPU", 0.0), resources.get("memory", 0.0) / GIB)


def launchable(config: Path) -> dict[str, float]:
    """Returns the most that a cluster can have by the configuration of `ray up`; nothing if there is no such file."""
    total: dict[str, float] = {}
    if config.exists():
        settings = yaml.safe_load(config.read_text())
        for name, node in settings["available_node_types"].items():
            is_head = name == settings["head_node_type"]
            count = 1 if is_head else min(node.get("max_workers", 0), settings["max_workers"])
            for resource, amount in node.get("resources", {}).items():
                total[resource] = total.get(resource, 0.0) + count * amount
    return total


class Slots:
    """Returns how many training runs may run at a time. The search calls it whenever a run could begin.

    An asked concurrency is kept. Otherwise the number of runs follows the size of a joined cluster.

    Args:
        resources: the resources of each run.
        config: the study's settings as the user asked for them.
    """

    def __init__(self, resources: Resources, config: StudyConfig) -> None:
        self._follows = config.address is not None and config.concurrency is None
        self._settings = replace(
            config, cpus_per_trial=resources.cpus_per_trial, gpus_per_trial=resources.gpus_per_trial
        )
        self._number = resources.concurrency
        self._asked = time.monotonic()

    def __call__(self) -> int:
        if self._follows and time.monotonic() - self._asked >= CAPACITY_EVERY_SECONDS:
            self._asked = time.monotonic()
            # If the last node is gone, no run fits: the runs wait for the next node.
            with contextlib.suppress(BadInput):
                self._number = divide(capacity(), self._settings).concurrency
        return self._number


def machine_capacity() -> Capacity:
    """Returns the capacity of this machine without starting Ray."""
    return Capacity(
        cpus=cpu_count(),  # a container's share of the machine
        gpus=torch.cuda.device_count(),
        memory_gib=psutil.virtual_memory().available / GIB,
    )
