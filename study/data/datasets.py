"""Loads the data sets that a study can run on, by name."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

from models.data import Dataset, TooFewImages, stratified_split, stratified_subset
from models.randomness import integer, stream
from study.data.digits import load_digits
from study.data.folder.layout import LAYOUT, find_layout, holds_images
from study.data.folder.leakage import handle_repeats
from study.data.folder.names import is_text
from study.data.folder.splitting import compiled_pattern
from study.data.image_folder import count_images, load_image_folder
from study.data.named.arrays import count_npz, load_npz
from study.data.named.own_function import call_function, find_function
from study.data.user_cache import user_cache
from study.errors import BadInput, unknown
from study.settings.check import CHOICES
from study.settings.config import StudyConfig

DATASETS = CHOICES["dataset"]
TORCHVISION = "torchvision:"


def check(config: StudyConfig) -> None:
    """Checks what can be checked without reading an image or using the network.

    Raises:
        BadInput: if there is no such data set, the folder is missing, unwanted or not laid out as needed, or a setting
            does not fit the data set.
    """
    name, data_dir = config.dataset, config.data_dir
    if config.title is not None and not (is_text(config.title) and config.title.strip()):
        raise BadInput(f"--title {config.title!r} is not printable text: choose another")
    is_split = False
    if name.startswith(TORCHVISION):
        # Here and below, because torchvision takes as long to import as torch.
        from study.data.named.torchvision_sets import known_set

        known_set(name.removeprefix(TORCHVISION))
    elif ":" in name:
        if data_dir is not None:
            raise BadInput(f"--dataset {name} is a function and takes no --data-dir: leave it out")
        find_function(name)
    elif name not in DATASETS:
        raise BadInput(unknown("data set", name, DATASETS))
    if name == "digits" and data_dir is not None:
        raise BadInput(
            "the data set digits comes with scikit-learn and takes no --data-dir: leave it out, or add --dataset folder"
        )
    if name == "folder":
        if data_dir is None:
            raise BadInput(f"--dataset folder needs --data-dir PATH, where PATH holds {LAYOUT}")
        is_split = not _is_npz(data_dir) and "all" in find_layout(data_dir).parts
    elif data_dir is not None:
        if not os.path.isdir(data_dir):
            raise BadInput(f"there is no folder {str(data_dir)!r}: make it, or leave --data-dir out")
        if holds_images(data_dir):
            raise BadInput(
                f"{str(data_dir)!r} holds images in folders, and --data-dir is where {name} is downloaded to: add"
                " --dataset folder to study these images"
            )
    _check_split(config, is_split)


def _check_split(config: StudyConfig, is_split: bool) -> None:
    """Raises BadInput if a setting of the split is bad, or is given for data that have a test set."""
    if config.group_by is not None:
        compiled_pattern(config.group_by)
    for field, default in (("test_share", StudyConfig.test_share), ("test_seed", 0), ("group_by", None)):
        if not is_split and getattr(config, field) != default:
            flag = "--" + field.replace("_", "-")
            raise BadInput(f"{flag} is for a folder of classes without train/ and test/: leave it out")


@dataclass(frozen=True)
class Sizes:
    """Counts the images of a data set and its classes."""

    train: int
    test: int
    classes: int


def sizes(config: StudyConfig) -> Sizes:
    """Count the images that a study would have, without reading or downloading one. Raises BadInput.

    A function of the user's own is called.
    """
    check(config)
    if config.dataset == "folder":
        assert config.data_dir is not None
        is_npz = _is_npz(config.data_dir)
        found = Sizes(*(count_npz(config.data_dir) if is_npz else count_images(config.data_dir, config.test_share)))
    elif config.dataset.startswith(TORCHVISION):
        from study.data.named.torchvision_sets import known_set

        found = Sizes(*known_set(config.dataset.removeprefix(TORCHVISION)).sizes)
    elif ":" in config.dataset:
        arrays = call_function(config.dataset)
        found = Sizes(len(arrays.train[1]), len(arrays.test[1]), len(arrays.classes))
    else:
        found = {"cifar10": Sizes(50_000, 10_000, 10), "digits": Sizes(1_437, 360, 10)}[config.dataset]
    return replace(found, train=config.train_size or found.train)


def load(name: str, data_dir: Path | None) -> Dataset:
    """Loads a data set by its name, with the other settings at their defaults. Raises BadInput as `read` does."""
    return read(StudyConfig(dataset=name, data_dir=data_dir))


def read(config: StudyConfig) -> Dataset:
    """Reads the data set that the settings name.

    Published data sets stay as they are published. In the user's own images, repeated pictures are found.

    Raises:
        BadInput: if `check` raises it, a file cannot be read, a download fails, or pictures repeat and may not. A
            download fails 20 s after the last byte arrived.
    """
    check(config)
    dataset = _read(config)
    if config.dataset == "folder" or (":" in config.dataset and not config.dataset.startswith(TORCHVISION)):
        dataset = handle_repeats(dataset, config.duplicates)
    return dataset if config.title is None else replace(dataset, title=config.title)


def _read(config: StudyConfig) -> Dataset:
    name, data_dir, size = config.dataset, config.data_dir, config.image_size
    if name == "digits":
        return load_digits(size)
    if name == "folder":
        assert data_dir is not None
        return load_npz(data_dir, size) if _is_npz(data_dir) else load_image_folder(data_dir, config)
    if name.startswith(TORCHVISION):
        from study.data.named.torchvision_sets import load_torchvision

        return load_torchvision(name.removeprefix(TORCHVISION), data_dir or user_cache(), size)
    if ":" in name:
        return call_function(name).dataset(name.partition(":")[2], size)
    from study.data.cifar10 import load_cifar10

    return load_cifar10(data_dir or user_cache(), size)


def load_dataset(config: StudyConfig) -> Dataset:
    """Reads the data set and cuts it to --train-size. Raises BadInput if it is too small to split."""
    dataset = read(config)
    try:
        if config.train_size is not None:
            chosen_by = config.seed if config.train_seed is None else config.train_seed
            seed = integer(stream(chosen_by, "subset"))
            subset = stratified_subset(dataset.train, config.train_size, seed)
            files = dataset.train_files if subset is dataset.train else ()
            dataset = replace(dataset, train=subset, train_files=files)
        stratified_split(dataset.train.labels, seed=0)
    except TooFewImages as error:
        flag = "" if config.train_size is None else f"--train-size {config.train_size}: "
        named = "" if error.label is None else f" (class {dataset.classes[error.label]!r})"
        hint = " (--train-size none takes all)" if len(dataset.train) < (config.train_size or 0) else ""
        raise BadInput(f"{flag}{error}{named}{hint}") from error
    return dataset


def _is_npz(path: Path) -> bool:
    return path.suffix.lower() == ".npz" and path.is_file()
