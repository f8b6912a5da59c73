"""What a cluster can grow to. What needs a real one is in tests/cluster."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from study.cluster.capacity import Capacity, divide
from study.cluster.session import Slots, launchable, ray_session
from study.errors import BadInput
from study.settings.config import StudyConfig

GIB = 2**30
AWS = {
    "max_workers": 4,
    "head_node_type": "head",
    "available_node_types": {
        "head": {"resources": {"CPU": 0, "memory": 5 * GIB}, "max_workers": 0},
        "worker": {"resources": {"CPU": 4, "GPU": 1, "memory": 12 * GIB}, "min_workers": 0, "max_workers": 4},
        "large": {"resources": {"CPU": 48}, "max_workers": 0},
    },
}


def test_nodes_that_are_not_there_yet_count(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(AWS))
    most = launchable(tmp_path / "config.yaml")
    assert most == {"CPU": 16, "GPU": 4, "memory": 53 * GIB}
    resources = divide(Capacity(most["CPU"], most["GPU"], most["memory"] / GIB), StudyConfig(gpus_per_trial=0.25))
    assert (resources.concurrency, resources.cpus_per_trial, resources.gpus_per_trial) == (16, 1, 0.25)


def test_the_cluster_s_own_limit_holds(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(AWS | {"max_workers": 2}))
    assert launchable(tmp_path / "config.yaml")["GPU"] == 2


def test_processors_that_this_process_may_not_use_do_not_count() -> None:
    ask = "import os; os.sched_setaffinity(0, {0}); from study import cluster; print(cluster.machine_capacity().cpus)"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


def test_a_run_without_a_share_of_the_gpu_does_not_see_it() -> None:
    ask = """
import os, study, ray
ray.init(address="local", num_cpus=1, num_gpus=1, include_dashboard=False)
seen = ray.remote(lambda: os.environ["CUDA_VISIBLE_DEVICES"])
print([ray.get(seen.options(num_gpus=share).remote()) for share in (0, 0.25)])
"""
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines()[-1:] == ["['', '0']"], done.stderr


def test_a_home_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", os.devnull)
    with pytest.raises(BadInput, match="set HOME to a folder that can"), ray_session(None):
        pass


def test_without_a_launcher_nothing_is_expected(tmp_path: Path) -> None:
    assert launchable(tmp_path / "config.yaml") == {}


def test_a_number_of_runs_that_was_asked_for_is_kept() -> None:
    config = StudyConfig(address="auto", concurrency=3)
    assert Slots(divide(Capacity(8, 0, 64), config), config)() == 3
