"""Keeps decoded images in the user's cache, so that each state of a folder is decoded once."""

import hashlib
import os
import stat
import sys
import time
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from analysis.results.files import write_atomically
from models.data import IMAGE_SHAPE
from study.errors import BadInput

# Raise this when the decoding changes, so that older caches are not used.
CACHE_FORMAT = "1"
# At most 4 caches are kept, because each can be as large as the data set.
CACHES_KEPT = 4
# A temporary file is removed after at least a day, because a younger one may still be being written.
STALE_SECONDS = 24 * 3600.0
# The exceptions that zipfile and numpy raise on damaged files. RuntimeError: a flipped bit asks for a password.
DAMAGE = (zipfile.BadZipFile, zlib.error, OSError, EOFError, KeyError, RuntimeError, ValueError)


def fingerprint(root: Path, paths: Iterable[str]) -> str:
    """Returns a SHA-256 that changes whenever one of the files changes. It reads no file's contents.

    The inode's change time is part of it: a file that was replaced and given the old date counts as new.

    Args:
        root: the folder of the files; the fingerprint does not depend on its path.
        paths: absolute paths of the files, in a fixed order.

    Raises:
        BadInput: if one of the paths is not a file or cannot be looked up.
    """
    digest = hashlib.sha256(CACHE_FORMAT.encode())
    for path in paths:
        try:
            status = os.stat(path)
        except OSError as error:
            raise BadInput(f"{path!r} cannot be read ({error.strerror}): remove or replace it") from error
        if not stat.S_ISREG(status.st_mode):
            raise BadInput(f"{path!r} has an image's name but is not a file: remove or rename it")
        digest.update(os.fsencode(path.removeprefix(str(root))))
        digest.update(f"\0{status.st_size}\0{status.st_mtime_ns}\0{status.st_ctime_ns}\0".encode())
    return digest.hexdigest()


def read(cache: Path, n_train: int, n_test: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Reads the training and the test images, uint8 [n, 32, 32, 3]. Returns None if there is no usable cache."""
    try:
        with zipfile.ZipFile(cache) as archive:  # numpy alone does not always read as far as the checksum
            if archive.testzip() is not None:
                raise zipfile.BadZipFile("wrong checksum")
        with np.load(cache, allow_pickle=False) as arrays:
            images = arrays["train"], arrays["test"]
    except FileNotFoundError:
        return None
    except DAMAGE as error:
        print(f"The image cache {cache} is damaged ({error}): the images are read again", file=sys.stderr)
        return None
    if [part.shape for part in images] != [(n_train, *IMAGE_SHAPE), (n_test, *IMAGE_SHAPE)]:
        return None
    return images


def write(cache: Path, train: np.ndarray, test: np.ndarray) -> None:
    """Writes the images as one file and removes the oldest caches. Says so if it cannot, and does not fail."""
    try:
        cache.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # the images may be private
        write_atomically(cache, lambda file: np.savez(file, train=train, test=test))
        _drop_old_caches(cache.parent)
    except OSError as error:
        print(f"The image cache {cache.parent} cannot be written ({error}): free or repair it", file=sys.stderr)


def _drop_old_caches(folder: Path) -> None:
    by_age = sorted(folder.glob("*.npz"), key=lambda path: path.stat().st_mtime, reverse=True)
    # pathlib's glob finds hidden files, such as the temporary files of processes that were killed.
    stale = [path for path in folder.glob("*.tmp") if path.stat().st_mtime < time.time() - STALE_SECONDS]
    for path in [*by_age[CACHES_KEPT:], *stale]:
        path.unlink(missing_ok=True)
