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

# A worker in another folder. It goes into the user's folder last, as the workers of this machine start there.
WORKER = """
import os, pickle, sys, torch

def build(name):
    try:
        network = pickle.load(open(name, "rb")).build(3, {})
        print(type(network).__name__, tuple(network(torch.zeros(2, 3, 32, 32)).shape), "mynets" in sys.modules)
    except ModuleNotFoundError as error:
        print(error)

build("of-cluster.pickle")
build("of-machine.pickle")
os.chdir("of-user")
build("../of-machine.pickle")
"""


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Architecture]:
    """Yield a network of a user's modules, which lie in the current folder."""
    folder = tmp_path / "of-user"
    folder.mkdir()
    write_modules(folder)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield Architecture("net", "Net", load_factory("mynets:Net"))
    for name in ("mynets", "my_blocks"):
        if (
            module := sys.modules.pop(name, None)
        ) is not None and name in ray.cloudpickle.list_registry_pickle_by_value():
            ray.cloudpickle.unregister_pickle_by_value(module)


@pytest.mark.slow
def test_a_cluster_gets_a_user_s_modules_with_the_networks_and_this_machine_imports_them(
    network: Architecture, tmp_path: Path
) -> None:
    for address, name in ((None, "of-machine.pickle"), ("auto", "of-cluster.pickle")):
        send_code([network], address)
        (tmp_path / name).write_bytes(ray.cloudpickle.dumps(network))
    done = subprocess.run([sys.executable, "-c", WORKER], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["Net (2, 3) False", "No module named 'mynets'", "Net (2, 3) True"]


def test_installed_packages_are_sent_by_name() -> None:
    assert modules_of_user(load_factory("torchvision.models:squeezenet1_1")) == []
