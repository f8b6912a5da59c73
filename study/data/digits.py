"""Reads scikit-learn's bundled handwritten digits, which need no network."""

import numpy as np
from PIL import Image

from models.data import IMAGE_SHAPE, Dataset, LabelledImages

# A fifth of the 1,797 images, rounded up.
TEST_IMAGES = 360


def load_digits() -> Dataset:
    """Reads the 8x8 grey digits and scales them to 32x32 RGB. A fixed, stratified fifth is the test set."""
    # Imported here because studies of other data sets do not need scikit-learn.
    from sklearn import datasets
    from sklearn.model_selection import train_test_split

    digits = datasets.load_digits()
    height, width, _ = IMAGE_SHAPE
    images = np.empty((len(digits.images), *IMAGE_SHAPE), dtype=np.uint8)
    for image, pixels in zip(images, digits.images, strict=True):
        grey = Image.fromarray(np.round(pixels * (255 / 16)).astype(np.uint8))
        image[:] = np.asarray(grey.resize((width, height), Image.Resampling.BILINEAR))[..., np.newaxis]
    labels = digits.target.astype(np.int64)
    # The seed is fixed because every study needs the same test set.
    train, test = train_test_split(np.arange(len(labels)), test_size=TEST_IMAGES, stratify=labels, random_state=0)
    parts = [LabelledImages(images[indices], labels[indices]) for indices in (np.sort(train), np.sort(test))]
    return Dataset("digits (scikit-learn)", tuple(map(str, digits.target_names)), parts[0], parts[1])
