"""Describes the nodes that a study may use: those that are there, and those that the cluster may start."""

import math
import os
import warnings
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import ray
import yaml

# Private modules, because Ray has no public way to ask which nodes a cluster may start.
from ray._private.state import state
from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr
from ray.autoscaler._private.kuberay.node_provider import KubernetesHttpApiClient
from requests import RequestException

GIB = 2**30
# `ray up` leaves this file on the head.
LAUNCHER_CONFIG = "ray_bootstrap_config.yaml"
# KubeRay names the cluster here, and Kubernetes the namespace, in every pod.
KUBERAY_NAME = "RAY_CLUSTER_NAME"
KUBERNETES_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(frozen=True)
class Node:
    """Describes nodes of one kind.

    Attributes:
        cpus: the CPUs of each node.
        gpus: the GPUs of each node.
        memory_gib: the memory of each node; infinite if it is unknown.
        count: the number of such nodes; infinite if the cluster sets no limit.
        name: the node type or the address; empty for this machine.
    """

    cpus: float
    gpus: float
    memory_gib: float
    count: float = 1
    name: str = ""

    def __str__(self) -> str:
        """Return what the node has, such as "4 CPUs and 1 GPU"."""
        return amounts(self.cpus, self.gpus)


def amounts(cpus: float, gpus: float) -> str:
    """Return an amount of CPUs and GPUs in words; GPUs are left out if there are none."""
    words = [f"{cpus:g} CPU{'s' * (cpus > 1 or cpus == 0)}"]
    if gpus:
        words.append(f"{gpus:g} GPU{'s' * (gpus > 1)}")
    return " and ".join(words)


def node_of(resources: Mapping[str, float], name: str = "", count: float = 1) -> Node:
    """Convert Ray's resources, memory in bytes, to a node."""
    memory = resources["memory"] / GIB if "memory" in resources else math.inf
    return Node(resources.get("CPU", 0.0), resources.get("GPU", 0.0), memory, count, name)


def present(fit: Container[str] | None = None) -> list[Node]:
    """Return the living nodes of the joined Ray; only those with an id in `fit` if it is given."""
    return [
        node_of(node["Resources"], node["NodeManagerAddress"])
        for node in ray.nodes()
        if node["Alive"] and (fit is None or node["NodeID"] in fit)
    ]


def startable() -> list[Node]:
    """Return the most nodes of each type that the joined cluster may have beside its head; [] if nothing says so."""
    if (reported := state.get_cluster_config()) is not None and reported.node_group_configs:
        return of_groups(reported)
    settings = _of_kuberay()
    if settings is None and (path := Path.home() / LAUNCHER_CONFIG).exists():
        settings = yaml.safe_load(path.read_text())
    return [] if settings is None else of_settings(settings)


@lru_cache
def _of_kuberay() -> dict[str, Any] | None:
    """Return the settings of the autoscaler of the KubeRay cluster that this pod belongs to; None if there is none."""
    name = os.environ.get(KUBERAY_NAME)
    if name is None or not KUBERNETES_NAMESPACE.exists():
        return None
    try:
        resource = KubernetesHttpApiClient(KUBERNETES_NAMESPACE.read_text().strip()).get(f"rayclusters/{name}")
    except (RequestException, OSError) as error:
        warnings.warn(
            f"the node types of the RayCluster {name} cannot be read ({error}), so only nodes that run already count",
            RuntimeWarning,
            stacklevel=2,
        )
        return None
    return kuberay_settings(resource)


def kuberay_settings(resource: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the autoscaler's settings by a RayCluster resource; None if it does not scale."""
    if not resource["spec"].get("enableInTreeAutoscaling"):
        return None
    settings: dict[str, Any] = _derive_autoscaling_config_from_ray_cr(dict(resource))
    return settings


def of_settings(settings: Mapping[str, Any]) -> list[Node]:
    """Return the node types of an autoscaler's settings, without the head's, which is there already.

    Types whose resources are not given are left out. If the limit of the cluster is below the sum of the types' limits,
    the types with most GPUs, then most CPUs, are kept.
    """
    types = [
        node_of(kind["resources"], name, kind.get("max_workers", settings["max_workers"]))
        for name, kind in settings["available_node_types"].items()
        if name != settings["head_node_type"] and kind.get("resources")
    ]
    left, kept = settings["max_workers"], []
    for kind in sorted(types, key=lambda kind: (-kind.gpus, -kind.cpus)):
        kept.append(replace(kind, count=min(kind.count, left)))
        left -= kept[-1].count
    return [kind for kind in kept if kind.count]


def of_groups(reported: Any) -> list[Node]:
    """Return the node types of the configuration that an autoscaler has reported to Ray; -1 means no limit."""
    return [
        node_of(dict(group.resources), group.name, math.inf if group.max_count == -1 else group.max_count)
        for group in reported.node_group_configs
        if group.resources and group.max_count
    ]


def together(there: Sequence[Node], possible: Iterable[Node]) -> tuple[Node, ...]:
    """Return the nodes that are there and as many of each type as may still come.

    A node that is there counts as one of a type if it has the type's CPUs and GPUs.
    """
    more, free = [], list(there)
    for kind in possible:
        alike = [node for node in free if (node.cpus, node.gpus) == (kind.cpus, kind.gpus)]
        taken = alike[: len(alike) if kind.count == math.inf else int(kind.count)]
        free = [node for node in free if node not in alike] + alike[len(taken) :]
        if kind.count > len(taken):
            memory = min((node.memory_gib for node in taken), default=kind.memory_gib)
            more.append(replace(kind, count=kind.count - len(taken), memory_gib=memory))
    return (*there, *more)
