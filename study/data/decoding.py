"""Reads many image files to square RGB pixels, each of them once."""

import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from models.data import IMAGE_SIZE
from models.images.pixels import FULL_DEPTH
from models.images.reading import UnreadableImage, read
from study.data.image_cache import ImageCache, Table
from study.errors import BadInput

# A thread decodes at most 256 images at a time, so that the progress bar moves.
IMAGES_PER_TASK = 256
# At most 8 threads, because decoding small files is bound by the interpreter and gains nothing from more.
MAX_THREADS = 8
# At most 10 unreadable files are named, because the line would grow too long.
FILES_NAMED = 10
# 16-bit images have at least 8 bits, because images of fewer are mostly black.
_LEAST_DEPTH = 8


class Images(NamedTuple):
    """Holds the images of some files.

    Attributes:
        pixels: uint8 [n, size, size, 3], in the order of the files.
        bit_depth: bits that the values of 16-bit images have; None if there are no such images.
    """

    pixels: np.ndarray
    bit_depth: int | None


def read_images(paths: Sequence[str], root: Path, bit_depth: int | None = None, image_size: int = IMAGE_SIZE) -> Images:
    """Read images, from the cache if their files have not changed, and show the progress on standard error.

    Args:
        paths: the image files, below `root`.
        root: the folder of all files.
        bit_depth: bits of the values in 16-bit images. None takes as many as the largest value of all images needs,
            and says so if these are fewer than 16.
        image_size: pixels of a side that each image is scaled to.

    Raises:
        BadInput: if files cannot be read. It names the first FILES_NAMED of them. The cache keeps the other images.
    """
    cache = ImageCache(root, paths, image_size)
    faults, table = dict(cache.faults), cache.read()
    unread = [row for row in np.flatnonzero(~table.is_known).tolist() if row not in faults]
    faults |= _fill(table, unread, paths, root, bit_depth or FULL_DEPTH)
    depth = bit_depth or _depth_of(table.largest)
    others = np.flatnonzero((table.largest >= 0) & (table.depth != depth)).tolist()
    if bit_depth is not None or not faults:  # the depth is not known before every image is read
        faults |= _fill(table, others, paths, root, depth)
    if unread or others:
        cache.write(table)
    if faults:
        raise BadInput(describe_unreadable({paths[row]: faults[row] for row in sorted(faults)}, len(paths)))
    count = int((table.largest >= 0).sum())
    if count and bit_depth is None and depth < FULL_DEPTH:
        print(
            f"{count:,} of {len(paths):,} images have 16 bits a pixel, but no value over {table.largest.max():,}: they"
            f" are read as {depth}-bit images (--bit-depth {FULL_DEPTH} reads them as they are)",
            file=sys.stderr,
        )
    return Images(table.pixels, depth if count else None)


def _depth_of(largest: np.ndarray) -> int:
    """Return the bits that the largest of these values needs, at least _LEAST_DEPTH."""
    return max(_LEAST_DEPTH, int(largest.max(initial=0)).bit_length())


def _fill(table: Table, rows: Sequence[int], paths: Sequence[str], root: Path, bit_depth: int) -> dict[int, str]:
    """Read the files of these rows into the table. Return why a file cannot be read, by its row."""
    if not rows:
        return {}

    def read_some(start: int) -> dict[int, str]:
        faults = {}
        for row in rows[start : start + IMAGES_PER_TASK]:
            try:
                image = read(paths[row], bit_depth, table.pixels.shape[1])
                table.put(row, image.pixels, image.largest, bit_depth)
            except UnreadableImage as error:
                table.is_known[row] = False
                faults[row] = error.reason
        return faults

    is_terminal = sys.stderr.isatty()
    if not is_terminal:
        whole = "" if len(rows) == len(paths) else f" of {len(paths):,}"
        print(f"Reading {len(rows):,}{whole} images from {root}", file=sys.stderr, flush=True)
    columns = (TextColumn("Reading images"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    pool = ThreadPoolExecutor(min(os.cpu_count() or 1, MAX_THREADS))
    found: dict[int, str] = {}
    with warnings.catch_warnings(), Progress(*columns, console=Console(stderr=True), disable=not is_terminal) as bar:
        warnings.simplefilter("ignore")  # Pillow warns about odd metadata, which do not change the pixels
        task = bar.add_task("", total=len(rows))
        try:
            for tasks, faults in enumerate(pool.map(read_some, range(0, len(rows), IMAGES_PER_TASK)), 1):
                found |= faults
                bar.update(task, completed=min(len(rows), tasks * IMAGES_PER_TASK))
        finally:
            pool.shutdown(cancel_futures=True)
    return found


def describe_unreadable(faults: Mapping[str, str], count: int) -> str:
    """Return the line that names unreadable files, the first FILES_NAMED of them, and why they are not readable.

    Args:
        faults: the reasons by the paths of the files, at least one.
        count: number of all files.
    """
    if len(faults) == 1:
        ((path, reason),) = faults.items()
        return str(UnreadableImage(path, reason))
    named = ", ".join(f"{path!r} ({reason})" for path, reason in list(faults.items())[:FILES_NAMED])
    more = f" and {len(faults) - FILES_NAMED:,} more" if len(faults) > FILES_NAMED else ""
    return f"{len(faults):,} of {count:,} files are not readable images: {named}{more}: remove or replace them"
