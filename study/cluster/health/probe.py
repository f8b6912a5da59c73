"""Asks every node of the cluster whether it has this process's code and reaches the storage of the study."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from study.cluster.failures import explain
from study.cluster.health.code import Code, difference, own_code
from study.cluster.health.placement import Placement
from study.errors import BadInput, OtherCode, one_line
from study.storage.object_store import ObjectStore

# A node has at most 120 s to start Python, which a cold disk may need.
START_SECONDS = 120.0
# A node that has started has at most 30 s to look into the storage, because the user waits.
LOOK_SECONDS = 30.0


def probe_nodes(store: ObjectStore, placement: Placement) -> None:
    """Writes a probe from here and looks for it on every node. A node with other code gets no work.

    Raises:
        BadInput: if this machine cannot write to the storage, or a node does not see the probe.
        OtherCode: if every node that could make a run has other code.
    """
    probe = f"probe-{uuid4().hex}"
    try:
        store.write_probe(probe)
    except OSError as error:
        hint = "give this machine AWS credentials for it" if str(store).startswith("s3://") else "make it writable"
        hint = "make the bucket, or correct --storage" if "NO_SUCH_BUCKET" in str(error) else hint
        raise BadInput(f"the storage {store} cannot be written from here ({one_line(error)}): {hint}") from error
    try:
        _ask_every_node(store, probe, placement)
    finally:
        store.delete(probe)


def _ask_every_node(store: ObjectStore, probe: str, placement: Placement) -> None:
    asked = {}
    for node in ray.nodes():
        if node["Alive"]:
            on_node = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            options = {"num_cpus": 0, "max_retries": 0, "num_returns": "streaming", "scheduling_strategy": on_node}
            asked[node["NodeID"], node["NodeManagerAddress"]] = (
                ray.remote(_answer).options(**options).remote(store, probe)
            )
    for (node_id, name), answers in asked.items():
        try:
            code = _next(answers, START_SECONDS)
        except ray.exceptions.RayTaskError as error:  # its code is so different that it cannot answer
            placement.avoid_code(OtherCode(explain(error), node_id))
            continue
        except ray.exceptions.RayError as error:
            raise BadInput(f"the node {name} does not answer ({one_line(error)}): end it, or try again") from error
        if (differs := difference(own_code(), code)) is not None:
            placement.avoid_code(OtherCode(differs, node_id))
            continue
        try:
            seen = _next(answers, LOOK_SECONDS)
        except (ray.exceptions.RayError, OSError) as error:
            reason = one_line(getattr(error, "cause", None) or error)
            raise BadInput(
                f"the node {name} cannot read the storage {store} ({reason}): give --storage a place that it can read"
            ) from error
        if not seen:
            raise BadInput(
                f"the node {name} does not see what is written to {store} here: --storage needs a URI or a folder that"
                " every node reaches"
            )


def _answer(store: ObjectStore, probe: str) -> Iterator[Code | bool]:
    """Yield a node's code, then whether it sees the probe."""
    yield own_code()
    yield store.has(probe)


def _next(answers: Any, seconds: float) -> Any:
    """Return the next answer of a node. Raises GetTimeoutError if it does not come in time, or the node's error."""
    if not ray.wait([answers], timeout=seconds)[0]:
        raise ray.exceptions.GetTimeoutError(f"no answer within {seconds:.0f} s")
    return ray.get(next(answers))
