"""Stores bytes under names, in a folder or in an object store such as S3, that every node can reach."""

import functools
import re
import time
from collections.abc import Callable
from typing import TypeVar

from pyarrow import fs

from study.errors import BadInput, StorageFailed

# A remote storage that does not answer is tried again for at most 120 s, because a worker waits for it.
PATIENCE_SECONDS = 120.0
_PAUSE_SECONDS = 2.0

T = TypeVar("T")


class ObjectStore:
    """Writes, reads and deletes objects. Each is replaced as a whole.

    Args:
        uri: a folder's absolute path, or a URI that pyarrow understands, such as s3://bucket/folder?region=eu-west-1.
        within: a relative path below it, which keeps studies in one place apart. Default: none.
        patience: seconds for which a remote storage that does not answer is tried again. Default: PATIENCE_SECONDS.

    Raises:
        ValueError: if `uri` is neither.
    """

    def __init__(self, uri: str, within: str = "", patience: float | None = None) -> None:
        try:
            _open(uri)
        except (OSError, ValueError, ImportError) as error:
            raise ValueError(f"{uri!r} is neither an absolute path nor a storage URI: {error}") from error
        self._uri = uri
        self._within = within
        self._patience = patience

    def __str__(self) -> str:
        return self._uri

    def write(self, name: str, *parts: bytes | memoryview) -> None:
        """Replaces the object of this name, a relative path. Raises StorageFailed if it cannot."""
        self._patiently("written", self.path(name), lambda: self._write(name, *parts))

    def read(self, name: str, size: int | None = None) -> bytes | None:
        """Returns the object of this name, or its first bytes; None if there is none. Raises StorageFailed."""
        return self._patiently("read", self.path(name), lambda: self._read(name, size))

    def delete(self, name: str) -> None:
        """Deletes the object of this name, if there is one. Raises StorageFailed if it cannot."""
        self._patiently("removed", self.path(name), lambda: self._delete(name))

    def clear(self) -> None:
        """Deletes every object and their folder. Raises StorageFailed if it cannot."""
        self._patiently("removed", self.path(""), self._clear)

    def files(self) -> dict[str, fs.FileInfo]:
        """Returns every object by its name, at any depth; none if there is no such place. Raises StorageFailed."""
        found = self._patiently("listed", self.path(""), lambda: self._entries(fs.FileType.File, recursive=True))
        return {entry.path.removeprefix(f"{self.path('')}/"): entry for entry in found}

    def folders(self) -> list[str]:
        """Returns the names of the folders, sorted. Raises StorageFailed."""
        found = self._patiently("listed", self.path(""), lambda: self._entries(fs.FileType.Directory, recursive=False))
        return sorted(entry.base_name for entry in found)

    def write_probe(self, name: str) -> None:
        """Writes an empty object. Raises OSError at once if it cannot, without trying again."""
        self._write(name)

    def has(self, name: str) -> bool:
        """Whether there is an object of this name. Raises OSError at once if the storage does not answer."""
        return bool(self._filesystem.get_file_info(self.path(name)).type == fs.FileType.File)

    def path(self, name: str) -> str:
        """Returns the path of an object inside its file system or bucket."""
        return "/".join(part for part in (_open(self._uri)[1].rstrip("/"), self._within, name) if part)

    def _write(self, name: str, *parts: bytes | memoryview) -> None:
        path = self.path(name)
        # An object store shows only complete objects. A folder needs a rename.
        target = f"{path}.tmp" if self._is_local else path
        if self._is_local:  # an object store needs no folders, and would write an object for each
            self._filesystem.create_dir(path.rpartition("/")[0], recursive=True)
        with self._filesystem.open_output_stream(target) as file:
            for part in parts:
                file.write(part)
        if self._is_local:
            self._filesystem.move(target, path)

    def _read(self, name: str, size: int | None) -> bytes | None:
        try:
            with self._filesystem.open_input_stream(self.path(name)) as file:
                return bytes(file.read(size))
        except FileNotFoundError:
            return None

    def _delete(self, name: str) -> None:
        if self.has(name):
            self._filesystem.delete_file(self.path(name))

    def _entries(self, kind: fs.FileType, *, recursive: bool) -> list[fs.FileInfo]:
        within = fs.FileSelector(self.path(""), allow_not_found=True, recursive=recursive)
        return [entry for entry in self._filesystem.get_file_info(within) if entry.type == kind]

    def _clear(self) -> None:
        if self._filesystem.get_file_info(self.path("")).type == fs.FileType.Directory:
            self._filesystem.delete_dir(self.path(""))

    def _patiently(self, done: str, path: str, operation: Callable[[], T]) -> T:
        """Repeats an operation that a remote storage refuses. A local one would only refuse it again."""
        deadline = time.monotonic() + (PATIENCE_SECONDS if self._patience is None else self._patience)
        while True:
            try:
                return operation()
            except OSError as error:
                if self._is_local or time.monotonic() >= deadline:
                    raise StorageFailed(f"the file {path} cannot be {done}: {error}") from error
            time.sleep(_PAUSE_SECONDS)

    @property
    def _filesystem(self) -> fs.FileSystem:
        return _open(self._uri)[0]

    @property
    def _is_local(self) -> bool:
        return isinstance(self._filesystem, fs.LocalFileSystem)


@functools.cache
def _open(uri: str) -> tuple[fs.FileSystem, str]:
    """Opens a storage once a process, because AWS's library looks for credentials each time.

    Returns:
        The file system, and the path in it.
    """
    filesystem, path = fs.FileSystem.from_uri(uri)
    if filesystem.type_name == "s3":
        # A small object then takes one request in place of three. A URI has no such option.
        build, (options,) = filesystem.__reduce__()
        filesystem = build(options | {"allow_delayed_open": True})
    return filesystem, path


def check_storage(uri: str) -> None:
    """Raises BadInput unless this is a path or URI that ObjectStore takes and that holds no password."""
    account = uri.partition("://")[2].partition("/")[0].rpartition("@")[0]
    if ":" in account or re.search(r"[?&][^=&]*(secret|password|token)[^=&]*=", uri, re.IGNORECASE):
        raise BadInput(
            "--storage: everybody who can read the study could read this password: leave it out of the URI, and give it"
            " in the environment or in the file that the storage's own tools read"
        )
    try:
        ObjectStore(uri)
    except ValueError as error:
        raise BadInput(f"--storage: {error}") from error
