"""Says what runs wait for if no node has a free place for them."""

import time
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

import ray
from ray._private.worker import global_worker
from ray.autoscaler.v2.sdk import get_cluster_resource_state
from ray.core.generated.autoscaler_pb2 import NodeStatus  # type: ignore[attr-defined]

from study.cluster.places.nodes import amounts
from study.errors import StudyFailed

# The cluster is asked at most every 5 s, because its answer changes slowly.
LOOK_EVERY_SECONDS = 5.0
# Nothing is said for 30 s, because a worker may take that long to start.
FIRST_LINE_SECONDS = 30.0
NEXT_LINE_SECONDS = 60.0
# At most 4 nodes are named in a line.
MOST_NAMED = 4
# An answer is looked for at least once a second.
ANSWER_SECONDS = 1.0

# Returns how many runs were given to Ray and have not ended, and how many of them are known to run.
Counts = Callable[[], tuple[int, int]]


@dataclass(frozen=True)
class FreeNode:
    """Describes what is free on a node. Its id is Ray's."""

    name: str
    cpus: float
    gpus: float
    id: str = ""


@dataclass(frozen=True)
class Demand:
    """Describes what a Ray cluster lacks.

    Attributes:
        waiting: the number of tasks, actors and placement groups that wait for a node, by their CPUs and GPUs.
        nodes: the nodes that are there, with what is free on each.
    """

    waiting: dict[tuple[float, float], int] = field(default_factory=dict)
    nodes: Sequence[FreeNode] = ()


def demand_of_ray() -> Demand:
    """Return what the joined Ray lacks at present."""
    return demand_of(get_cluster_resource_state(global_worker.gcs_client))  # type: ignore[attr-defined]


def demand_of(state: Any) -> Demand:
    """Convert Ray's ClusterResourceState to a demand."""
    waiting: dict[tuple[float, float], int] = {}
    bundles = [(entry.request, entry.count) for entry in state.pending_resource_requests]
    bundles += [(request, 1) for gang in state.pending_gang_resource_requests for request in gang.requests]
    for request, count in bundles:
        shape = _shape(request.resources_bundle)
        waiting[shape] = waiting.get(shape, 0) + count
    alive = [node for node in state.node_states if node.status != NodeStatus.DEAD]
    nodes = [FreeNode(node.node_ip_address, *_shape(node.available_resources), id=node.node_id.hex()) for node in alive]
    return Demand(waiting, nodes)


def _shape(resources: Any) -> tuple[float, float]:
    return round(resources.get("CPU", 0.0), 4), round(resources.get("GPU", 0.0), 4)


class Waiting:
    """Says what runs wait for: a line after 30 s, and a line each minute while no run has a place.

    While some runs have a place, the others are mentioned once: they get the place of a run that ends.

    Args:
        cpus: the CPUs of each run.
        gpus: the share of a GPU of each run.
        say: is given each line.
        minutes: ends the study if no run had a place for so long; None waits for ever.
        ask: returns what the cluster lacks.
        clock: returns seconds.
        fit: holds the ids of the nodes that may get runs; None means all.
    """

    def __init__(
        self,
        cpus: float,
        gpus: float,
        say: Callable[[str], None],
        minutes: float | None = None,
        ask: Callable[[], Demand] = demand_of_ray,
        clock: Callable[[], float] = time.monotonic,
        fit: Container[str] | None = None,
    ) -> None:
        self._shape = round(cpus, 4), round(gpus, 4)
        self._needs = amounts(cpus, gpus)
        self._say = say
        self._limit = inf if minutes is None else minutes * 60
        self._ask = ask
        self._clock = clock
        self._fit = fit
        self._looked = -inf
        self._waits_since: float | None = None
        self._idle_since: float | None = None
        self._next_line = -inf

    def look(self, counts: Counts) -> None:
        """Look whether runs wait. Call it at least every few seconds.

        Raises:
            StudyFailed: if no run had a place for the time that the user allows.
        """
        now = self._clock()
        if now - self._looked < LOOK_EVERY_SECONDS:
            return
        self._looked = now
        given, running = counts()
        demand = self._ask() if given > running else Demand()
        waiting = min(demand.waiting.get(self._shape, 0), given - running)
        if not waiting:
            self._waits_since = self._idle_since = None
            return
        if self._waits_since is None:
            self._waits_since, self._next_line = now, now + FIRST_LINE_SECONDS
        is_idle = waiting == given
        if not is_idle:
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = now
            self._next_line = min(self._next_line, now + FIRST_LINE_SECONDS)
        if self._idle_since is not None and now - self._idle_since >= self._limit:
            raise StudyFailed(
                f"no run had a place for {self._limit / 60:g} minutes (--wait): {self._line(waiting, demand)}"
            )
        if now >= self._next_line:
            self._say(self._line(waiting, demand))
            self._next_line = now + NEXT_LINE_SECONDS if is_idle else inf

    def answer(self, reference: Any) -> Any:
        """Return the result of one task that takes the place of a run."""
        while not ray.wait([reference], timeout=ANSWER_SECONDS)[0]:
            self.look(lambda: (1, 0))
        return ray.get(reference)

    def _line(self, waiting: int, demand: Demand) -> str:
        nodes = [node for node in demand.nodes if self._fit is None or node.id in self._fit]
        named = [f"{node.name} ({amounts(node.cpus, node.gpus)} free)" for node in nodes[:MOST_NAMED]]
        if (more := len(nodes) - MOST_NAMED) > 0:
            named.append(f"{more} more")
        runs = "1 run waits" if waiting == 1 else f"{waiting} runs wait"
        return f"{runs}: no node has {self._needs} free; nodes: {', '.join(named) or 'none'}"
