"""Reads scikit-learn's bundled handwritten digits, which need no network."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from models.data import IMAGE_SIZE, Dataset, LabelledImages
from models.images.pixels import scale_all

# One bit for each image, 1 for the test set: the 360 images that scikit-learn's `train_test_split` chooses, the classes
# in proportion, with `random_state=0`.
_TEST = bytes.fromhex(
    "000004883524104000064100934205001a00080100240028062c12001000940a009019120420f8a0028110a000080a88204415244942"
    "40a00a0000004004d80000818020004805c400104008a0100005404800301000020ec409000224840083a8013c20a6980a0000000b08"
    "400804a0184802024041c1008004404684376a810216004480004042a0a4180a5000840b8561c608108008004c80c02004068e000108"
    "82008100380803c008190000100e01008410a0210033282904c044c080680e0102830082008822a6402c24042108a860809081a00c02"
    "820242120138a41500"
)


def load_digits(image_size: int = IMAGE_SIZE) -> Dataset:
    """Reads the 8x8 grey digits and scales them to square RGB images. A fixed, stratified fifth is the test set."""
    table = np.loadtxt(_bundled(), np.uint8, delimiter=",")
    pixels, labels = table[:, :-1].reshape(-1, 8, 8), table[:, -1].astype(np.int64)
    images = scale_all(np.round(pixels * (255 / 16)).astype(np.uint8), image_size)
    is_test = np.unpackbits(np.frombuffer(_TEST, np.uint8), count=len(labels)).astype(bool)
    train, test = (LabelledImages(images[part], labels[part]) for part in (~is_test, is_test))
    return Dataset("digits (scikit-learn)", tuple(map(str, range(10))), train, test)


def _bundled() -> Path:
    """Returns the file of the digits, with a row for each image: its 64 pixels and its class."""
    # Without an import of scikit-learn, which would delay the first step by a second.
    spec = find_spec("sklearn")
    assert spec is not None and spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0], "datasets", "data", "digits.csv.gz")
