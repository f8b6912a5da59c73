"""Loads the data sets that a study can run on, by name."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

from models.data import Dataset, TooFewImages, stratified_split, stratified_subset
from models.randomness import integer, stream
from study.data.digits import load_digits
from study.data.image_folder import LAYOUT, count_images, folder_classes, load_image_folder
from study.data.user_cache import user_cache
from study.errors import BadInput, unknown
from study.settings.config import CHOICES, StudyConfig

DATASETS = CHOICES["dataset"]


def check(name: str, data_dir: Path | None) -> None:
    """Checks what can be checked without reading an image or using the network.

    Raises:
        BadInput: if there is no such data set, or the folder is missing, unwanted or not laid out as needed.
    """
    if name not in DATASETS:
        raise BadInput(unknown("data set", name, DATASETS))
    if name == "digits" and data_dir is not None:
        raise BadInput("the data set digits comes with scikit-learn and takes no --data-dir: leave it out")
    if name == "folder":
        if data_dir is None:
            raise BadInput(f"--dataset folder needs --data-dir PATH, where PATH holds {LAYOUT}")
        folder_classes(data_dir)
    elif data_dir is not None and not os.path.isdir(data_dir):
        raise BadInput(f"there is no folder {str(data_dir)!r}: make it, or leave --data-dir out")


@dataclass(frozen=True)
class Sizes:
    """Counts the images of a data set and its classes."""

    train: int
    test: int
    classes: int


def sizes(config: StudyConfig) -> Sizes:
    """Count the images that a study would have, without reading or downloading one. Raises BadInput."""
    check(config.dataset, config.data_dir)
    if config.dataset == "folder":
        assert config.data_dir is not None
        found = Sizes(*count_images(config.data_dir))
    else:
        found = {"cifar10": Sizes(50_000, 10_000, 10), "digits": Sizes(1_437, 360, 10)}[config.dataset]
    return replace(found, train=config.train_size or found.train)


def load(name: str, data_dir: Path | None, bit_depth: int | None = None) -> Dataset:
    """Loads a data set.

    Args:
        name: one of DATASETS.
        data_dir: for folder, the folder that holds train/ and test/. For cifar10, the folder of torchvision's files,
            which are downloaded into it if they are missing; None is the user's cache. For digits, None.
        bit_depth: for folder, bits of the values in 16-bit images (None: as many as their largest value needs).

    Raises:
        BadInput: if `check` raises it, a file cannot be read, or a download fails. A download fails 20 s after the
            last byte arrived.
    """
    check(name, data_dir)
    if name == "digits":
        return load_digits()
    if name == "folder":
        assert data_dir is not None
        return load_image_folder(data_dir, bit_depth)
    # Imported here because torchvision takes as long to import as torch.
    from study.data.cifar10 import load_cifar10

    return load_cifar10(data_dir or user_cache())


def load_dataset(config: StudyConfig) -> Dataset:
    """Reads the data set and cuts it to --train-size. Raises BadInput if it is too small to split."""
    dataset = load(config.dataset, config.data_dir, config.bit_depth)
    try:
        if config.train_size is not None:
            seed = integer(stream(config.seed, "subset"))
            dataset = replace(dataset, train=stratified_subset(dataset.train, config.train_size, seed))
        stratified_split(dataset.train.labels, seed=0)
    except TooFewImages as error:
        flag = "" if config.train_size is None else f"--train-size {config.train_size}: "
        hint = " (--train-size none takes all)" if len(dataset.train) < (config.train_size or 0) else ""
        raise BadInput(f"{flag}{error}{hint}") from error
    return dataset
