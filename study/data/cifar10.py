"""Downloads, verifies and reads CIFAR-10 (Krizhevsky, 2009) with torchvision."""

import contextlib
import itertools
import os
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path

import numpy as np
from torchvision.datasets import CIFAR10
from torchvision.datasets.utils import check_integrity, download_url, extract_archive

from models.data import IMAGE_SIZE, Dataset, LabelledImages
from models.images.pixels import scale_all
from study.errors import BadInput, one_line
from study.storage.lock import Locked, exclusive

# A download may be silent for at most 20 s: a look-up, a connection or a body that hangs longer will not recover.
STALL_SECONDS = 20.0
POLL_SECONDS = 0.1


def load_cifar10(root: Path, image_size: int = IMAGE_SIZE) -> Dataset:
    """Reads torchvision's files below `root` and downloads them first if they are missing or damaged.

    Args:
        root: the folder of the files.
        image_size: pixels of a side that the images are scaled to.

    Raises:
        BadInput: if the files cannot be read or downloaded. A download fails STALL_SECONDS after the last byte arrived.
    """
    archive = root / CIFAR10.filename
    try:
        with contextlib.suppress(RuntimeError):  # torchvision's error if a file is missing or damaged
            return _read_cifar10(root, image_size)
        root.mkdir(parents=True, exist_ok=True)
        with alone_in(root, "CIFAR-10"):
            with contextlib.suppress(RuntimeError):  # another study may have downloaded it meanwhile
                return _read_cifar10(root, image_size)
            if not check_integrity(archive, CIFAR10.tgz_md5):
                _download(CIFAR10.url, archive, CIFAR10.tgz_md5)
            extract_archive(archive, root)
            return _read_cifar10(root, image_size)
    except (OSError, HTTPException, RuntimeError) as error:
        raise BadInput(
            f"CIFAR-10 cannot be downloaded from {CIFAR10.url} to {str(root)!r} ({one_line(error)}). Put"
            f" {CIFAR10.filename} or its unpacked {CIFAR10.base_folder} into a folder DIR and pass --data-dir DIR, or"
            f" use your own images with --dataset folder --data-dir PATH, or run offline with --dataset digits"
        ) from error


@contextlib.contextmanager
def alone_in(root: Path, title: str) -> Iterator[None]:
    """Waits until no other process downloads or unpacks in `root`, then keeps other processes waiting.

    Args:
        title: the data set that the line about waiting names.
    """
    for attempt in itertools.count():
        with contextlib.suppress(Locked), exclusive(root):
            yield
            return
        if attempt == 0:
            print(f"Waiting for another process that downloads {title} to {root}", file=sys.stderr)
        time.sleep(POLL_SECONDS)


def _read_cifar10(root: Path, image_size: int) -> Dataset:
    with warnings.catch_warnings():
        # numpy 2.4.0 to 2.4.4 warn about the dtypes in these old pickles.
        warnings.simplefilter("ignore", np.exceptions.VisibleDeprecationWarning)
        parts = [CIFAR10(root, train=train) for train in (True, False)]
    train, test = (
        LabelledImages(scale_all(np.ascontiguousarray(part.data), image_size), np.array(part.targets, dtype=np.int64))
        for part in parts
    )
    return Dataset("CIFAR-10", tuple(parts[0].classes), train, test)


def _download(url: str, archive: Path, md5: str) -> None:
    """Downloads and verifies a file, which then appears as a whole.

    torchvision sets no time limits and a name look-up cannot have one, so the download runs in a thread. An abandoned
    thread ends with the process and writes only into the temporary folder.

    Raises:
        TimeoutError: if nothing arrived for STALL_SECONDS.
    """
    errors: list[Exception] = []
    with tempfile.TemporaryDirectory(dir=archive.parent, prefix=".download-", ignore_cleanup_errors=True) as folder:
        partial = Path(folder) / archive.name

        def fetch() -> None:
            try:
                download_url(url, folder, archive.name, md5)
            except Exception as error:  # raised again below, in the thread that waits
                errors.append(error)

        thread = threading.Thread(target=fetch, name="download", daemon=True)
        thread.start()
        arrived, last_sign = 0, time.monotonic()
        while thread.is_alive():
            thread.join(POLL_SECONDS)
            size = partial.stat().st_size if partial.exists() else 0
            if size != arrived:
                arrived, last_sign = size, time.monotonic()
            elif time.monotonic() - last_sign > STALL_SECONDS:
                raise TimeoutError(f"nothing arrived for {STALL_SECONDS:g} s")
        if errors:
            raise errors[0]
        os.replace(partial, archive)
