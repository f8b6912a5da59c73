"""Tests when a study takes Ray for lost. The clock moves by the pauses between the questions."""

import socket
from collections.abc import Callable, Iterable, Iterator
from threading import Event
from types import SimpleNamespace

import grpc
import pytest
from ray.core.generated.common_pb2 import NodeDeathInfo  # type: ignore[attr-defined]
from ray.core.generated.gcs_pb2 import GcsNodeInfo  # type: ignore[attr-defined]

from study.cluster.health import lifeline

Nodes = list[SimpleNamespace]
UNEXPECTED, IDLE = NodeDeathInfo.UNEXPECTED_TERMINATION, NodeDeathInfo.AUTOSCALER_DRAIN_IDLE


def node(number: int, death: int | None = None, *, is_reached: bool = True) -> SimpleNamespace:
    """Describe a node as Ray does. Node 1 is this machine."""
    return SimpleNamespace(
        node_id=bytes([number]),
        node_manager_address=f"10.0.0.{number}",
        state=GcsNodeInfo.ALIVE if death is None else GcsNodeInfo.DEAD,
        is_reached=is_reached,
        death_info=SimpleNamespace(reason=death, reason_message="health check failed"),
    )


class Watched:
    """Plays a watch through.

    Args:
        answers: the nodes at each question, or the seconds that pass before a question fails.

    Attributes:
        lost: the line and the second at which Ray was taken for lost.
        said: the lines about other nodes, with their seconds.
    """

    def __init__(self, answers: Iterable[Nodes | float], monkeypatch: pytest.MonkeyPatch) -> None:
        self.lost: list[tuple[float, str]] = []
        self.said: list[tuple[float, str]] = []
        self._now = 0.0
        self._answers: Iterator[Nodes | float] = iter([*answers])
        self._next: Nodes | float = 0.0
        monkeypatch.setattr(lifeline, "monotonic", lambda: self._now)
        lifeline.watch(self._ask, b"\1", self._event(), self._lose, self._say, lambda node: bool(node.is_reached))

    def _lose(self, line: str) -> None:
        self.lost.append((self._now, line))

    def _say(self, line: str) -> None:
        self.said.append((self._now, line))

    def _event(self) -> Event:
        """Return an event that is set when all answers were given."""

        class Ended(Event):
            def wait(event, timeout: float | None = None) -> bool:
                self._now += timeout or 0.0
                self._next = next(self._answers, [])
                if not self._next and self._next != 0.0:
                    event.set()
                return event.is_set()

        return Ended()

    def _ask(self) -> Nodes:
        if isinstance(self._next, float):
            self._now += self._next
            raise grpc.RpcError
        return self._next


Play = Callable[[Iterable[Nodes | float]], Watched]


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Play:
    return lambda answers: Watched(answers, monkeypatch)


def test_a_gcs_that_is_gone_is_noticed_before_ray_ends_the_process(play: Play) -> None:
    for seconds in (0.0, lifeline.ANSWER_SECONDS):
        ((when, line),) = play([[node(1)], *[seconds] * 30]).lost
        assert 45 <= when - 4 < 60
        assert line == f"Ray's control service (GCS) has not answered for {when - 4:.0f} s"


def test_a_gcs_that_comes_back_in_time_is_not_lost(play: Play) -> None:
    assert not play([[node(1)], *[0.0] * 10, [node(1)], *[0.0] * 10, [node(1)]]).lost


def test_a_process_that_was_stopped_for_an_hour_asks_again(play: Play) -> None:
    assert not play([[node(1)], 3600.0, [node(1)]]).lost


def test_the_raylet_of_this_machine_is_missed(play: Play) -> None:
    ((_, line),) = play([[node(1), node(2)], [node(1, UNEXPECTED), node(2)], [node(1, UNEXPECTED)]]).lost
    assert line == "the Ray process of this machine (raylet) has ended"
    gone = [node(1, is_reached=False)]
    assert play([[node(1)], gone, gone]).lost == [(12.0, line)], "before the GCS notices"
    assert not play([[node(1)], gone, [node(1)], gone]).lost


def test_a_node_that_is_lost_is_named_once_and_one_that_the_cluster_ends_is_not(play: Play) -> None:
    watched = play([[node(1), node(2), node(3)], *[[node(1), node(2, UNEXPECTED), node(3, IDLE)]] * 5])
    assert watched.said == [(8.0, "the node 10.0.0.2 is lost (health check failed)")]
    assert not watched.lost


def test_a_node_that_is_cut_off_is_named_once_after_45_seconds(play: Play) -> None:
    cut = [node(1), node(2, is_reached=False)]
    watched = play([[node(1), node(2)], *[cut] * 30])
    assert watched.said == [(52.0, "the node 10.0.0.2 has been cut off for 48 s")]
    assert not play([[node(1), node(2)], *[cut] * 10, [node(1), node(2)], *[cut] * 10]).said


def test_a_node_takes_connections_at_the_port_that_ray_names() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        described = SimpleNamespace(node_manager_address="127.0.0.1", node_manager_port=server.getsockname()[1])
        assert lifeline.takes_connections(described)
    assert not lifeline.takes_connections(described)
