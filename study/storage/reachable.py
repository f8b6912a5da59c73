"""Checks that every node of the cluster reaches the storage of a study."""

import time
from uuid import uuid4

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from study.errors import BadInput, one_line
from study.storage.object_store import ObjectStore

# The nodes have at most 30 s to answer, because the user waits.
NODES_ANSWER_WITHIN_SECONDS = 30.0


def check_shared(store: ObjectStore) -> None:
    """Writes a probe from here and looks for it on every node.

    Raises:
        BadInput: if this machine cannot write to the storage, or a node does not see the probe.
    """
    probe = f"probe-{uuid4().hex}"
    try:
        store.write_probe(probe)
    except OSError as error:
        hint = "give this machine AWS credentials for it" if str(store).startswith("s3://") else "make it writable"
        raise BadInput(f"the storage {store} cannot be written from here ({one_line(error)}): {hint}") from error
    try:
        _check_every_node_sees(store, probe)
    finally:
        store.delete(probe)


def _check_every_node_sees(store: ObjectStore, probe: str) -> None:
    asked = {}
    for node in ray.nodes():
        if node["Alive"]:
            on_node = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            task = ray.remote(_has).options(num_cpus=0, max_retries=0, scheduling_strategy=on_node)
            asked[node["NodeManagerAddress"]] = task.remote(store, probe)
    deadline = time.monotonic() + NODES_ANSWER_WITHIN_SECONDS
    for name, answer in asked.items():
        try:
            seen = ray.get(answer, timeout=max(0.0, deadline - time.monotonic()))
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


def _has(store: ObjectStore, probe: str) -> bool:
    return store.has(probe)
