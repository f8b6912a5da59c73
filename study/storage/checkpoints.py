"""Keeps the newest checkpoint of each training run."""

import io
import zlib
from typing import Any

import torch

from analysis.results.files import DamagedFile
from study.storage.object_store import ObjectStore

_MAGIC = b"fairverdict checkpoint 1\n"
# The magic of the project's former name, with the same format.
_FORMER_MAGIC = b"netverdict checkpoint 1\n"
_CHECKSUM_BYTES = 4


class CheckpointStore:
    """Saves and loads the states of runs. Takes the arguments of ObjectStore, and raises its ValueError."""

    def __init__(self, uri: str, within: str = "", patience: float | None = None) -> None:
        self._place = uri, within
        self._objects = ObjectStore(uri, within, patience)

    def __str__(self) -> str:
        return str(self._objects)

    def impatient(self) -> "CheckpointStore":
        """Returns the same store, which tries a remote storage that does not answer only once."""
        return CheckpointStore(*self._place, patience=0.0)

    def save(self, run: str, state: dict[str, Any]) -> None:
        """Replaces the checkpoint of the run of this name, a relative path. Raises StorageFailed if it cannot."""
        payload = _serialised(state)
        self._objects.write(_name(run), _MAGIC, _checksum(payload), payload)

    def load(self, run: str) -> dict[str, Any] | None:
        """Returns the newest state of the run; None if there is none.

        Raises:
            DamagedFile: if it is not what was saved.
            StorageFailed: if it cannot be read.
        """
        content = self._objects.read(_name(run))
        if content is None:
            return None
        magic = _FORMER_MAGIC if content.startswith(_FORMER_MAGIC) else _MAGIC
        start = len(magic) + _CHECKSUM_BYTES
        payload = memoryview(content)[start:]
        if content[:start] != magic + _checksum(payload):
            raise DamagedFile(f"the checkpoint {self._objects.path(_name(run))} is damaged")
        return dict(torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True))

    def delete(self, run: str) -> None:
        """Deletes the checkpoint of the run, if there is one. Raises StorageFailed if it cannot."""
        self._objects.delete(_name(run))

    def clear(self) -> None:
        """Deletes every checkpoint and their folder. Raises StorageFailed if it cannot."""
        self._objects.clear()


def is_checkpoint(store: ObjectStore, name: str) -> bool:
    """Return whether an object begins as a checkpoint does. Raises StorageFailed."""
    start = store.read(name, len(_MAGIC))
    return start is not None and start.startswith((_MAGIC, _FORMER_MAGIC))


def _name(run: str) -> str:
    return f"{run}.pt"


def _checksum(payload: memoryview) -> bytes:
    return zlib.crc32(payload).to_bytes(_CHECKSUM_BYTES, "big")


def _serialised(state: dict[str, Any]) -> memoryview:
    buffer = io.BytesIO()
    # The checkpoint has one checksum of its own, because torch's checksum of each tensor takes most of the time.
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(state, buffer)
    finally:
        torch.serialization.set_crc32_options(before)
    return buffer.getbuffer()
