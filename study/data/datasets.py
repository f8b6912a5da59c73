"""The data sets that a study can run on, by name."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from platformdirs import user_cache_path

from models.data import IMAGE_SHAPE, Dataset, LabelledImages, TooFewImages, stratified_split, stratified_subset
from models.randomness import integer, stream
from study.data.image_folder import LAYOUT, folder_classes, load_image_folder
from study.errors import BadInput
from study.settings.config import StudyConfig

DATASETS = ("cifar10", "digits", "folder")
DIGITS_TEST_IMAGES = 360


def check(name: str, data_dir: Path | None) -> None:
    """Raises BadInput for what can be seen to be wrong without reading an image or touching the network."""
    if name not in DATASETS:
        raise BadInput(f"unknown data set {name!r}: choose from {', '.join(DATASETS)}")
    if name == "digits" and data_dir is not None:
        raise BadInput("the data set digits comes with scikit-learn and takes no --data-dir")
    if name == "folder":
        if data_dir is None:
            raise BadInput(f"--dataset folder needs --data-dir PATH, where PATH holds {LAYOUT}")
        folder_classes(data_dir)
    elif data_dir is not None and not os.path.isdir(data_dir):
        raise BadInput(f"there is no folder {str(data_dir)!r}")


def load(name: str, data_dir: Path | None) -> Dataset:
    """Loads a data set.

    Args:
        name: one of DATASETS.
        data_dir: folder: where its train/ and test/ are. cifar10: where torchvision's files are, or are put; None is
            the user's cache. digits: None.

    Raises:
        BadInput: as `check` does, and if a file cannot be read or a download cannot be made, the latter
            20 s after the last sign of life.
    """
    check(name, data_dir)
    if name == "digits":
        return _load_digits()
    if name == "folder":
        assert data_dir is not None
        return load_image_folder(data_dir)
    # Here, since torchvision takes as long to import as torch.
    from study.data.cifar10 import load_cifar10

    return load_cifar10(data_dir or user_cache_path("netverdict"))


def load_dataset(config: StudyConfig) -> Dataset:
    """Reads the data set and cuts it to --train-size. Raises BadInput if it is too small to split."""
    dataset = load(config.dataset, config.data_dir)
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


def _load_digits() -> Dataset:
    # Here, since other studies would wait for scikit-learn in vain.
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    height, width, _ = IMAGE_SHAPE
    images = np.empty((len(digits.images), *IMAGE_SHAPE), dtype=np.uint8)
    for image, pixels in zip(images, digits.images, strict=True):
        grey = Image.fromarray(np.round(pixels * (255 / 16)).astype(np.uint8))
        image[:] = np.asarray(grey.resize((width, height), Image.Resampling.BILINEAR))[..., np.newaxis]
    labels = digits.target.astype(np.int64)
    # The test set is the same in every study, so its seed is no setting.
    train, test = train_test_split(
        np.arange(len(labels)), test_size=DIGITS_TEST_IMAGES, stratify=labels, random_state=0
    )
    parts = [LabelledImages(images[indices], labels[indices]) for indices in (np.sort(train), np.sort(test))]
    return Dataset("digits (scikit-learn)", tuple(map(str, digits.target_names)), *parts)
