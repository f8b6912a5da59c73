"""What the tests of clusters share."""

import ctypes
import os
import socket
from collections.abc import Callable, Iterator

import pytest

from tests.cluster.machines import Machine, Network
from tests.cluster.storage import S3

# The number of Linux for a new network namespace (sched.h). Python has it from 3.12 on.
CLONE_NEWNET = 0x40000000


@pytest.fixture(scope="session")
def isolated() -> None:
    """Give this test process a network of its own: its machines have the same addresses as another test process's.

    Nothing in it may meet the Ray of anybody else.
    """
    if os.getuid() != 0 or {name for _, name in socket.if_nameindex()} - {"lo"}:
        pytest.exit("run these by `make test-cluster`, as root: they need namespaces of their own", returncode=2)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "this process cannot have a network of its own")


@pytest.fixture(scope="module")
def network(isolated: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """A network of this module's own."""
    with Network(tmp_path_factory.mktemp("network")) as network:
        yield network


@pytest.fixture
def machine(network: Network) -> Iterator[Callable[[int], Machine]]:
    """Switches on a machine for one test."""
    yield network.machine
    for started in network.machines:
        started.power_off()
    network.machines.clear()


@pytest.fixture(scope="module")
def s3(network: Network) -> Iterator[S3]:
    with S3() as s3:
        yield s3
