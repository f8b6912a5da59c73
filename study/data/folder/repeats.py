"""Finds repeated pictures among decoded images: equal pixels, and copies that were scaled or compressed again.

Two images nearly agree if the distance of their pixels is at most NEAR of their own contrast. The search is a k-d tree
(SciPy) over a projection of the pixels. The projection shortens no distance wrongly: it only ever makes distances
smaller, so it loses no pair, and each pair that it proposes is checked on the pixels.
"""

import hashlib
from itertools import chain

import numpy as np

from models.data import IMAGE_SIZE
from models.images.pixels import scale_all

# At most 10 % of the contrast. A photograph that is halved, or compressed at quality 30, differs by 1 to 5 % from its
# original. Among the 1,797 digits of scikit-learn a single pair differs by less than 10 %.
NEAR = 0.1
# Two images that nearly agree are at most this far apart once each is divided by its contrast, because
# |a/|a| - b/|b|| <= 2 sin(asin(NEAR) / 2).
_RADIUS = 2 * np.sin(np.arcsin(NEAR) / 2)
# An image whose pixels deviate by less than 2 levels has no picture to compare: only equal pixels count.
_LEAST_CONTRAST = 2.0 * np.sqrt(IMAGE_SIZE * IMAGE_SIZE * 3)
# At most 4 near images of each image are looked at, so that a film of one scene takes no quadratic time.
_NEIGHBOURS = 4
_BLOCK, _DIMENSIONS = 4, 16
_IMAGES_AT_A_TIME = 500


def pictures(*parts: np.ndarray) -> np.ndarray:
    """Number the distinct pictures of some arrays of images, uint8 [n, size, size, 3].

    Returns:
        For each image the position of the first image with the same pixels, counted over all parts, int64 [total n].
    """
    first: dict[bytes, int] = {}
    digests = (hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest() for image in chain(*parts))
    return np.array([first.setdefault(digest, index) for index, digest in enumerate(digests)], dtype=np.int64)


class Signatures:
    """Holds what a search among images uint8 [n, size, size, 3] compares: the images, scaled to IMAGE_SIZE."""

    def __init__(self, images: np.ndarray) -> None:
        images = scale_all(images, IMAGE_SIZE)
        _, height, width, channels = images.shape
        n_blocks = height * width // _BLOCK**2
        self.images = images
        self.features = np.empty((len(images), n_blocks), np.float32)
        contrast = np.empty(len(images), np.float32)
        for start in range(0, len(images), _IMAGES_AT_A_TIME):
            some = images[start : start + _IMAGES_AT_A_TIME]
            rows = some.reshape(len(some), height // _BLOCK, _BLOCK, width * channels).sum(axis=2, dtype=np.uint16)
            blocks = rows.reshape(len(some), n_blocks, _BLOCK * channels).sum(axis=2, dtype=np.float32)
            total = blocks.sum(axis=1, dtype=np.float64)
            pixels = some.reshape(len(some), -1).astype(np.float32)
            squares = np.einsum("ij,ij->i", pixels, pixels).astype(np.float64)
            contrast[start : start + len(some)] = np.sqrt(np.maximum(squares - total**2 / pixels.shape[1], 0))
            # A sum over n pixels, divided by the root of n, is the length of a projection.
            projected = (blocks - blocks.mean(axis=1, keepdims=True)) / np.sqrt(_BLOCK**2 * channels)
            self.features[start : start + len(some)] = projected
        self.features /= np.maximum(contrast, 1e-6)[:, np.newaxis]
        self.usable = np.flatnonzero(contrast >= _LEAST_CONTRAST)


def near_pairs(some: Signatures, others: Signatures) -> np.ndarray:
    """Find pairs of images that nearly agree.

    Args:
        some: the images whose copies are wanted.
        others: the images among which the copies are; may be `some` itself.

    Returns:
        Positions in `some` and in `others`, int64 [pairs, 2], with at most 4 pairs an image of `some`.
    """
    # Here, because studies of published data sets do not need these.
    from scipy.spatial import cKDTree
    from threadpoolctl import threadpool_limits

    if not len(some.usable) or not len(others.usable):
        return np.empty((0, 2), np.int64)
    with threadpool_limits(1, "blas"):  # the matrices are small, and further threads would only spin
        axes = _principal_axes(others.features[others.usable])
        known, points = others.features[others.usable] @ axes, some.features[some.usable] @ axes
    tree = cKDTree(known)
    nearest = range(1, _NEIGHBOURS + 1 + (some is others))
    _, found = tree.query(points, k=nearest, distance_upper_bound=_RADIUS, workers=-1)
    rows, columns = np.nonzero(found < tree.n)
    pairs = np.column_stack([some.usable[rows], others.usable[found[rows, columns]]]).astype(np.int64)
    if some is others:
        pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    agreeing: np.ndarray = pairs[_agree(some.images, others.images, pairs)]
    return agreeing


def _principal_axes(features: np.ndarray) -> np.ndarray:
    """Return the directions in which the features differ most, orthonormal columns [64, 16]."""
    _, vectors = np.linalg.eigh(np.cov(features, rowvar=False) if len(features) > 1 else np.eye(features.shape[1]))
    axes: np.ndarray = vectors[:, -_DIMENSIONS:].astype(np.float32)
    return axes


def _agree(images: np.ndarray, others: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Return for each pair whether its pixels differ by at most NEAR of the smaller contrast of both, bool [pairs]."""
    agree = np.empty(len(pairs), bool)
    for start in range(0, len(pairs), _IMAGES_AT_A_TIME):
        some = pairs[start : start + _IMAGES_AT_A_TIME]
        first = images[some[:, 0]].reshape(len(some), -1).astype(np.float32)
        second = others[some[:, 1]].reshape(len(some), -1).astype(np.float32)
        contrast = np.minimum(first.std(axis=1), second.std(axis=1))
        agree[start : start + len(some)] = np.sqrt(np.square(first - second).mean(axis=1)) <= NEAR * contrast
    return agree
