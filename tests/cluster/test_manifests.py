"""deploy/*.yaml and the Dockerfile: Kubernetes and KubeRay know every field, and the study understands the cluster."""

import re
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import ray
import yaml

from study.cli.command_line import parse
from study.cluster.places.nodes import kuberay_settings, of_settings

ROOT = Path(__file__).parent.parent.parent
# Fields of ray.io/v1 with their kinds, by KubeRay's API reference. Pod templates are Kubernetes's own. KubeRay's schema
# of both has more than a megabyte, so it is not kept here.
FIELDS: dict[str, dict[str, Any]] = {
    "RayCluster": {"apiVersion": str, "kind": str, "metadata": dict, "spec": "RayClusterSpec"},
    "RayJob": {"apiVersion": str, "kind": str, "metadata": dict, "spec": "RayJobSpec"},
    "RayJobSpec": {
        "entrypoint": str,
        "backoffLimit": int,
        "shutdownAfterJobFinishes": bool,
        "ttlSecondsAfterFinished": int,
        "rayClusterSpec": "RayClusterSpec",
    },
    "RayClusterSpec": {
        "rayVersion": str,
        "authOptions": "AuthOptions",
        "enableInTreeAutoscaling": bool,
        "autoscalerOptions": "AutoscalerOptions",
        "headGroupSpec": "HeadGroupSpec",
        "workerGroupSpecs": ["WorkerGroupSpec"],
    },
    "AuthOptions": {"mode": str, "secretName": str},
    "AutoscalerOptions": {"idleTimeoutSeconds": int, "upscalingMode": str},
    "HeadGroupSpec": {"rayStartParams": "Words", "template": "PodTemplate"},
    "WorkerGroupSpec": {
        "groupName": str,
        "replicas": int,
        "minReplicas": int,
        "maxReplicas": int,
        "rayStartParams": "Words",
        "template": "PodTemplate",
    },
}


def load(name: str) -> dict[str, Any]:
    manifest: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / name).read_text())
    return manifest


def check(value: Any, kind: Any, path: str) -> None:
    """Fail if a field is unknown, or a value is of another type."""
    match kind:
        case "PodTemplate":
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": value.get("metadata", {}), "spec": value["spec"]}
            kubernetes_validate.validate(pod, "1.37", strict=True)
            assert value.keys() <= {"metadata", "spec"}, path
        case "Words":
            assert all(isinstance(word, str) for pair in value.items() for word in pair), path
        case str():
            assert value.keys() <= FIELDS[kind].keys(), path
            for name, inner in value.items():
                check(inner, FIELDS[kind][name], f"{path}.{name}")
        case [each]:
            for number, inner in enumerate(value):
                check(inner, each, f"{path}[{number}]")
        case _:
            assert type(value) is kind, path


@pytest.mark.parametrize("name", ["rayjob.yaml", "raycluster.yaml"])
def test_every_field_is_known(name: str) -> None:
    manifest = load(name)
    assert manifest["apiVersion"] == "ray.io/v1"
    check(manifest, manifest["kind"], name)


def test_a_misspelt_field_is_refused() -> None:
    manifest = load("raycluster.yaml")
    manifest["spec"]["workerGroupSpecs"][0]["maxReplica"] = 4
    with pytest.raises(AssertionError, match="workerGroupSpecs"):
        check(manifest, "RayCluster", "")
    manifest = load("raycluster.yaml")
    manifest["spec"]["headGroupSpec"]["template"]["spec"]["volumes"][0]["emptyDir"]["sizelimit"] = "4Gi"
    with pytest.raises(kubernetes_validate.ValidationError):
        check(manifest, "RayCluster", "")


def test_the_job_s_cluster_is_the_cluster() -> None:
    assert load("rayjob.yaml")["spec"]["rayClusterSpec"] == load("raycluster.yaml")["spec"]


def test_the_cluster_has_the_versions_of_the_project_and_a_token() -> None:
    spec = load("raycluster.yaml")["spec"]
    assert spec["rayVersion"] == ray.__version__
    assert spec["authOptions"]["mode"] == "token"


def test_ray_s_shared_memory_is_as_large_as_its_object_store() -> None:
    """Ray's store takes 30 % of the memory, and goes to the disk if /dev/shm is smaller."""
    spec = load("raycluster.yaml")["spec"]
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        (mount,) = [mount for mount in container["volumeMounts"] if mount["mountPath"] == "/dev/shm"]
        (volume,) = [volume for volume in pod["volumes"] if volume["name"] == mount["name"]]
        assert volume["emptyDir"]["medium"] == "Memory"
        limit = int(container["resources"]["limits"]["memory"].removesuffix("Gi"))
        assert 0.3 * limit <= int(volume["emptyDir"]["sizeLimit"].removesuffix("Gi")) <= 0.8 * limit


def test_the_study_counts_the_places_of_the_workers_alone() -> None:
    cluster = load("raycluster.yaml")
    cluster["metadata"]["namespace"] = "default"
    settings = kuberay_settings(cluster)
    assert settings is not None
    assert settings["available_node_types"]["headgroup"]["resources"]["CPU"] == 0
    (kind,) = of_settings(settings)
    assert (kind.cpus, kind.gpus, kind.count, kind.name) == (4, 1, 4, "gpu")


def test_the_job_s_command_is_one_that_may_be_repeated() -> None:
    entrypoint = load("rayjob.yaml")["spec"]["entrypoint"]
    assert re.fullmatch(r"[\w./: -]+", entrypoint), "no word needs quotes"
    python, module, program, *words = entrypoint.split()
    assert (python, module, program) == ("python", "-m", "study.run")
    options = parse(words)
    assert (options.resume, options.address, options.name) == (True, "auto", "cifar10")
    assert options.storage == "s3://BUCKET/fairverdict"
    assert options.results_dir.is_absolute()


def test_the_image_is_given_every_package() -> None:
    given = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = {name.removesuffix("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    files = {"pyproject.toml", "constraints.txt", project["project"]["readme"], *project["project"]["license-files"]}
    assert given == packages | files
