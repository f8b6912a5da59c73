"""Finds the capacity of a machine or a cluster, and divides it among training runs."""

import contextlib
import math
import time
from bisect import bisect_left
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace

import psutil
import torch
from joblib import cpu_count

from models.data import IMAGE_SIZE
from study.cluster.places.nodes import GIB, Node, present, startable, together
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
# A cluster without a limit of its own gets at most this many runs at a time.
MOST_RUNS = 100_000
# A cluster is asked for its capacity at most every 5 s, because nodes take longer than that to start.
CAPACITY_EVERY_SECONDS = 5.0


@dataclass(frozen=True)
class Capacity:
    """Holds the nodes of a machine or a cluster, with all the nodes that its autoscaler may start."""

    nodes: tuple[Node, ...]

    @property
    def gpus(self) -> float:
        """Return the number of GPUs of all nodes."""
        return sum(node.count * node.gpus for node in self.nodes if node.gpus)


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
    """Divides the capacity among training runs. A run gets its share on one node, never on two.

    Without GPUs a run gets one CPU: two runs with one thread each train more than one run with two threads, and the
    bits of a result do not depend on the number of runs. With GPUs, several runs share one.

    Args:
        capacity: the capacity of the machine or the cluster.
        config: its resource settings are kept. On this machine alone, the concurrency is lowered until the runs fit.

    Raises:
        BadInput: if no node can ever hold a run.
    """
    gpus = _gpu_share(capacity, config.concurrency) if config.gpus_per_trial is None else config.gpus_per_trial
    if gpus and not capacity.gpus:
        raise BadInput(
            f"--gpus-per-trial {gpus:g} needs a GPU, and there is none: use a machine that has one, or train on CPUs by"
            " --gpus-per-trial 0 --cpus-per-trial none --concurrency none"
        )
    if gpus > 1 and gpus != int(gpus):
        raise BadInput(f"--gpus-per-trial {gpus:g} must be a whole number if it is over 1")
    nodes = [
        node for node in capacity.nodes if node.cpus >= (config.cpus_per_trial or LEAST_SHARE) and node.gpus >= gpus
    ]
    if not nodes:
        raise _fits_nowhere(capacity, config.cpus_per_trial, gpus)
    fitting = _fitting(nodes, config.cpus_per_trial or 1.0, gpus, memory_per_run(config))
    concurrency = config.concurrency or max(1, fitting)
    cpus = config.cpus_per_trial or _cpus_each(nodes, concurrency, gpus)
    if config.address is None:
        # Further runs would only wait, and their configurations would be suggested without the results of the others.
        concurrency = min(concurrency, max(1, _fitting(nodes, cpus, gpus, 0.0)))
    return Resources(cpus, gpus, concurrency)


def _fits_nowhere(capacity: Capacity, cpus: float | None, gpus: float) -> BadInput:
    """Returns the error for a run that no node can hold."""
    asked = {"--gpus-per-trial": gpus, "--cpus-per-trial": cpus}
    flags = [f"{flag} {amount:g}" for flag, amount in asked.items() if amount]
    if not flags:
        return BadInput(
            "no node of the cluster has a CPU, and nothing says which nodes it may start: start one node first"
        )
    largest = max(capacity.nodes, key=lambda node: (node.gpus if gpus else 0, node.cpus))
    where = f"of the largest node, {largest.name}" if largest.name else "there are"
    return BadInput(f"{' '.join(flags)} asks for more than the {largest} {where}: lower it")


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


def _fitting(nodes: Iterable[Node], cpus: float, gpus: float, memory_gib: float) -> int:
    """Returns how many runs with these shares fit at a time, the sum over the nodes."""
    return sum(_places(node, cpus, gpus, memory_gib) for node in nodes)


def _places(node: Node, cpus: float, gpus: float, memory_gib: float) -> int:
    """Returns how many runs fit on the nodes of one kind."""
    by_memory = node.memory_gib / memory_gib if memory_gib else math.inf
    by_gpu = node.gpus / gpus if gpus else math.inf
    each = math.floor(min(node.cpus / cpus, by_memory, by_gpu) + 1e-9)
    return int(min(MOST_RUNS, node.count * each)) if each else 0


def _cpus_each(nodes: Sequence[Node], concurrency: int, gpus: float) -> float:
    """Returns the CPUs of each run, as many as leave room for all: at most 1 without a GPU, at most 4 with one."""
    most = min(concurrency, _fitting(nodes, LEAST_SHARE, gpus, 0.0))

    def leaves_room(cpus: float) -> bool:
        return _fitting(nodes, cpus, 0.0, 0.0) >= concurrency and _fitting(nodes, cpus, gpus, 0.0) >= most

    for whole in (4.0, 3.0, 2.0, 1.0) if gpus else (1.0,):
        if leaves_room(whole):
            return whole
    thousandths = bisect_left(range(1, 1000), True, key=lambda share: not leaves_room(share / 1000))
    return max(LEAST_SHARE, thousandths / 1000)


def capacity(fit: Container[str] | None = None) -> Capacity:
    """Returns the capacity of the joined cluster, with all the nodes that its autoscaler may start.

    Args:
        fit: holds the ids of the nodes that count; None counts all.
    """
    return Capacity(together(present(fit), startable()))


class Slots:
    """Returns how many training runs may run at a time. The search calls it whenever a run could begin.

    An asked concurrency is kept. Otherwise the number of runs follows the size of a joined cluster.

    Args:
        resources: the resources of each run.
        config: the study's settings as the user asked for them.
        fit: holds the ids of the nodes that may get runs; None means all.
    """

    def __init__(self, resources: Resources, config: StudyConfig, fit: Container[str] | None = None) -> None:
        self._follows = config.address is not None and config.concurrency is None
        self._settings = replace(
            config, cpus_per_trial=resources.cpus_per_trial, gpus_per_trial=resources.gpus_per_trial
        )
        self._fit = fit
        self._number = resources.concurrency
        self._asked = time.monotonic()

    def __call__(self) -> int:
        if self._follows and time.monotonic() - self._asked >= CAPACITY_EVERY_SECONDS:
            self._asked = time.monotonic()
            # If the last node is gone, no run fits: the runs wait for the next node.
            with contextlib.suppress(BadInput):
                self._number = divide(capacity(self._fit), self._settings).concurrency
        return self._number


def machine_capacity() -> Capacity:
    """Returns the capacity of this machine without starting Ray."""
    node = Node(
        cpus=cpu_count(),  # a container's share of the machine
        gpus=torch.cuda.device_count(),
        memory_gib=psutil.virtual_memory().available / GIB,
    )
    return Capacity((node,))
