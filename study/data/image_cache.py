"""Keeps decoded images in the user's cache, so that each file is decoded once."""

import hashlib
import os
import stat
import sys
import time
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analysis.results.files import write_atomically
from study.data.user_cache import user_cache

# Raise this when the decoding changes, so that older caches are not used.
CACHE_FORMAT = "3"
# At most 4 caches are kept, because each can be as large as the data set.
CACHES_KEPT = 4
# A temporary file is removed after at least a day, because a younger one may still be being written.
STALE_SECONDS = 24 * 3600.0
# The exceptions that zipfile and numpy raise on damaged files. RuntimeError: a flipped bit asks for a password.
DAMAGE = (zipfile.BadZipFile, zlib.error, OSError, EOFError, KeyError, RuntimeError, ValueError)
# The key of a file that cannot be looked up.
_NO_KEY = b""


@dataclass(frozen=True)
class Table:
    """Holds a row for each file.

    Attributes:
        pixels: uint8 [n, size, size, 3].
        largest: the largest value of a 16-bit image, int32 [n]; -1 for any other image.
        depth: the bits that a 16-bit image was read with, uint8 [n].
        is_known: bool [n]; False if the file was not read yet, or cannot be.
    """

    pixels: np.ndarray
    largest: np.ndarray
    depth: np.ndarray
    is_known: np.ndarray

    @classmethod
    def empty(cls, n: int, size: int) -> "Table":
        """Return a table of files that were not read yet."""
        pixels = np.zeros((n, size, size, 3), np.uint8)
        return cls(pixels, np.full(n, -1, np.int32), np.zeros(n, np.uint8), np.zeros(n, bool))

    def put(self, row: int, pixels: np.ndarray, largest: int | None, depth: int) -> None:
        """Set the row of a file."""
        self.pixels[row], self.largest[row], self.depth[row] = pixels, -1 if largest is None else largest, depth
        self.is_known[row] = True


class ImageCache:
    """Keeps the images of a folder in one file for each state of the folder.

    A file counts as unchanged if its size, the time of its last change and its place in the folder are the same. The
    inode's change time is compared too: a file that was replaced and given the old date counts as new.

    Args:
        root: the folder of the files.
        paths: absolute paths of the files, in a fixed order.
        size: pixels of a side that the images are scaled to. Images of another size have a cache of their own.

    Attributes:
        faults: why a path cannot be read, by its position: it is missing or not a file.
    """

    def __init__(self, root: Path, paths: Sequence[str], size: int) -> None:
        self._size = size
        self._root = os.fsencode(root) + f"\0{size}".encode()
        self.faults: dict[int, str] = {}
        keys = []
        for position, path in enumerate(paths):
            key = _NO_KEY
            try:
                status = os.stat(path)
                if stat.S_ISREG(status.st_mode):
                    key = _key(path.removeprefix(str(root)), status)
                else:
                    self.faults[position] = "it is not a file"
            except OSError as error:
                self.faults[position] = os.strerror(error.errno or 0)
            keys.append(key)
        self._keys = np.array(keys, dtype="S32")
        self._folder = user_cache() / "folder"
        state = hashlib.sha256(f"{CACHE_FORMAT}, {size} pixels".encode())
        for key in keys:
            state.update(key + b"\n")
        self._path = self._folder / f"{state.hexdigest()}.npz"

    def read(self) -> Table:
        """Return what the cache has of the files in this size: their own state, or other states of the same folder."""
        table = Table.empty(len(self._keys), self._size)
        for path in (self._path, *self._others()):
            if table.is_known.all():
                break
            kept = self._read(path)
            if kept is None:
                continue
            keys, known = kept
            if np.array_equal(keys, self._keys):
                return known
            rows = {key: row for row, key in enumerate(keys.tolist()) if known.is_known[row]}
            for row in np.flatnonzero(~table.is_known).tolist():
                if (found := rows.get(self._keys[row])) is not None:
                    largest = int(known.largest[found])
                    table.put(row, known.pixels[found], None if largest < 0 else largest, int(known.depth[found]))
        return table

    def write(self, table: Table) -> None:
        """Write the known images as one file and remove the oldest caches. Say so if it cannot, and do not fail."""
        arrays = {"root": np.array(self._root), "keys": self._keys, **vars(table)}
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # the images may be private
            write_atomically(self._path, lambda file: np.savez(file, **arrays))
            _drop_old_caches(self._folder)
        except OSError as error:
            print(f"The image cache {self._folder} cannot be written ({error}): free or repair it", file=sys.stderr)

    def _others(self) -> Iterator[Path]:
        """Yield the caches of other states of the same folder in the same size, the newest first."""
        for path in _by_age(self._folder):
            if path != self._path:
                try:
                    with np.load(path, allow_pickle=False) as arrays:
                        is_same = "root" in arrays and arrays["root"].tobytes() == self._root
                except DAMAGE:
                    continue  # it says nothing about this folder
                if is_same:
                    yield path

    def _read(self, path: Path) -> tuple[np.ndarray, Table] | None:
        """Read the keys and the images of a cache. Return None if it is missing or damaged."""
        try:
            with zipfile.ZipFile(path) as archive:  # numpy alone does not always read as far as the checksum
                if archive.testzip() is not None:
                    raise zipfile.BadZipFile("wrong checksum")
            with np.load(path, allow_pickle=False) as arrays:
                table = Table(*(arrays[name] for name in Table.__dataclass_fields__))
                return arrays["keys"], table
        except FileNotFoundError:
            return None
        except DAMAGE as error:
            print(f"The image cache {path} is damaged ({error}): the images are read again", file=sys.stderr)
            return None


def _key(name: str, status: os.stat_result) -> bytes:
    times = f"\0{status.st_size}\0{status.st_mtime_ns}\0{status.st_ctime_ns}"
    return hashlib.blake2b(os.fsencode(name) + times.encode(), digest_size=16).hexdigest().encode()


def _by_age(folder: Path) -> list[Path]:
    times = {}
    for path in folder.glob("*.npz"):
        with suppress(FileNotFoundError):  # another process has removed it
            times[path] = path.stat().st_mtime
    return sorted(times, key=lambda path: times[path], reverse=True)


def _drop_old_caches(folder: Path) -> None:
    # pathlib's glob finds hidden files, such as the temporary files of processes that were killed.
    stale = [path for path in folder.glob("*.tmp") if path.stat().st_mtime < time.time() - STALE_SECONDS]
    for path in [*_by_age(folder)[CACHES_KEPT:], *stale]:
        path.unlink(missing_ok=True)
