"""Notices in a thread that Ray or a node of it is lost.

Ray ends this process by itself, without a word for the user, once its control service (GCS) has been away for 60 s.
Until then, calls of Ray hang.
"""

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event, Thread
from time import monotonic
from typing import Any

import grpc
import ray
from ray._private import ray_constants
from ray._private.grpc_utils import init_grpc_channel
from ray.core.generated import gcs_service_pb2_grpc
from ray.core.generated.common_pb2 import NodeDeathInfo  # type: ignore[attr-defined]
from ray.core.generated.gcs_pb2 import GcsNodeInfo  # type: ignore[attr-defined]
from ray.core.generated.gcs_service_pb2 import GetAllNodeInfoRequest  # type: ignore[attr-defined]

ASK_EVERY_SECONDS = 4.0
# The GCS has at most 8 s for an answer.
ANSWER_SECONDS = 8.0
# The GCS is lost after 45 s without an answer, before Ray's own 60 s, and after at least 4 questions: this process may
# have been stopped for a while.
LOST_AFTER_SECONDS = 45.0
LOST_AFTER_QUESTIONS = 4
# A node that takes no connection for 45 s is named. Ray itself gives it up after 75 to 80 s.
CUT_OFF_SECONDS = 45.0
CONNECT_SECONDS = 5.0
# At most this many nodes are connected to at a time.
_THREADS = 16
# The raylet of this machine is lost once it refuses twice. The GCS notices after some 14 s, and Ray then ends this
# process.
OWN_REFUSALS = 2
_RAYLET_LOST = "the Ray process of this machine (raylet) has ended"
# The cluster or its user ended such a node.
_ENDED = (NodeDeathInfo.EXPECTED_TERMINATION, NodeDeathInfo.AUTOSCALER_DRAIN_IDLE)


@contextmanager
def lifeline(lost: Callable[[str], None], say: Callable[[str], None]) -> Iterator[None]:
    """Watch the joined Ray until the block ends.

    Args:
        lost: is called in a thread, once, with a line if the GCS or the raylet of this machine is lost.
        say: is called in the thread with a line for every other node that is cut off or lost.
    """
    context, ended = ray.get_runtime_context(), Event()
    channel = init_grpc_channel(context.gcs_address, ray_constants.GLOBAL_GRPC_OPTIONS)
    stub = gcs_service_pb2_grpc.NodeInfoGcsServiceStub(channel)

    def ask() -> Any:
        return stub.GetAllNodeInfo(GetAllNodeInfoRequest(), timeout=ANSWER_SECONDS).node_info_list

    Thread(target=watch, args=(ask, bytes.fromhex(context.get_node_id()), ended, lost, say), daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        # gRPC would print a line of its own if the GCS ended first.
        channel.close()


def takes_connections(node: Any) -> bool:
    """Return whether a node, as Ray describes it, takes a connection from here."""
    try:
        socket.create_connection((node.node_manager_address, node.node_manager_port), CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


def watch(
    ask: Callable[[], Any],
    own: bytes,
    ended: Event,
    lost: Callable[[str], None],
    say: Callable[[str], None],
    reaches: Callable[[Any], bool] = takes_connections,
) -> None:
    """Watch Ray until an event is set or Ray is lost, as `lifeline` does in a thread.

    Args:
        ask: returns Ray's description of all nodes. Raises grpc.RpcError or ValueError if there is no answer.
        own: Ray's id of this machine.
        reaches: returns whether a node can be reached from here.
    """
    answered, unanswered, own_refusals = monotonic(), 0, 0
    known = {own}
    reached: dict[bytes, float] = {}
    named: set[bytes] = set()
    while not ended.wait(ASK_EVERY_SECONDS):
        try:
            nodes = ask()
        except (grpc.RpcError, ValueError):  # a ValueError if the channel was closed meanwhile
            unanswered += 1
            silence = monotonic() - answered
            if silence >= LOST_AFTER_SECONDS and unanswered >= LOST_AFTER_QUESTIONS and not ended.is_set():
                lost(f"Ray's control service (GCS) has not answered for {silence:.0f} s")
                return
            continue
        answered, unanswered = monotonic(), 0
        alive = {node.node_id for node in nodes if node.state == GcsNodeInfo.ALIVE}
        for node in nodes:
            if node.node_id not in known - alive or ended.is_set():
                continue
            if node.node_id == own:
                lost(_RAYLET_LOST)
                return
            if node.death_info.reason not in _ENDED:
                say(f"the node {node.node_manager_address} is lost ({node.death_info.reason_message})")
        known = alive
        is_here = all(reaches(node) for node in nodes if node.node_id == own)
        own_refusals = 0 if is_here else own_refusals + 1
        if own_refusals == OWN_REFUSALS and not ended.is_set():
            lost(_RAYLET_LOST)
            return
        others = [node for node in nodes if node.node_id in alive - {own}]
        with ThreadPoolExecutor(_THREADS) as pool:
            are_reached = list(pool.map(reaches, others))
        now = monotonic()
        for node, is_reached in zip(others, are_reached, strict=True):
            if is_reached:
                reached[node.node_id] = now
                named.discard(node.node_id)
            elif now - reached.setdefault(node.node_id, now) >= CUT_OFF_SECONDS and node.node_id not in named:
                named.add(node.node_id)
                say(f"the node {node.node_manager_address} has been cut off for {now - reached[node.node_id]:.0f} s")
