"""How clusters of several kinds of nodes are divided among training runs, and where the kinds come from."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.core.generated.autoscaler_pb2 import ClusterConfig, NodeGroupConfig  # type: ignore[attr-defined]

from study.cluster.capacity import MOST_RUNS, Capacity, Resources, divide
from study.cluster.places import nodes
from study.cluster.places.nodes import GIB, Node, kuberay_settings, of_groups, of_settings, startable, together
from study.errors import BadInput
from study.settings.config import StudyConfig

# `ray up` on AWS with cluster.yaml leaves this.
AWS = {
    "max_workers": 4,
    "head_node_type": "head",
    "available_node_types": {
        "head": {"resources": {"CPU": 0, "memory": 5 * GIB}, "max_workers": 0},
        "worker": {"resources": {"CPU": 4, "GPU": 1, "memory": 12 * GIB}, "min_workers": 0, "max_workers": 4},
        "large": {"resources": {"CPU": 48}, "max_workers": 0},
    },
}
RAY_CLUSTER = {
    "metadata": {"name": "pets", "namespace": "vision"},
    "spec": {
        "enableInTreeAutoscaling": True,
        "headGroupSpec": {
            "rayStartParams": {"num-cpus": "0"},
            "template": {"spec": {"containers": [{"resources": {"limits": {"cpu": "2", "memory": "8Gi"}}}]}},
        },
        "workerGroupSpecs": [
            {
                "groupName": "gpus",
                "minReplicas": 0,
                "maxReplicas": 3,
                "rayStartParams": {},
                "template": {
                    "spec": {
                        "containers": [{"resources": {"limits": {"cpu": "8", "memory": "32Gi", "nvidia.com/gpu": "2"}}}]
                    }
                },
            }
        ],
    },
}
HEAD = Node(0, 0, 5, name="10.0.0.1")


@pytest.mark.parametrize(
    ("found", "flags", "expected"),
    [
        # The CPUs of a head without a GPU are no places beside the GPU of a small node.
        ([Node(16, 0, 64), Node(2, 1, 16)], {}, Resources(1, 0.25, 2)),
        # The CPUs of the head do not raise the share of the runs on the GPU nodes.
        ([Node(64, 0, 256), Node(4, 1, 16, count=4)], {}, Resources(1, 0.25, 16)),
        # Nothing runs yet: the cluster scales from zero.
        ([HEAD, Node(8, 2, 32, count=3)], {}, Resources(1, 0.25, 24)),
        # Parts that are left over on several nodes are no place.
        ([Node(3, 0, 64, count=4)], {"cpus_per_trial": 2.0}, Resources(2, 0, 4)),
        # The memory of the small nodes limits the small nodes alone.
        ([Node(8, 0, 64), Node(8, 0, 4, count=2)], {}, Resources(1, 0, 12)),
        # Another share of CPUs would lose the place on the small node.
        ([Node(16, 1, 64), Node(2, 1, 64)], {}, Resources(1, 0.25, 6)),
        # Whole GPUs are counted on each node.
        ([Node(16, 3, 64, count=2)], {"gpus_per_trial": 2.0}, Resources(4, 2, 2)),
        # So many runs need less than a CPU each on every node.
        ([Node(4, 0, 64, count=2)], {"concurrency": 12}, Resources(0.666, 0, 12)),
        ([Node(4, 0, math.inf, count=math.inf)], {}, Resources(1, 0, MOST_RUNS)),
    ],
)
def test_places_are_counted_on_each_node(found: Sequence[Node], flags: dict[str, Any], expected: Resources) -> None:
    assert divide(Capacity(tuple(found)), StudyConfig(address="auto", **flags)) == expected


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (
            {"cpus_per_trial": 4.0, "gpus_per_trial": 0.5},
            "--gpus-per-trial 0.5 --cpus-per-trial 4 asks for more than the 2 CPUs and 1 GPU of the largest node, gpu:"
            " lower it",
        ),
        ({"cpus_per_trial": 17.0, "gpus_per_trial": 0.0}, "more than the 16 CPUs of the largest node, 10.0.0.2"),
        (
            {"gpus_per_trial": 2.0},
            "--gpus-per-trial 2 asks for more than the 2 CPUs and 1 GPU of the largest node, gpu",
        ),
    ],
)
def test_a_run_that_no_node_can_hold_is_refused(flags: dict[str, float], line: str) -> None:
    found = (Node(16, 0, 64, name="10.0.0.2"), Node(2, 1, 16, count=4, name="gpu"))
    with pytest.raises(BadInput) as refused:
        divide(Capacity(found), StudyConfig(address="auto", **flags))  # type: ignore[arg-type]
    assert line in str(refused.value)


def test_a_cluster_that_names_no_node_with_a_cpu_is_refused() -> None:
    with pytest.raises(BadInput, match="no node of the cluster has a CPU"):
        divide(Capacity((HEAD,)), StudyConfig(address="auto"))


def test_the_launcher_s_node_types_count_before_they_start() -> None:
    kinds = of_settings(AWS)
    assert kinds == [Node(4, 1, 12, count=4, name="worker")]
    found = Capacity(together([HEAD], kinds))
    assert divide(found, StudyConfig(address="auto")) == Resources(1, 0.25, 16)


def test_the_cluster_s_own_limit_holds() -> None:
    small = {"resources": {"CPU": 2}, "max_workers": 4}
    kinds = AWS["available_node_types"] | {"small": small}  # type: ignore[operator]
    settings = AWS | {"max_workers": 5, "available_node_types": kinds}
    assert [(kind.name, kind.count) for kind in of_settings(settings)] == [("worker", 4), ("small", 1)]


def test_a_node_that_has_started_counts_once() -> None:
    started = Node(4, 1, 10.5, name="10.0.0.7")
    found = together([HEAD, started, started], [Node(4, 1, 12, count=4, name="worker")])
    assert found == (HEAD, started, started, Node(4, 1, 10.5, count=2, name="worker"))
    assert together([HEAD, started, started], [Node(4, 1, 12, count=1, name="worker")]) == (HEAD, started, started)


def test_kuberay_s_own_settings_name_what_scales_from_zero() -> None:
    settings = kuberay_settings(RAY_CLUSTER)
    assert settings is not None
    (kind,) = of_settings(settings)
    assert (kind.cpus, kind.gpus, kind.count, kind.name) == (8, 2, 3, "gpus")
    assert 20 < kind.memory_gib <= 32
    assert kuberay_settings(RAY_CLUSTER | {"spec": {"workerGroupSpecs": []}}) is None


def test_what_an_autoscaler_reports_to_ray_is_taken() -> None:
    reported = ClusterConfig(
        node_group_configs=[
            NodeGroupConfig(name="gpu", max_count=-1, resources={"CPU": 8, "GPU": 1, "memory": 16 * GIB}),
            NodeGroupConfig(name="none", max_count=0, resources={"CPU": 8}),
        ]
    )
    assert of_groups(reported) == [Node(8, 1, 16, math.inf, "gpu")]


def test_the_launcher_s_file_is_read_in_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(nodes.state, "get_cluster_config", lambda: None)
    assert startable() == []
    (tmp_path / "ray_bootstrap_config.yaml").write_text(yaml.safe_dump(AWS))
    assert [kind.name for kind in startable()] == ["worker"]
