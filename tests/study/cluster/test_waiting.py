"""Tests the lines about runs that wait for a place. The test moves the clock."""

import pytest
from ray.core.generated.autoscaler_pb2 import ClusterResourceState  # type: ignore[attr-defined]

from study.cluster.places.waiting import Demand, FreeNode, Waiting, demand_of
from study.errors import StudyFailed

NODES = (FreeNode("10.0.0.1", 0, 0), FreeNode("10.0.0.2", 2, 1))
LINE = (
    "2 runs wait: no node has 4 CPUs and 0.25 GPU free; nodes: 10.0.0.1 (0 CPUs free), 10.0.0.2 (2 CPUs and 1 GPU free)"
)


class Cluster:
    """A cluster and a clock that the test sets."""

    def __init__(self, minutes: float | None = None, fit: set[str] | None = None) -> None:
        self.now = 0.0
        self.waiting = {(4.0, 0.25): 2, (1.0, 0.0): 9}
        self.nodes = NODES
        self.counts = (2, 0)
        self.lines: list[tuple[float, str]] = []
        self._watcher = Waiting(
            4,
            0.25,
            lambda line: self.lines.append((self.now, line)),
            minutes,
            lambda: Demand(self.waiting, self.nodes),
            lambda: self.now,
            fit,
        )

    def spend(self, seconds: float) -> None:
        """Look once a second."""
        for _ in range(round(seconds)):
            self.now += 1
            self._watcher.look(lambda: self.counts)


def test_a_line_comes_after_half_a_minute_and_then_each_minute() -> None:
    cluster = Cluster()
    cluster.spend(170)
    assert [round(second / 10) for second, _ in cluster.lines] == [3, 9, 15]
    assert {line for _, line in cluster.lines} == {LINE}


def test_a_place_in_time_needs_no_line() -> None:
    cluster = Cluster()
    for _ in range(4):
        cluster.waiting = {(4.0, 0.25): 2}
        cluster.spend(25)
        cluster.waiting = {}
        cluster.spend(10)
    assert not cluster.lines


def test_runs_beside_others_are_mentioned_once() -> None:
    cluster = Cluster()
    cluster.counts = (6, 4)
    cluster.spend(600)
    assert [line for _, line in cluster.lines] == [LINE]
    cluster.counts = (2, 0)
    cluster.spend(100)
    assert len(cluster.lines) == 3, "the nodes of the four are gone"


def test_the_wait_ends_when_the_user_says_so() -> None:
    cluster = Cluster(minutes=5)
    with pytest.raises(StudyFailed) as ended:
        cluster.spend(1000)
    assert 300 <= cluster.now <= 310
    assert str(ended.value) == f"no run had a place for 5 minutes (--wait): {LINE}"


def test_a_wait_beside_other_runs_never_ends_the_study() -> None:
    cluster = Cluster(minutes=1)
    cluster.counts = (6, 4)
    cluster.spend(600)
    assert len(cluster.lines) == 1


def test_the_demand_of_other_studies_is_not_ours() -> None:
    cluster = Cluster()
    cluster.waiting = {(4.0, 0.25): 50}
    cluster.counts = (3, 2)
    cluster.spend(40)
    assert cluster.lines[0][1].startswith("1 run waits: no node has 4 CPUs and 0.25 GPU free")


def test_of_many_nodes_four_are_named() -> None:
    cluster = Cluster()
    cluster.nodes = tuple(FreeNode(f"10.0.0.{number}", 1, 0) for number in range(1, 8))
    cluster.spend(40)
    assert cluster.lines[0][1].endswith("10.0.0.3 (1 CPU free), 10.0.0.4 (1 CPU free), 3 more")


def test_a_node_that_may_get_no_runs_is_not_named() -> None:
    cluster = Cluster(fit={"b"})
    cluster.nodes = (FreeNode("10.0.0.1", 8, 1, id="a"), FreeNode("10.0.0.2", 0, 0, id="b"))
    cluster.spend(40)
    assert cluster.lines[0][1].endswith("; nodes: 10.0.0.2 (0 CPUs free)")


def test_ray_s_own_list_of_what_waits_is_read() -> None:
    state = ClusterResourceState()
    state.pending_resource_requests.add(count=3).request.resources_bundle.update({"CPU": 2.0})
    state.pending_gang_resource_requests.add().requests.add().resources_bundle.update({"CPU": 4.0, "GPU": 0.25})
    state.pending_gang_resource_requests.add().requests.add().resources_bundle.update({"CPU": 4.0, "GPU": 0.25})
    state.node_states.add(node_id=b"\n", node_ip_address="10.0.0.1", available_resources={"CPU": 1.0}, status="RUNNING")
    state.node_states.add(node_ip_address="10.0.0.9", available_resources={"CPU": 8.0}, status="DEAD")
    assert demand_of(state) == Demand({(2.0, 0.0): 3, (4.0, 0.25): 2}, [FreeNode("10.0.0.1", 1, 0, "0a")])
