"""How a machine or a cluster is divided among training runs."""

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

from study.errors import BadInput
from study.settings.config import LEAST_SHARE, StudyConfig

# What a worker process with torch and a training run takes: 0.7 measured on a CPU, and room to spare.
MEMORY_PER_RUN_GIB = 1.5
RUNS_PER_GPU = 4
GIB = 2**30
CAPACITY_EVERY_SECONDS = 5.0
# Nodes that the autoscaler has not started yet are in no count of Ray's.
LAUNCHER_CONFIG = "ray_bootstrap_config.yaml"


@dataclass(frozen=True)
class Capacity:
    """What there is: CPU cores, GPUs, and memory in GiB, over all nodes."""

    cpus: float
    gpus: float
    memory_gib: float


@dataclass(frozen=True)
class Resources:
    """What each training run is given, and how many run at a time."""

    cpus_per_trial: float
    gpus_per_trial: float
    concurrency: int

    @property
    def threads(self) -> int:
        """Threads torch may use in a run on the CPU."""
        return max(1, int(self.cpus_per_trial))


def divide(capacity: Capacity, config: StudyConfig) -> Resources:
    """Divides the capacity; what the configuration sets is kept, on this machine alone as far as it fits.

    Without GPUs a run gets one CPU: two runs of one thread each do more than one run of two, and the bits of a
    result then do not depend on how many run beside it. With GPUs, several runs share one.

    Raises:
        BadInput: if a single run asks for more than there is.
    """
    gpus = _gpu_share(capacity, config.concurrency) if config.gpus_per_trial is None else config.gpus_per_trial
    if gpus > capacity.gpus:
        raise BadInput(f"--gpus-per-trial {gpus:g} asks for more than the {capacity.gpus:g} GPUs there are")
    if gpus > 1 and gpus != int(gpus):
        raise BadInput(f"--gpus-per-trial {gpus:g} must be a whole number where it is over 1")
    if config.cpus_per_trial is not None and config.cpus_per_trial > capacity.cpus:
        raise BadInput(
            f"--cpus-per-trial {config.cpus_per_trial:g} asks for more than the {capacity.cpus:g} CPUs there are"
        )
    concurrency = config.concurrency or _fitting(capacity, config.cpus_per_trial or 1.0, gpus)
    cpus = config.cpus_per_trial or _cpus_each(capacity, concurrency, on_gpu=gpus > 0)
    if config.address is None:
        # More would only wait, their configurations suggested before anything is known of the others.
        concurrency = min(concurrency, _fitting(replace(capacity, memory_gib=math.inf), cpus, gpus))
    return Resources(cpus, gpus, concurrency)


def _gpu_share(capacity: Capacity, concurrency: int | None) -> float:
    """As much of a GPU for each run as lets RUNS_PER_GPU share it, or more where more are to run at a time."""
    if not capacity.gpus:
        return 0.0
    runs_per_gpu = max(RUNS_PER_GPU, math.ceil((concurrency or 1) / capacity.gpus))
    return max(LEAST_SHARE, math.floor(1000 / runs_per_gpu) / 1000)


def _fitting(capacity: Capacity, cpus: float, gpus: float) -> int:
    by_memory = capacity.memory_gib / MEMORY_PER_RUN_GIB
    by_gpu = capacity.gpus / gpus if gpus else math.inf
    return max(1, math.floor(min(capacity.cpus / cpus, by_memory, by_gpu) + 1e-9))


def _cpus_each(capacity: Capacity, concurrency: int, *, on_gpu: bool) -> float:
    share = capacity.cpus / concurrency
    if share < 1:
        return max(LEAST_SHARE, math.floor(share * 1000) / 1000)
    return float(min(4, int(share))) if on_gpu else 1.0


def capacity() -> Capacity:
    """What the cluster that was joined has, or will have once its autoscaler has started all it may."""
    there, possible = ray.cluster_resources(), launchable(home_folder() / LAUNCHER_CONFIG)
    return capacity_of({name: max(there.get(name, 0.0), possible.get(name, 0.0)) for name in there | possible})


def capacity_of(resources: dict[str, float]) -> Capacity:
    return Capacity(resources.get("CPU", 0.0), resources.get("GPU", 0.0), resources.get("memory", 0.0) / GIB)


def launchable(config: Path) -> dict[str, float]:
    """What a cluster has at most by the configuration that `ray up` leaves on its head; nothing where there is none."""
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
    """How many training runs may run at a time, asked anew whenever one could begin.

    A number that was asked for is kept; otherwise a cluster that was joined is filled as it grows.

    Args:
        resources: what each run is given.
        config: the study's settings as they were asked for.
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
            # Below one run's needs, when its last node is gone, the runs wait for the next.
            with contextlib.suppress(BadInput):
                self._number = divide(capacity(), self._settings).concurrency
        return self._number


def machine_capacity() -> Capacity:
    """What this machine has, found without starting Ray."""
    return Capacity(
        cpus=cpu_count(),  # of a container, not of the machine that it shares
        gpus=torch.cuda.device_count(),
        memory_gib=psutil.virtual_memory().available / GIB,
    )


def home_folder() -> Path:
    try:
        return Path.home()
    except RuntimeError as error:
        raise BadInput("this account has no home folder: set HOME to a folder that can be written") from error
