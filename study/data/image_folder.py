"""Reads a folder of images, train/<class>/* and test/<class>/* or <class>/*, into arrays."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from models.data import Dataset, Findings, LabelledImages
from study.data.decoding import read_images
from study.data.folder.layout import Layout, find_layout
from study.data.folder.listing import Listing, counted, list_images
from study.data.folder.splitting import group_numbers, split_images
from study.settings.config import StudyConfig

_DEFAULTS = StudyConfig()


def load_image_folder(root: Path, config: StudyConfig = _DEFAULTS) -> Dataset:
    """Reads the images below a folder, from the cache if the files have not changed.

    Every image becomes square RGB pixels: its central square is scaled, and transparency is shown on white. The classes
    are the folder names in natural order. The title is the name of the folder. A folder without train/ and test/ is
    split.

    Args:
        root: the folder.
        config: its test_share, test_seed and group_by say how a folder of classes is split, its bit_depth how 16-bit
            images are read, and its image_size what they are scaled to.

    Raises:
        BadInput: if `find_layout` or `list_images` raises it, an image cannot be read, or a class cannot be split.
    """
    layout = find_layout(root)
    listings = _list(layout)
    paths = [os.path.abspath(path) for listing in listings.values() for path in listing.paths]
    home = Path(os.path.abspath(layout.root))
    images = read_images(paths, home, config.bit_depth, config.image_size)
    findings = _findings(layout, listings.values())
    title = _text(layout.root.resolve().name or str(layout.root.resolve()))
    if "all" in listings:
        dataset = _split(layout, listings["all"], images.pixels, title, findings, config)
    else:
        names = {part: _names(listing.paths, layout.parts[part]) for part, listing in listings.items()}
        n_train = len(names["train"])
        train = LabelledImages(images.pixels[:n_train], listings["train"].labels)
        test = LabelledImages(images.pixels[n_train:], listings["test"].labels)
        dataset = Dataset(title, layout.classes, train, test, names["test"], names["train"], findings)
    return replace(dataset, bit_depth=images.bit_depth)


def count_images(root: Path, test_share: float) -> tuple[int, int, int]:
    """Return the numbers of training images, test images and classes. Raises BadInput as `load_image_folder` does.

    Repeated pictures that are left out later are counted.
    """
    layout = find_layout(root)
    counts = {part: len(listing.paths) for part, listing in _list(layout).items()}
    n_test = counts.get("test", round(test_share * counts.get("all", 0)))
    return counts.get("train", counts.get("all", 0) - n_test), n_test, len(layout.classes)


def _list(layout: Layout) -> dict[str, Listing]:
    return {part: list_images(layout.parts[part], folders) for part, folders in layout.folders.items()}


def _split(
    layout: Layout, listing: Listing, images: np.ndarray, title: str, findings: Findings, config: StudyConfig
) -> Dataset:
    """Returns the images of one folder of classes as a training and a test set."""
    files = _names(listing.paths, layout.root)
    groups = group_numbers(files, config.group_by)
    in_test = split_images(images, listing.labels, layout.classes, groups, config.test_share, config.test_seed)
    rows = [
        (file, layout.classes[label], "test" if is_test else "train")
        for file, label, is_test in zip(files, listing.labels, in_test, strict=True)
    ]
    note = f"There is no train/ and test/: the study chose {in_test.sum():,} of {len(files):,} images as the test set"
    findings = replace(findings, notes=(note, *findings.notes), split=tuple(rows))
    parts = [np.flatnonzero(~in_test), np.flatnonzero(in_test)]
    train, test = (LabelledImages(images[index], listing.labels[index]) for index in parts)
    train_files, test_files = (tuple(files[position] for position in index) for index in parts)
    return Dataset(title, layout.classes, train, test, test_files, train_files, findings)


def _findings(layout: Layout, listings: Iterable[Listing]) -> Findings:
    unread = sum((listing.unread for listing in listings), Counter(layout.unread))
    notes = layout.notes
    if unread:
        count = unread.total()
        notes += (f"{count:,} file{'s are' if count > 1 else ' is'} not read: {counted(unread)}",)
    return Findings(notes, dict(unread))


def _names(paths: Sequence[str], folder: Path) -> tuple[str, ...]:
    return tuple(_text(os.path.relpath(path, folder)) for path in paths)


def _text(path: str) -> str:
    """Returns a file's name as text. A name in a file system may be bytes that are not text."""
    return os.fsencode(path).decode(errors="replace")
