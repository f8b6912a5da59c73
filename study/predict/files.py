"""Finds the images that the words of a command line name, and reads them."""

import glob
import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from models.images.kinds import EXTENSIONS
from models.images.reading import UnreadableImage, read_image


def find_images(words: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Find images, in the order of the words.

    Args:
        words: files, folders and patterns such as "photos/**/*.jpg". A folder stands for the images in it and below it
            whose names end with one of EXTENSIONS, hidden ones aside. A file is taken whatever its name.

    Returns:
        The paths, each once, and the reason for each word that names no image.
    """
    found: dict[str, None] = {}
    faults: dict[str, str] = {}
    for word in words:
        paths = [word]
        if glob.has_magic(word) and not os.path.lexists(word):
            paths = sorted(glob.glob(word, recursive=True))
            if not paths:
                faults[word] = "no file matches it"
        for path in paths:
            images = sorted(_images_below(path)) if os.path.isdir(path) else [path]
            if not images:
                faults[path] = "the folder holds no image"
            found |= dict.fromkeys(images)
    return list(found), faults


def read_images(
    paths: Sequence[str], bit_depth: int | None, image_size: int
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read images as `read_image` does.

    Returns:
        The pixels uint8 [image_size, image_size, 3] by path, and the reason for each path that cannot be read.
    """

    def read(path: str) -> np.ndarray | str:
        try:
            return read_image(path, bit_depth, image_size)
        except UnreadableImage as error:
            return error.reason

    with warnings.catch_warnings(), ThreadPoolExecutor() as pool:
        warnings.simplefilter("ignore")  # Pillow warns about odd metadata, which do not change the pixels
        images = dict(zip(paths, pool.map(read, paths), strict=True))
    faults = {path: image for path, image in images.items() if isinstance(image, str)}
    return {path: image for path, image in images.items() if not isinstance(image, str)}, faults


def _images_below(folder: str) -> Iterator[str]:
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not _is_hidden(name)]
        for name in files:
            if name.lower().endswith(EXTENSIONS) and not _is_hidden(name):
                yield os.path.join(place, name)


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "@eaDir"
