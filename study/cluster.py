"""Ray, started for one study or joined, and ended with it."""

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
import ray
import torch

from study.lock import Locked, exclusive
from study.resources import Capacity

GIB = 2**30
# Short, since Ray puts sockets there and their paths are limited to 107 bytes.
_TEMPORARY = Path("/tmp")
_PREFIX = "netverdict-"


@contextmanager
def ray_session(address: str | None) -> Iterator[Capacity]:
    """Starts a Ray of this machine alone, or joins the cluster at `address`; leaves nothing behind.

    Yields:
        What the machine or the cluster has.
    """
    _keep_token_private()
    with ExitStack() as stack:
        directory = stack.enter_context(_session_directory()) if address is None else None
        ray.init(
            address=address or "local",
            num_cpus=len(os.sched_getaffinity(0)) if address is None else None,
            include_dashboard=False if address is None else None,
            _temp_dir=None if directory is None else str(directory),
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
        stack.callback(ray.shutdown)
        yield capacity()


@contextmanager
def _session_directory() -> Iterator[Path]:
    """A temporary folder for Ray. Those of drivers that were killed, which lock theirs no more, are removed."""
    for left in _TEMPORARY.glob(f"{_PREFIX}*"):
        with suppress(Locked, OSError), exclusive(left) as is_ours:
            if is_ours and left.stat().st_uid == os.getuid():
                shutil.rmtree(left, ignore_errors=True)
    directory = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=_TEMPORARY))
    try:
        with exclusive(directory):
            yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _keep_token_private() -> None:
    """Ray writes its token for everyone to read, unless the file is there already."""
    token = Path.home() / ".ray" / "auth_token"
    token.parent.mkdir(parents=True, exist_ok=True)
    token.touch(mode=0o600)
    token.chmod(0o600)


def capacity() -> Capacity:
    """What the Ray that this process is connected to has."""
    total = ray.cluster_resources()
    return Capacity(total.get("CPU", 0.0), total.get("GPU", 0.0), total.get("memory", 0.0) / GIB)


def machine_capacity() -> Capacity:
    """What this machine has, found without starting Ray."""
    return Capacity(
        cpus=len(os.sched_getaffinity(0)),
        gpus=torch.cuda.device_count(),
        memory_gib=psutil.virtual_memory().available / GIB,
    )
