"""Ray, started for one study or joined, and ended with it."""

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import ray
import torch

from study.resources import Capacity

GIB = 2**30


@contextmanager
def ray_session(address: str | None) -> Iterator[Capacity]:
    """Starts a Ray of this machine alone, or joins the cluster at `address`; leaves nothing behind.

    Yields:
        What the machine or the cluster has.
    """
    # Short, since Ray puts sockets in it and their paths are limited to 107 bytes.
    directory = tempfile.mkdtemp(prefix="nv-", dir="/tmp") if address is None else None
    try:
        ray.init(
            address=address or "local",
            num_cpus=len(os.sched_getaffinity(0)) if address is None else None,
            include_dashboard=False if address is None else None,
            _temp_dir=directory,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
        try:
            yield capacity()
        finally:
            ray.shutdown()
    finally:
        if directory is not None:
            shutil.rmtree(directory, ignore_errors=True)


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
