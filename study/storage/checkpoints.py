"""Checkpoints of training runs: one a run, on any storage that every node can reach."""

import functools
import io
import time
import zlib
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from pyarrow import fs

from analysis.results.files import DamagedFile
from study.errors import StorageFailed

_MAGIC = b"netverdict checkpoint 1\n"

# A bucket that does not answer is asked again for this long, then the run fails and may be tried again.
PATIENCE_SECONDS = 120.0
_PAUSE_SECONDS = 2.0

T = TypeVar("T")


class CheckpointStore:
    """Keeps the newest state of each run, replaced as a whole.

    Args:
        uri: a folder's absolute path, or a URI that pyarrow understands, such as s3://bucket/folder?region=eu-west-1.
        within: relative path that keeps the runs of one study apart from others in the same place.

    Raises:
        ValueError: if it is neither.
    """

    def __init__(self, uri: str, within: str = "") -> None:
        try:
            _open(uri)
        except (OSError, ValueError, ImportError) as error:
            raise ValueError(f"{uri!r} is neither an absolute path nor a storage URI: {error}") from error
        self._uri = uri
        self._within = within

    def __str__(self) -> str:
        return self._uri

    def save(self, run: str, state: dict[str, Any]) -> None:
        """Replaces the checkpoint of the run of this name, a relative path. Raises StorageFailed if it cannot."""
        payload = _serialised(state)
        checksum = zlib.crc32(payload).to_bytes(4, "big")
        self._patiently("written", self._path(run), lambda: self._write(run, _MAGIC + checksum, payload))

    def _write(self, run: str, *parts: bytes | memoryview) -> None:
        filesystem, path = self._filesystem(), self._path(run)
        # An object store shows an object once it is complete; a file system needs the rename.
        local = isinstance(filesystem, fs.LocalFileSystem)
        target = f"{path}.tmp" if local else path
        filesystem.create_dir(path.rpartition("/")[0], recursive=True)
        with filesystem.open_output_stream(target) as file:
            for part in parts:
                file.write(part)
        if local:
            filesystem.move(target, path)

    def load(self, run: str) -> dict[str, Any] | None:
        """The newest state of the run, or None if there is none.

        Raises:
            DamagedFile: if it is not what was saved.
            StorageFailed: if it cannot be read.
        """
        content = self._patiently("read", self._path(run), lambda: self._read(run))
        if content is None:
            return None
        head, checksum, payload = content[: len(_MAGIC)], content[len(_MAGIC) :][:4], content[len(_MAGIC) + 4 :]
        if head != _MAGIC or zlib.crc32(payload).to_bytes(4, "big") != checksum:
            raise DamagedFile(f"the checkpoint {self._path(run)} is damaged")
        return dict(torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True))

    def delete(self, run: str) -> None:
        """Removes the checkpoint of the run, if there is one. Raises StorageFailed if it cannot."""
        self._patiently("removed", self._path(run), lambda: self._remove(run))

    def clear(self) -> None:
        """Removes every checkpoint and the folder they lie in. Raises StorageFailed if it cannot."""
        self._patiently("removed", self._root(), self._remove_all)

    def write_probe(self, name: str) -> None:
        """Writes an empty file where a run of this name would lie. Raises OSError at once if that cannot be."""
        self._write(name, b"")

    def has(self, name: str) -> bool:
        """Whether there is a file of this name. Raises OSError at once if the storage does not answer."""
        filesystem, path = self._filesystem(), self._path(name)
        return bool(filesystem.get_file_info(path).type == fs.FileType.File)

    def _read(self, run: str) -> bytes | None:
        filesystem, path = self._filesystem(), self._path(run)
        try:
            with filesystem.open_input_stream(path) as file:
                return bytes(file.read())
        except FileNotFoundError:
            return None

    def _remove(self, run: str) -> None:
        filesystem, path = self._filesystem(), self._path(run)
        if filesystem.get_file_info(path).type == fs.FileType.File:
            filesystem.delete_file(path)

    def _remove_all(self) -> None:
        if self._filesystem().get_file_info(self._root()).type == fs.FileType.Directory:
            self._filesystem().delete_dir(self._root())

    def _patiently(self, done: str, path: str, operation: Callable[[], T]) -> T:
        """Repeats what a remote storage refuses; of a local one nothing is better a moment later."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return operation()
            except OSError as error:
                if isinstance(self._filesystem(), fs.LocalFileSystem) or time.monotonic() > deadline:
                    raise StorageFailed(f"the checkpoint {path} cannot be {done}: {error}") from error
            time.sleep(_PAUSE_SECONDS)

    def _filesystem(self) -> fs.FileSystem:
        return _open(self._uri)[0]

    def _root(self) -> str:
        return "/".join(part for part in (_open(self._uri)[1].rstrip("/"), self._within) if part)

    def _path(self, run: str) -> str:
        return f"{self._root()}/{run}.pt"


def _serialised(state: dict[str, Any]) -> memoryview:
    buffer = io.BytesIO()
    # The whole has a checksum of its own: torch's of each tensor took three quarters of the time.
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(state, buffer)
    finally:
        torch.serialization.set_crc32_options(before)
    return buffer.getbuffer()


@functools.cache
def _open(uri: str) -> tuple[fs.FileSystem, str]:
    """The file system and the path in it; once a process, since AWS's library looks for credentials each time."""
    filesystem, path = fs.FileSystem.from_uri(uri)
    return filesystem, path
