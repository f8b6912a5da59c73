"""Reads scikit-learn's bundled handwritten digits, which need no network."""

import numpy as np

from models.data import IMAGE_SIZE, Dataset, LabelledImages
from models.images.pixels import scale_all

# A fifth of the 1,797 images, rounded up.
TEST_IMAGES = 360


def load_digits(image_size: int = IMAGE_SIZE) -> Dataset:
    """Reads the 8x8 grey digits and scales them to square RGB images. A fixed, stratified fifth is the test set."""
    # Imported here because studies of other data sets do not need scikit-learn.
    from sklearn import datasets
    from sklearn.model_selection import train_test_split

    digits = datasets.load_digits()
    images = scale_all(np.round(digits.images * (255 / 16)).astype(np.uint8), image_size)
    labels = digits.target.astype(np.int64)
    # The seed is fixed because every study needs the same test set.
    train, test = train_test_split(np.arange(len(labels)), test_size=TEST_IMAGES, stratify=labels, random_state=0)
    parts = [LabelledImages(images[indices], labels[indices]) for indices in (np.sort(train), np.sort(test))]
    return Dataset("digits (scikit-learn)", tuple(map(str, digits.target_names)), parts[0], parts[1])
