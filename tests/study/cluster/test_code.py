"""The code of a user's networks, as it reaches a worker that lacks the user's modules."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray

from models.networks.registry import Architecture
from models.networks.user_networks import load_factory, modules_of_user
from study.cluster.session import send_code
from tests.study.test_user_modules import write_modules

# A worker in another folder.
WORKER = """
import pickle, sys, torch
network = pickle.load(open(sys.argv[1], "rb")).build(3, {})
print(type(network).__name__, tuple(network(torch.zeros(2, 3, 32, 32)).shape), "mynets" in sys.modules)
"""


@pytest.fixture
def pickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Yield the file that a pickled network belongs into, from a folder with the modules."""
    folder = tmp_path / "of-user"
    folder.mkdir()
    write_modules(folder)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path / "network.pickle"
    for name in ("mynets", "my_blocks"):
        if (
            module := sys.modules.pop(name, None)
        ) is not None and name in ray.cloudpickle.list_registry_pickle_by_value():
            ray.cloudpickle.unregister_pickle_by_value(module)


def _built_elsewhere(path: Path, cwd: Path, architecture: Architecture) -> subprocess.CompletedProcess[str]:
    path.write_bytes(ray.cloudpickle.dumps(architecture))
    command = [sys.executable, "-c", WORKER, str(path)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_a_cluster_gets_a_user_s_modules_with_the_networks(pickled: Path, tmp_path: Path) -> None:
    network = Architecture("net", "Net", load_factory("mynets:Net"))
    send_code([network], "auto")
    done = _built_elsewhere(pickled, tmp_path, network)
    assert (done.stdout, done.stderr) == ("Net (2, 3) False\n", "")


def test_this_machine_s_workers_import_the_modules(pickled: Path, tmp_path: Path) -> None:
    network = Architecture("net", "Net", load_factory("mynets:Net"))
    send_code([network], None)
    assert "No module named 'mynets'" in _built_elsewhere(pickled, tmp_path, network).stderr
    assert _built_elsewhere(pickled, Path.cwd(), network).stdout == "Net (2, 3) True\n"


def test_installed_packages_are_sent_by_name() -> None:
    assert modules_of_user(load_factory("torchvision.models:squeezenet1_1")) == []
