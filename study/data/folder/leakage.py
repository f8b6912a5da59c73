"""Finds pictures of the test set in the training set, repeated test pictures, and pictures under two labels."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

import numpy as np

from models.data import Dataset, LabelledImages
from models.images.pixels import MOST_SHOWN_SIZE, scale_all
from study.data.folder.repeats import Signatures, near_pairs, pictures
from study.errors import BadInput

LEAKED, WITHIN_TEST, TWO_LABELS = "train and test", "within test", "two labels"
# An error line or a note names at most 3 pairs; repeats.csv in the study's folder has all of them.
_NAMED = 3
# The report shows at most 8 pairs.
_SHOWN = 8


@dataclass(frozen=True)
class Repeat:
    """Describes an image that shows the same picture as another image.

    Attributes:
        kind: LEAKED, WITHIN_TEST or TWO_LABELS.
        image: its position, in which the training images come before the test images.
        other: the position of the other image.
        is_equal: True if the pixels are equal, False if they nearly agree.
    """

    kind: str
    image: int
    other: int
    is_equal: bool


def handle_repeats(dataset: Dataset, rule: str) -> Dataset:
    """Finds repeated pictures and does with them what --duplicates says.

    Args:
        rule: "drop" leaves out training images that are also in the test set, "keep" leaves all images in, "refuse"
            raises BadInput if there is any repeated picture.

    Returns:
        The data set, with notes and the list of the repeats added to its findings.

    Raises:
        BadInput: if `rule` is "refuse" and a picture repeats, or a class would lose all its training images.
    """
    repeats = find_repeats(dataset.train, dataset.test)
    if not repeats:
        return dataset
    by_kind = {
        kind: [repeat for repeat in repeats if repeat.kind == kind] for kind in (LEAKED, WITHIN_TEST, TWO_LABELS)
    }
    notes = [_note(dataset, kind, found) for kind, found in by_kind.items() if found]
    if rule == "refuse":
        raise BadInput(f"{'; '.join(notes)}: remove the repeated images, or pass --duplicates drop or keep")
    rows = [
        (repeat.kind, _name(dataset, repeat.image), _name(dataset, repeat.other), _degree(repeat.is_equal))
        for repeat in repeats
    ]
    pairs = _pairs_to_show(dataset, repeats)
    if (leaked := by_kind[LEAKED]) and rule == "drop":
        notes[0] += ". They are left out of training"
        dataset = _without(dataset, [repeat.image for repeat in leaked])
    findings = dataset.findings
    return replace(
        dataset, findings=replace(findings, notes=(*findings.notes, *notes), repeats=tuple(rows), pairs=pairs)
    )


def find_repeats(train: LabelledImages, test: LabelledImages) -> list[Repeat]:
    """Finds the repeated pictures of a data set, at most one repeat of each kind an image.

    A picture that repeats within the training set alone, under one label, is no fault and is not listed.
    """
    n_train = len(train)
    first = pictures(train.images, test.images)
    labels = np.concatenate([train.labels, test.labels])
    equal, near = _equal_pairs(first, n_train), _near_pairs(train, test, first)
    found: dict[tuple[str, int], Repeat] = {}
    for pairs, is_equal in ((equal, True), (near, False)):
        for image, other in pairs:
            for kind in _kinds(image, other, n_train):
                found.setdefault((kind, image), Repeat(kind, image, other, is_equal))
            if labels[image] != labels[other] and (TWO_LABELS, other) not in found:
                found.setdefault((TWO_LABELS, image), Repeat(TWO_LABELS, image, other, is_equal))
    return sorted(found.values(), key=lambda repeat: (repeat.kind, repeat.image))


def _pairs_to_show(dataset: Dataset, repeats: Sequence[Repeat]) -> tuple[tuple[int, np.ndarray], ...]:
    """Chooses pairs of each kind in turn. Pictures not shown yet come first, and among them the nearly equal pairs.

    Returns:
        For each pair its position among the repeats, and both images, uint8 [2, size, size, 3].
    """
    seen = Counter[tuple[str, int]]()
    turns = []
    for repeat in repeats:
        turns.append(seen[repeat.kind, repeat.other])
        seen[repeat.kind, repeat.other] += 1
    order = sorted(range(len(repeats)), key=lambda row: (turns[row], repeats[row].is_equal))
    kinds = [[row for row in order if repeats[row].kind == kind] for kind in (LEAKED, WITHIN_TEST, TWO_LABELS)]
    rows = [row for turn in zip_longest(*kinds) for row in turn if row is not None][:_SHOWN]
    size = min(dataset.train.image_size, MOST_SHOWN_SIZE)
    both = [np.stack([_image(dataset, repeats[row].image), _image(dataset, repeats[row].other)]) for row in rows]
    return tuple((row, scale_all(images, size)) for row, images in zip(rows, both, strict=True))


def _image(dataset: Dataset, position: int) -> np.ndarray:
    n_train = len(dataset.train)
    image: np.ndarray = (
        dataset.train.images[position] if position < n_train else dataset.test.images[position - n_train]
    )
    return image


def _kinds(image: int, other: int, n_train: int) -> Iterator[str]:
    if image < n_train <= other:
        yield LEAKED
    if n_train <= other < image:
        yield WITHIN_TEST


def _equal_pairs(first: np.ndarray, n_train: int) -> Iterator[tuple[int, int]]:
    """Yields pairs of equal pictures: each image with the first one, and each training image with a test image."""
    for image, earlier in enumerate(first.tolist()):
        if earlier != image:
            yield image, earlier
    first_test: dict[int, int] = {}
    for image, picture in enumerate(first[n_train:].tolist(), n_train):
        if (other := first_test.setdefault(picture, image)) != image:
            yield image, other
    for image, picture in enumerate(first[:n_train].tolist()):
        if picture in first_test:
            yield image, first_test[picture]


def _near_pairs(train: LabelledImages, test: LabelledImages, first: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yields pairs of pictures that nearly agree, a training or the later test image first, and a test image second.

    Pairs within the training set are not looked for: they would double the time.
    """
    n_train = len(train)
    # Each picture is compared once, however often it repeats, so that its copies do not hide near pictures.
    firsts = [np.sort(np.unique(some, return_index=True)[1]) for some in (first[:n_train], first[n_train:])]
    trained, tested = (
        Signatures(part.images if len(kept) == len(part) else part.images[kept])
        for part, kept in zip((train, test), firsts, strict=True)
    )
    positions = firsts[0], firsts[1] + n_train
    copies: dict[int, list[int]] = {}
    for image, picture in enumerate(first.tolist()):
        copies.setdefault(picture, []).append(image)
    for some, others, images, other_images in (
        (trained, tested, positions[0], positions[1]),
        (tested, tested, positions[1], positions[1]),
    ):
        for a, b in near_pairs(some, others).tolist():
            image, other = int(images[a]), int(other_images[b])
            if some is others:
                image, other = max(image, other), min(image, other)
            same_part = (copy for copy in copies[int(first[image])] if (copy < n_train) == (image < n_train))
            for copy in same_part:
                yield copy, other


def _without(dataset: Dataset, leaked: Iterable[int]) -> Dataset:
    """Returns the data set without some training images. Raises BadInput if a class loses all of them."""
    kept = np.setdiff1d(np.arange(len(dataset.train)), np.fromiter(leaked, np.int64))
    labels = dataset.train.labels[kept]
    for label, name in enumerate(dataset.classes):
        if label not in labels:
            raise BadInput(
                f"every training image of the class {name!r} is also in the test set, so nothing is left to train on:"
                " give test images of their own, or pass --duplicates keep"
            )
    files = tuple(dataset.train_files[index] for index in kept) if dataset.train_files else ()
    return replace(dataset, train=LabelledImages(dataset.train.images[kept], labels), train_files=files)


def _note(dataset: Dataset, kind: str, repeats: list[Repeat]) -> str:
    n_equal = sum(repeat.is_equal for repeat in repeats)
    degree = {0: "nearly equal", len(repeats): "equal"}.get(n_equal, f"{n_equal:,} equal, the rest nearly equal")
    shown = ", ".join(f"{_name(dataset, some.image)} = {_name(dataset, some.other)}" for some in repeats[:_NAMED])
    many = len(repeats) != 1
    subject = {
        LEAKED: f"{len(repeats):,} of {len(dataset.train):,} training images {'are' if many else 'is'} also in the test"
        " set",
        WITHIN_TEST: f"{len(repeats):,} of {len(dataset.test):,} test images repeat{'' if many else 's'} another test"
        " image, so intervals are too narrow",
        TWO_LABELS: f"{len(repeats):,} image{'s' if many else ''} also {'have' if many else 'has'} another label",
    }[kind]
    return f"{subject} ({degree}; {shown}{', ...' if len(repeats) > _NAMED else ''})"


def _degree(is_equal: bool) -> str:
    return "equal" if is_equal else "nearly equal"


def _name(dataset: Dataset, position: int) -> str:
    """Returns the name of an image, such as "train/cat/7.jpg"."""
    n_train = len(dataset.train)
    part, files, index = ("train", dataset.train_files, position)
    if position >= n_train:
        part, files, index = ("test", dataset.test_files, position - n_train)
    if not files:
        return f"{part} image {index}"
    return files[index] if dataset.findings.split else f"{part}/{files[index]}"
