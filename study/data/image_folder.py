"""Reads a folder of images, PATH/train/<class>/* and PATH/test/<class>/*, into arrays."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from models.data import Dataset, LabelledImages
from models.images.kinds import EXTENSIONS
from study.data.decoding import read_images
from study.errors import BadInput

LAYOUT = "train/<class>/* and test/<class>/*"


def load_image_folder(root: Path, bit_depth: int | None = None) -> Dataset:
    """Reads the images below `root`/train and `root`/test, from the cache if the files have not changed.

    Every image becomes 32x32 RGB: its central square is scaled, and transparency is shown on white. The classes are
    the folder names in sorted order. The title is the name of `root`.

    Raises:
        BadInput: if `folder_classes` raises it, a class has no image, or an image cannot be read.
    """
    classes = folder_classes(root)
    root = root.resolve()
    (train, train_labels), (test, test_labels) = (_find_images(root / part, classes) for part in ("train", "test"))
    images = read_images([*train, *test], root, bit_depth)
    # A name in a file system may be bytes that are not text.
    title = _text(root.name or str(root))
    parts = (
        LabelledImages(images.pixels[: len(train)], train_labels),
        LabelledImages(images.pixels[len(train) :], test_labels),
    )
    names = tuple(_text(os.path.relpath(path, root / "test")) for path in test)
    return Dataset(title, classes, *parts, names, images.bit_depth)


def _text(path: str) -> str:
    return os.fsencode(path).decode(errors="replace")


def count_images(root: Path) -> tuple[int, int, int]:
    """Return the numbers of training images, test images and classes. Raises BadInput as `load_image_folder` does."""
    classes = folder_classes(root)
    train, test = (len(_find_images(root / part, classes)[0]) for part in ("train", "test"))
    return train, test, len(classes)


def folder_classes(root: Path) -> tuple[str, ...]:
    """Returns the class names of a folder of images, sorted. Opens no file.

    Raises:
        BadInput: if `root` is not a folder, train/ or test/ is missing, their classes differ, or there are fewer
            than two classes.
    """
    if not os.path.isdir(root):
        raise BadInput(f"there is no folder {str(root)!r}: give --data-dir a folder that holds {LAYOUT}")
    names: dict[str, list[str]] = {}
    for part in ("train", "test"):
        folder = root / part
        if not os.path.isdir(folder):
            raise BadInput(f"there is no folder {str(folder)!r}: a data folder holds {LAYOUT}")
        try:
            names[part] = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
        except OSError as error:
            raise BadInput(f"the folder {str(folder)!r} cannot be read ({error.strerror}): make it readable") from error
        if not names[part]:
            raise BadInput(f"the folder {str(folder)!r} has no classes: a data folder holds {LAYOUT}")
    for part, other in (("train", "test"), ("test", "train")):
        if missing := sorted(set(names[part]) - set(names[other])):
            shown = ", ".join(map(repr, missing[:5])) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
            raise BadInput(
                f"train and test of {str(root)!r} have different classes (only in {part}: {shown}): give both the same"
            )
    classes = tuple(names["train"])
    if len(classes) < 2:
        raise BadInput(f"{str(root)!r} has the one class {classes[0]!r}: add at least one more")
    for name in classes:
        if not name.isprintable():
            raise BadInput(f"the class name {name!r} in {str(root)!r} is not printable text: rename the folder")
    return classes


def _find_images(folder: Path, classes: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """Finds the images of train/ or test/, class by class. Returns their paths and their labels, int64 [n].

    It finds the same files as torchvision's ImageFolder, in the same order, without torchvision's slow import.
    """
    paths: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        for place, files in sorted(_walk(folder / name)):
            paths += [os.path.join(place, file) for file in sorted(files) if file.lower().endswith(EXTENSIONS)]
        labels += [label] * (len(paths) - len(labels))
    if empty := sorted(set(range(len(classes))) - set(labels)):
        raise BadInput(
            f"{str(folder)!r} has no image in the classes {', '.join(classes[label] for label in empty)}: add files"
            f" whose names end with one of {' '.join(EXTENSIONS)}"
        )
    return paths, np.array(labels, dtype=np.int64)


def _walk(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Yields every folder below this one and the names of its files. Follows links.

    Raises:
        BadInput: if a link leads to a folder that it lies in.
    """
    for place, folders, files in os.walk(folder, followlinks=True):
        links = [path for path in (os.path.join(place, name) for name in folders) if os.path.islink(path)]
        above = {os.path.realpath(path) for path in (Path(place), *Path(place).parents)} if links else set()
        for link in links:
            if os.path.realpath(link) in above:
                raise BadInput(
                    f"the link {link!r} leads to a folder that it lies in, so its images would count many times:"
                    " remove the link"
                )
        yield place, files
