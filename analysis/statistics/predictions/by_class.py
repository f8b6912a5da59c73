"""Compares two networks class by class, with intervals over seeds and test images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.statistics.comparison import holm
from analysis.statistics.two_way_layout import TwoWayLayout, proportion_interval


@dataclass(frozen=True)
class RecallDifferences:
    """Holds the difference in recall between two networks for each class, A minus B, float64 [n_classes].

    A class with fewer than 2 test images has NaN.

    Attributes:
        mean: mean difference, in [-1, 1].
        low: lower limit of its 95 % interval over seeds and the test images of the class.
        high: upper limit.
        holm_p: p value of no difference, adjusted for the number of classes (Holm, 1979).
    """

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    holm_p: np.ndarray


def recall_differences(
    correct_a: np.ndarray, correct_b: np.ndarray, labels: np.ndarray, n_classes: int, *, paired: bool = False
) -> RecallDifferences:
    """Compare the recall of each class, which is the accuracy on its test images.

    Args:
        correct_a: true if network A is right, bool [seeds >= 2, images].
        correct_b: the same for network B, with the same seeds and images.
        labels: true classes, int64 [images].
        n_classes: number of classes.
        paired: true if runs of the same seed are correlated, as in `compare`.
    """
    a, b = (correct.astype(np.int8) for correct in (correct_a, correct_b))
    found = np.full((4, n_classes), np.nan)
    for index in np.flatnonzero(np.bincount(labels, minlength=n_classes) >= 2):
        layout = TwoWayLayout.between(a[:, labels == index], b[:, labels == index], paired=paired)
        half_width = layout.half_width()
        low, high = max(-1.0, layout.mean - half_width), min(1.0, layout.mean + half_width)
        found[:, index] = layout.mean, low, high, layout.p_value()
    return RecallDifferences(found[0], found[1], found[2], np.array(holm(found[3].tolist())))


def f1_intervals(predictions: np.ndarray, labels: np.ndarray, n_classes: int, chosen: Sequence[int]) -> np.ndarray:
    """Return both limits of the `f1_interval` of some classes, float64 [2, n_classes].

    The limits of the other classes are NaN, and so are the limits of a class without a test image.
    """
    limits, images = np.full((2, n_classes), np.nan), np.bincount(labels, minlength=n_classes)
    for index in chosen:
        if images[index]:
            limits[:, index] = f1_interval(predictions, labels, index)
    return limits


def f1_interval(predictions: np.ndarray, labels: np.ndarray, index: int) -> tuple[float, float]:
    """Return the 95 % interval of the F1 of one class; NaN with one seed.

    The F1 varies over images by its influence function, as in `image_values`.

    Args:
        predictions: predicted classes, int64 [seeds, images].
        labels: true classes, int64 [images].
        index: the class, which has at least one test image.
    """
    actual, predicted = labels == index, predictions == index
    total = predicted + actual.astype(float)
    hits = 2.0 * (predicted & actual)
    answers = total.sum(axis=1, keepdims=True)
    f1 = hits.sum(axis=1, keepdims=True) / answers
    return proportion_interval(f1 + len(labels) * (hits - f1 * total) / answers)
