"""Predicts images that are files, arrays or PIL images, with the code of `python -m study.predict`."""

import os
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from analysis.results.study_folder import StudyFolder
from models.images.pixels import FULL_DEPTH, scale_all, to_pixels
from study.data.decoding import describe_unreadable
from study.errors import BadInput
from study.predict.files import find_images, read_images
from study.predict.predictor import Predictor, load_predictor, probabilities


def predict(folder: StudyFolder, images: Any, run: str | None) -> pd.DataFrame:
    """Return the probability of each class: a row an image, a column a class.

    Args:
        images: as `Study.predict` takes them.
        run: name of the final run that predicts; None takes the winner's.

    Raises:
        BadInput: if an image cannot be read, or there is no such run.
        DamagedFile: if a file of the study is damaged.
    """
    predictor = load_predictor(folder, run)
    if predictor.warning is not None:
        warnings.warn(predictor.warning, stacklevel=4)
    names, pixels = _pixels(images, predictor)
    shares = probabilities(predictor.logits(pixels))
    return pd.DataFrame(shares, pd.Index(names, name="image"), pd.Index(predictor.classes, name="class"))


def _pixels(images: Any, predictor: Predictor) -> tuple[Sequence[Any], np.ndarray]:
    """Return the names of images and their pixels uint8 [n, size, size, 3]."""
    if isinstance(images, np.ndarray):
        shape = images.shape[-3:] if images.ndim in (3, 4) else ()
        if images.dtype != np.uint8 or not images.size or shape[-1:] not in ((1,), (3,)):
            raise BadInput(
                f"the array of images is {images.dtype} {list(images.shape)}: give uint8 [n, height, width, 3]"
            )
        return range(len(images.reshape(-1, *shape))), scale_all(images.reshape(-1, *shape), predictor.image_size)
    given: list[Any] = [images] if isinstance(images, str | os.PathLike | Image.Image) else list(images)
    if not given:
        raise BadInput("there is no image: give files, arrays or PIL images")
    if all(isinstance(image, Image.Image) for image in given):
        return range(len(given)), np.stack([_of_pil(number, image, predictor) for number, image in enumerate(given)])
    if all(isinstance(image, np.ndarray) for image in given):
        return range(len(given)), np.concatenate([_pixels(image[np.newaxis], predictor)[1] for image in given])
    if not all(isinstance(image, str | os.PathLike) for image in given):
        raise BadInput("the images must be all files, all arrays or all PIL images")
    paths, faults = find_images([os.fspath(image) for image in given])
    pixels, unread = read_images(paths, predictor.bit_depth, predictor.image_size)
    if faults | unread:
        raise BadInput(describe_unreadable(faults | unread, len(paths) + len(faults.keys() - set(paths))))
    return list(pixels), np.stack(list(pixels.values()))


def _of_pil(number: int, image: Any, predictor: Predictor) -> np.ndarray:
    try:
        return to_pixels(image, predictor.bit_depth or FULL_DEPTH, predictor.image_size).pixels
    except (OSError, ValueError) as error:
        raise BadInput(f"image {number} cannot be used ({error}): remove or replace it") from error
