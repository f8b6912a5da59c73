"""Finds the images that the words of a command line name."""

import glob
import os
from collections.abc import Iterator, Sequence

from models.images.kinds import EXTENSIONS


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


def _images_below(folder: str) -> Iterator[str]:
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not _is_hidden(name)]
        for name in files:
            if name.lower().endswith(EXTENSIONS) and not _is_hidden(name):
                yield os.path.join(place, name)


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "@eaDir"
