"""Decodes image files of any common format to 32x32 RGB."""

import os
import sys
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from models.data import IMAGE_SHAPE
from study.errors import BadInput, one_line

# The formats that files with EXTENSIONS hold in practice. PIL is allowed no other: it runs Ghostscript on an EPS.
IMAGE_FORMATS = ("JPEG", "PNG", "PPM", "BMP", "TIFF", "WEBP", "GIF")
# A thread decodes at most 256 images at a time, so that the progress bar moves.
IMAGES_PER_TASK = 256
# At most 8 threads, because decoding small files is bound by the interpreter and gains nothing from more.
MAX_THREADS = 8


def decode_all(paths: Sequence[str], root: Path) -> np.ndarray:
    """Decodes images and shows the progress on standard error.

    Args:
        paths: the image files.
        root: the folder that the progress line names.

    Returns:
        The images in the order of the paths, uint8 [n, 32, 32, 3].

    Raises:
        BadInput: if an image cannot be read.
    """
    images = np.empty((len(paths), *IMAGE_SHAPE), dtype=np.uint8)

    def decode_some(start: int) -> int:
        some = paths[start : start + IMAGES_PER_TASK]
        for index, path in enumerate(some, start):
            images[index] = decode(path)
        return len(some)

    is_terminal = sys.stderr.isatty()
    if not is_terminal:
        print(f"Reading {len(paths):,} images from {root}", file=sys.stderr, flush=True)
    columns = (TextColumn("Reading images"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    pool = ThreadPoolExecutor(min(os.cpu_count() or 1, MAX_THREADS))
    with warnings.catch_warnings(), Progress(*columns, console=Console(stderr=True), disable=not is_terminal) as bar:
        # PIL warns about odd metadata, which does not change the pixels, and about suspiciously large images.
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        task = bar.add_task("", total=len(paths))
        try:
            for done in pool.map(decode_some, range(0, len(paths), IMAGES_PER_TASK)):
                bar.advance(task, done)
        finally:
            pool.shutdown(cancel_futures=True)
    return images


def decode(path: str) -> np.ndarray:
    """Decodes one image to uint8 [32, 32, 3]. The pixels of a 32x32 RGB image stay as they are.

    Raises:
        BadInput: if the file is not a readable image.
    """
    height, width, _ = IMAGE_SHAPE
    try:
        with Image.open(path, formats=IMAGE_FORMATS) as image:
            ImageOps.exif_transpose(image, in_place=True)
            return np.asarray(ImageOps.fit(_to_rgb(image), (width, height), Image.Resampling.BILINEAR))
    except UnidentifiedImageError as error:
        raise _unreadable(path, "it is empty or not an image") from error
    except Exception as error:  # PIL's plug-ins raise any exception on a damaged file
        raise _unreadable(path, one_line(error)) from error


def _unreadable(path: str, reason: str) -> BadInput:
    return BadInput(f"{path!r} is not a readable image ({reason}): remove or replace it")


def _to_rgb(image: Image.Image) -> Image.Image:
    """Converts an image to RGB, transparency shown on white. Raises ValueError if its pixels have no known range."""
    if image.mode == "I" and image.format == "TIFF":
        raise ValueError("32-bit pixels have no fixed range")
    if image.mode.startswith("I"):
        # PIL would clip 16-bit pixels at 255.
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError("its values exceed 16 bits")
        return Image.fromarray(np.round(values / 257).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise ValueError("floating-point pixels have no fixed range")
    if image.has_transparency_data:
        colours = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", colours.size, "white"), colours).convert("RGB")
    return image.convert("RGB")
