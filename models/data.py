"""Labelled images as arrays, their split into training and validation, and their normalisation."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

# The pixels of a side, unless a study chooses another size from SMALLEST_IMAGE to LARGEST_IMAGE.
IMAGE_SIZE = 32
SMALLEST_IMAGE, LARGEST_IMAGE = 8, 224
VALIDATION_FRACTION = 0.1
# At most 500 images a sum: their squares add up in 32 bits, and the copies of the pixels stay small.
_IMAGES_A_SUM = 500


@dataclass(frozen=True)
class LabelledImages:
    """Holds images uint8 [n, size, size, 3] (height, width, RGB) and their labels int64 [n].

    Raises ValueError for arrays of other types or shapes.
    """

    images: np.ndarray
    labels: np.ndarray

    def __post_init__(self) -> None:
        size = self.images.shape[1] if self.images.ndim == 4 else 0
        if self.images.dtype != np.uint8 or self.images.shape[1:] != (size, size, 3):
            raise ValueError(f"images must be uint8 [n, size, size, 3], not {self.images.dtype} {self.images.shape}")
        if self.labels.dtype != np.int64 or self.labels.shape != self.images.shape[:1]:
            raise ValueError(f"labels must be int64 [n], not {self.labels.dtype} {self.labels.shape}")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def image_size(self) -> int:
        """Return the pixels of a side of the images."""
        return int(self.images.shape[1])


@dataclass(frozen=True)
class Findings:
    """Holds what was noticed while a data set was read. The fingerprint leaves it out.

    Attributes:
        notes: sentences for the user.
        unread: the number of files that were not read, by extension.
        repeats: a row for each repeated picture. It has "train and test", "within test" or "two labels", the names of
            two images, and "equal" or "nearly equal".
        pairs: some of the repeats to show, each with its row in `repeats` and both images, uint8 [2, size, size, 3].
        split: a row for each image that the study put into a part itself, with its file, its class, and "train" or
            "test".
    """

    notes: tuple[str, ...] = ()
    unread: Mapping[str, int] = field(default_factory=dict)
    repeats: tuple[tuple[str, str, str, str], ...] = ()
    pairs: tuple[tuple[int, np.ndarray], ...] = field(default=(), compare=False)
    split: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True)
class Dataset:
    """Holds a training and a test set over the same classes.

    Attributes:
        title: name shown in reports.
        classes: class names; a label is an index into them.
        test_files: the name of each test image's file, if the images are files. The fingerprint leaves it out.
        train_files: the same for the training images.
        findings: sentences and tables for the user about the files and the pictures.
        bit_depth: bits that the values of 16-bit images were read with, if there are such images.
    """

    title: str
    classes: tuple[str, ...]
    train: LabelledImages
    test: LabelledImages
    test_files: tuple[str, ...] = ()
    train_files: tuple[str, ...] = ()
    findings: Findings = Findings()
    bit_depth: int | None = None

    def fingerprint(self) -> str:
        """Return the SHA-256 of the class names and of every image and label, as 64 hexadecimal digits."""
        digest = hashlib.sha256(json.dumps(self.classes).encode())
        for part in (self.train, self.test):
            digest.update(f"|{len(part)}|".encode())
            digest.update(np.ascontiguousarray(part.images).data)
            digest.update(np.ascontiguousarray(part.labels).data)
        return digest.hexdigest()


@dataclass(frozen=True)
class Split:
    """Holds disjoint index arrays, int64 and sorted, into one set of labelled images."""

    train: np.ndarray
    validation: np.ndarray


class TooFewImages(ValueError):
    """Says that a class has fewer images than a split needs; `label` is that class if it is a single one."""

    def __init__(self, message: str, label: int | None = None) -> None:
        super().__init__(message)
        self.label = label


def stratified_split(labels: np.ndarray, seed: int) -> Split:
    """Set aside a tenth of the images for validation, the classes in proportion.

    Args:
        labels: int64 [n].
        seed: at least 0.

    Raises:
        TooFewImages: if some class would be missing on one side.
    """
    validation = _draw_in_proportion(labels, round(VALIDATION_FRACTION * len(labels)), seed)
    train = np.setdiff1d(np.arange(len(labels)), validation)
    n_classes, *on_sides = (len(np.unique(part)) for part in (labels, labels[train], labels[validation]))
    if not len(validation) or min(on_sides) < n_classes:
        present, counts = np.unique(labels, return_counts=True)
        smallest = min(counts, default=0)
        if smallest >= 2 and len(validation) < n_classes:
            raise TooFewImages(
                f"a tenth of the {len(labels):,} training images is {len(validation):,} for validation, too few for"
                f" {n_classes:,} classes; use more images or fewer classes"
            )
        raise TooFewImages(
            f"the smallest class has {smallest} of {len(labels)} training images: too few to be in both the training"
            f" and the validation part; use more images",
            int(present[counts.argmin()]) if len(present) else None,
        )
    return Split(train, validation)


def stratified_subset(data: LabelledImages, size: int, seed: int) -> LabelledImages:
    """Keep `size` images, the classes in proportion; `size` equal to the number of images keeps all.

    Raises:
        TooFewImages: if there are fewer images than `size`, or `size` leaves a class empty.
    """
    if size > len(data):
        raise TooFewImages(f"{size} training images were asked for and there are {len(data)}")
    if size == len(data):
        return data
    kept = _draw_in_proportion(data.labels, size, seed)
    n_classes = len(np.unique(data.labels))
    if len(np.unique(data.labels[kept])) < n_classes:
        raise TooFewImages(f"{size} training images, the classes in proportion, cannot hold all {n_classes} classes")
    return LabelledImages(data.images[kept], data.labels[kept])


def _draw_in_proportion(labels: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Return the sorted indices of `size` images, each class in proportion.

    Images left over by rounding down go to classes that have none yet, then to the largest remainders, then by lot. So
    every class gets an image, whatever the seed, if `size` is at least the number of classes.
    """
    rng = np.random.default_rng(seed)
    classes, counts = np.unique(labels, return_counts=True)
    shuffled = [rng.permutation(np.flatnonzero(labels == label)) for label in classes]
    quota, remainder = np.divmod(counts * size, max(1, len(labels)))
    order = np.lexsort((rng.random(len(classes)), -remainder, quota > 0))
    quota[order[: size - quota.sum()]] += 1
    drawn = [indices[:n] for indices, n in zip(shuffled, quota, strict=True)]
    return np.sort(np.concatenate([np.empty(0, np.int64), *drawn]))


@dataclass(frozen=True)
class ChannelStatistics:
    """Holds mean and standard deviation of each colour channel, float32 [3], in units of pixel values 0 to 255."""

    mean: np.ndarray
    deviation: np.ndarray


def channel_statistics(images: np.ndarray) -> ChannelStatistics:
    """Return the statistics of uint8 images [n, size, size, 3]; the deviation of a constant channel is given as 1."""
    sums, squares = np.zeros(3, np.int64), np.zeros(3, np.int64)
    for start in range(0, len(images), _IMAGES_A_SUM):
        part = images[start : start + _IMAGES_A_SUM]
        sums += part.sum(axis=0, dtype=np.uint32).sum((0, 1), dtype=np.int64)
        squares += np.square(part, dtype=np.uint16).sum(axis=0, dtype=np.uint32).sum((0, 1), dtype=np.int64)
    n_pixels = images[..., 0].size
    mean = sums / n_pixels
    variance = squares / n_pixels - mean**2
    deviation = np.sqrt(np.maximum(variance, 0.0))
    return ChannelStatistics(mean.astype(np.float32), np.where(deviation > 1e-6, deviation, 1.0).astype(np.float32))


@dataclass(frozen=True)
class TrainingData:
    """Holds the images of one training run, its split of them, and their normalisation.

    Attributes:
        source: images that the split indexes; may be read-only and shared between processes.
        n_classes: number of classes, which may exceed the largest label.
    """

    source: LabelledImages
    split: Split
    n_classes: int
    statistics: ChannelStatistics

    @classmethod
    def from_split(cls, source: LabelledImages, split: Split, n_classes: int) -> "TrainingData":
        """Return the data with the channel statistics of the split's training part."""
        return cls(source, split, n_classes, channel_statistics(source.images[split.train]))
