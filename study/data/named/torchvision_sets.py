"""Downloads, verifies and reads data sets through torchvision's own classes."""

import contextlib
import os
import socket
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import torchvision

from models.data import IMAGE_SIZE, Dataset, LabelledImages
from models.images.pixels import scale
from study.data.cifar10 import STALL_SECONDS, alone_in
from study.errors import BadInput, one_line

_TRAIN = ({"train": True},), {"train": False}
_SPLIT = ({"split": "train"},), {"split": "test"}
# Validation images are a tenth of the training images, so the published validation images are training images too.
_WITH_VALIDATION = ({"split": "train"}, {"split": "val"}), {"split": "test"}


@dataclass(frozen=True)
class KnownSet:
    """Describes a data set of torchvision.

    Attributes:
        sizes: the numbers of training images, test images and classes.
        parts: the arguments of torchvision's class for each part of the training set, and for the test set.
    """

    name: str
    sizes: tuple[int, int, int]
    parts: tuple[tuple[Mapping[str, Any], ...], Mapping[str, Any]] = field(default=_TRAIN)


_KNOWN = {
    known.name.lower(): known
    for known in (
        KnownSet("MNIST", (60_000, 10_000, 10)),
        KnownSet("FashionMNIST", (60_000, 10_000, 10)),
        KnownSet("KMNIST", (60_000, 10_000, 10)),
        KnownSet("USPS", (7_291, 2_007, 10)),
        KnownSet("CIFAR100", (50_000, 10_000, 100)),
        KnownSet("SVHN", (73_257, 26_032, 10), _SPLIT),
        KnownSet("STL10", (5_000, 8_000, 10), _SPLIT),
        KnownSet("GTSRB", (26_640, 12_630, 43), _SPLIT),
        KnownSet("Flowers102", (2_040, 6_149, 102), _WITH_VALIDATION),
        KnownSet("DTD", (3_760, 1_880, 47), _WITH_VALIDATION),
        KnownSet("OxfordIIITPet", (3_680, 3_669, 37), (({"split": "trainval"},), {"split": "test"})),
    )
}


def known_set(name: str) -> KnownSet:
    """Return the description of a data set by its name in torchvision, in any case. Raises BadInput."""
    if name.lower() == "cifar10":
        raise BadInput("--dataset torchvision:CIFAR10 is --dataset cifar10 here: pass that")
    if name.lower() not in _KNOWN:
        names = [known.name for known in _KNOWN.values()]
        alike = get_close_matches(name.lower(), _KNOWN, n=1, cutoff=0.7)
        advice = f"did you mean {_KNOWN[alike[0]].name}?" if alike else f"choose from {', '.join(names)}"
        raise BadInput(f"there is no data set of torchvision {name!r}: {advice}")
    return _KNOWN[name.lower()]


def load_torchvision(name: str, root: Path, image_size: int = IMAGE_SIZE) -> Dataset:
    """Reads torchvision's files below `root` and downloads them first if they are missing.

    Args:
        name: the name of the data set in torchvision, in any case.
        root: the folder of the files.
        image_size: pixels of a side that the images are scaled to.

    Raises:
        BadInput: if the name is unknown, or the files cannot be read or downloaded. A download fails STALL_SECONDS
            after the last byte arrived.
    """
    known = known_set(name)
    try:
        with contextlib.suppress(RuntimeError, FileNotFoundError):  # torchvision's errors if a file is missing
            return _read(known, root, image_size, download=False)
        root.mkdir(parents=True, exist_ok=True)
        with alone_in(root, known.name), _impatient():
            return _read(known, root, image_size, download=True)
    except Exception as error:  # torchvision's readers raise any exception on a damaged file
        raise BadInput(
            f"{known.name} cannot be read from {str(root)!r} or downloaded there ({one_line(error)}). Remove damaged"
            " files, or put torchvision's files into a folder DIR and pass --data-dir DIR, or use your own images with"
            " --dataset folder --data-dir PATH, or run offline with --dataset digits"
        ) from error


@contextlib.contextmanager
def _impatient() -> Iterator[None]:
    """Sets the time limit of new connections, because torchvision sets none."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(STALL_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _read(known: KnownSet, root: Path, image_size: int, *, download: bool) -> Dataset:
    made = getattr(torchvision.datasets, known.name)
    train_parts, test_part = known.parts
    train = [made(root, **part, download=download) for part in train_parts]
    test = made(root, **test_part, download=download)
    classes = tuple(map(str, getattr(test, "classes", range(known.sizes[2]))))
    parts = [_labelled(part, image_size) for part in (*train, test)]
    images = np.concatenate([part.images for part in parts[:-1]])
    labels = np.concatenate([part.labels for part in parts[:-1]])
    return Dataset(known.name, classes, LabelledImages(images, labels), parts[-1])


def _labelled(part: Any, image_size: int) -> LabelledImages:
    """Return the images of one part, scaled, and their labels."""
    images = np.empty((len(part), image_size, image_size, 3), np.uint8)
    labels = np.empty(len(part), np.int64)

    def read(index: int) -> None:
        image, labels[index] = part[index]
        images[index] = scale(image, image_size)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(read, range(len(part))))
    return LabelledImages(images, labels)
