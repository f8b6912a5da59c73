"""Turns arrays of a user's own, from an .npz file or a function, into a data set."""

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.data import Dataset, LabelledImages
from models.images.pixels import scale_all
from study.data.folder.names import check_class_names
from study.errors import BadInput, one_line

KEYS = ("x_train", "y_train", "x_test", "y_test")


@dataclass(frozen=True)
class Arrays:
    """Holds sound arrays whose images have any size.

    Attributes:
        classes: the names of the classes.
        train: the training images as they were given, and their labels, int64 [n].
        test: the same for the test images.
    """

    classes: tuple[str, ...]
    train: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]

    def dataset(self, title: str, image_size: int) -> Dataset:
        """Return the data set, with each image scaled to this many pixels a side."""
        train, test = (
            LabelledImages(scale_all(images, image_size), labels) for images, labels in (self.train, self.test)
        )
        return Dataset(title, self.classes, train, test)


def load_npz(path: Path, image_size: int) -> Dataset:
    """Reads an .npz file with the arrays x_train, y_train, x_test and y_test, as Keras stores them.

    An array `classes` of texts names the classes. Pickled objects are not read, because reading them runs code.

    Raises:
        BadInput: if the file cannot be read, or `checked` raises it.
    """
    return checked(_read(path, (*KEYS, "classes")), str(path)).dataset(path.stem, image_size)


def count_npz(path: Path) -> tuple[int, int, int]:
    """Return the numbers of training images, test images and classes. Raises BadInput."""
    labels = _read(path, ("y_train", "y_test"))
    return len(labels["y_train"]), len(labels["y_test"]), len(np.unique(labels["y_train"]))


def _read(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    try:
        # numpy leaves a damaged file open that it opened itself.
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            if missing := [name for name in KEYS if name not in file]:
                raise BadInput(
                    f"{str(path)!r} has no array {missing[0]}: it needs {', '.join(KEYS)}, and has"
                    f" {', '.join(file.files) or 'none'}"
                )
            return {name: file[name] for name in names if name in file}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise BadInput(f"{str(path)!r} cannot be read as arrays ({one_line(error)}): write it again") from error


def checked(arrays: Mapping[str, Any], where: str) -> Arrays:
    """Return arrays that make a data set.

    Args:
        arrays: the images x_train and x_test are uint8 [n, height, width], [n, height, width, 1] or
            [n, height, width, 3]. The labels y_train and y_test are whole numbers from 0, [n] or [n, 1]. The names of
            the classes may be in `classes`.
        where: the file or function that error lines name.

    Raises:
        BadInput: if an array is missing, or has another type or shape, or a class has no image in a part.
    """
    if missing := [name for name in KEYS if name not in arrays]:
        raise BadInput(f"{where} gives no {missing[0]}: it must give {', '.join(KEYS)}")
    parts = []
    for part in ("train", "test"):
        images, labels = np.asarray(arrays[f"x_{part}"]), np.asarray(arrays[f"y_{part}"])
        if images.dtype != np.uint8 or images.ndim not in (3, 4) or images.shape[3:] not in ((), (1,), (3,)):
            raise BadInput(
                f"x_{part} of {where} is {images.dtype} {images.shape}: give uint8 [n, height, width] or [n, height,"
                " width, 3], with values 0 to 255"
            )
        if labels.ndim == 2 and labels.shape[1] == 1:
            labels = labels[:, 0]
        if not np.issubdtype(labels.dtype, np.integer) or labels.shape != images.shape[:1]:
            raise BadInput(
                f"y_{part} of {where} is {labels.dtype} {labels.shape}: give a whole number for each of the"
                f" {len(images)} images"
            )
        parts.append((images, labels.astype(np.int64)))
    classes = _class_names(arrays.get("classes"), [labels for _, labels in parts], where)
    return Arrays(classes, *parts)


def _class_names(given: Any, labels: Sequence[np.ndarray], where: str) -> tuple[str, ...]:
    """Return the names of the classes, their numbers if none are given. Raises BadInput if names and labels differ."""
    lowest, highest = (int(end(np.concatenate(labels), initial=0)) for end in (np.min, np.max))
    names = tuple(map(str, range(highest + 1) if given is None else given))
    if lowest < 0 or highest >= len(names):
        raise BadInput(f"the labels of {where} are {lowest} to {highest}: give 0 to {len(names) - 1}")
    if len(names) < 2:
        raise BadInput(f"{where} has the one class {names[0]!r}: add at least one more")
    check_class_names(names, where)
    for part, found in zip(("train", "test"), labels, strict=True):
        if empty := sorted(set(range(len(names))) - set(found.tolist())):
            raise BadInput(f"y_{part} of {where} has no image of the class {names[empty[0]]!r}: add some")
    return names
