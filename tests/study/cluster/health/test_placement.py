"""Tests which nodes get runs after some of them have failed."""

from typing import Any

import pytest

from study.cluster.health.placement import Placement
from study.errors import OtherCode, StorageFailed

LINE = "the file /s/tiny-0.pt cannot be written: Read-only file system"


def node(number: int, cpus: float = 4.0, *, is_alive: bool = True) -> dict[str, Any]:
    """Describe a node as Ray does."""
    address = f"10.0.0.{number}"
    return {"NodeID": f"id{number}", "NodeManagerAddress": address, "Alive": is_alive, "Resources": {"CPU": cpus}}


class Cluster:
    """A cluster of these nodes.

    Attributes:
        placement: says where its runs go.
        said: the lines for the user.
    """

    def __init__(self, *nodes: dict[str, Any]) -> None:
        self.said: list[str] = []
        self.placement = Placement(1.0, 0.0, self.said.append, lambda: nodes)


def test_a_node_whose_storage_fails_gets_no_more_runs() -> None:
    cluster = Cluster(node(1), node(2))
    assert cluster.placement.labels == {}
    for run in ("tiny-0", "tiny-1"):
        cluster.placement.avoid(run, StorageFailed(LINE, "id2"))
    assert cluster.said == [f"on the node 10.0.0.2, {LINE}; the runs go to other nodes"]
    assert cluster.placement.labels == {"ray.io/node-id": "!in(id2)"}
    assert "id1" in cluster.placement and "id2" not in cluster.placement


@pytest.mark.parametrize("other", [[], [node(2, is_alive=False)], [node(2, cpus=0.5)]], ids=["none", "dead", "small"])
def test_without_another_node_the_same_one_is_tried_again(other: list[dict[str, Any]]) -> None:
    cluster = Cluster(node(1), *other)
    for _ in range(2):
        cluster.placement.avoid("tiny-0", StorageFailed(LINE, "id1"))
        assert cluster.placement.labels == {}
    assert cluster.said == []
    with pytest.raises(StorageFailed, match="cannot be written"):
        cluster.placement.avoid("tiny-0", StorageFailed(LINE, "id1"))


def test_a_storage_that_is_full_for_all_ends_the_study_at_the_third_attempt_of_a_run() -> None:
    cluster = Cluster(node(1), node(2))
    cluster.placement.avoid("tiny-0", StorageFailed(LINE, "id1"))
    cluster.placement.avoid("tiny-0", StorageFailed(LINE, "id2"))
    assert cluster.placement.labels == {}, "both are tried again"
    cluster.placement.avoid("tiny-1", StorageFailed(LINE, "id2"))
    with pytest.raises(StorageFailed) as raised:
        cluster.placement.avoid("tiny-0", StorageFailed(LINE, "id1"))
    assert str(raised.value) == f"on the node 10.0.0.1, {LINE}"


def test_a_node_with_other_code_gets_no_work() -> None:
    cluster = Cluster(node(1), node(2), node(3))
    cluster.placement.avoid("tiny-0", OtherCode("another models/training/loop.py", "id3"))
    cluster.placement.avoid("tiny-1", OtherCode("another models/training/loop.py", "id3"))
    words = "has other code than this process (another models/training/loop.py)"
    assert cluster.said == [f"the node 10.0.0.3 {words}; it gets no work"]
    cluster.placement.avoid("tiny-0", StorageFailed(LINE, "id2"))
    assert cluster.placement.labels == {"ray.io/node-id": "!in(id2,id3)"}
    with pytest.raises(OtherCode) as raised:
        for number in (1, 2):
            cluster.placement.avoid("tiny-0", OtherCode("another models/training/loop.py", f"id{number}"))
    assert str(raised.value) == f"the node 10.0.0.2 {words}; no other node can make a run"
