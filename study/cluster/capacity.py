"""How a machine or a cluster is divided among training runs."""

import math
from dataclasses import dataclass, replace

from study.errors import BadInput
from study.settings.config import LEAST_SHARE, StudyConfig

# What a worker process with torch and a training run takes: 0.7 measured on a CPU, and room to spare.
MEMORY_PER_RUN_GIB = 1.5
RUNS_PER_GPU = 4


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
