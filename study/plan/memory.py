"""Refuses images that do not fit into this machine's memory, before one of them is read."""

from dataclasses import replace

# Ray has no public way to ask how large its shared memory would be.
from ray._private.utils import estimate_available_memory, resolve_object_store_memory

from study.data.datasets import sizes
from study.errors import BadInput
from study.settings.config import StudyConfig


def check_memory(config: StudyConfig) -> None:
    """Raise BadInput unless the images fit: those that are read into memory, those studied into Ray's shared memory.

    The shared memory of a cluster is not known before the study has joined it, so only this machine's memory counts.
    """
    whole = sizes(replace(config, train_size=None))
    n_read, n_studied = whole.train + whole.test, min(config.train_size or whole.train, whole.train) + whole.test
    free = estimate_available_memory()
    if config.address is None:
        _refuse_if_over(n_studied, config.image_size, resolve_object_store_memory(free), "Ray's shared memory holds")
    _refuse_if_over(n_read, config.image_size, free, "the free memory is")


def _refuse_if_over(n: int, size: int, limit: int, holds: str) -> None:
    if (needed := n * size * size * 3) > limit:
        raise BadInput(
            f"{n:,} images x {size} x {size} pixels x 3 bytes are {needed / 1e9:,.1f} GB, and {holds}"
            f" {limit / 1e9:,.1f} GB: lower --image-size, use fewer images, or free memory"
        )
