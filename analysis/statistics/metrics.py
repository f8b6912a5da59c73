"""Classification metrics, and the contribution of each test image to them."""

import numpy as np

METRICS = ("accuracy", "precision", "recall", "f1")


def metric_values(predictions: np.ndarray, labels: np.ndarray, n_classes: int) -> dict[str, float]:
    """Return accuracy and macro-averaged precision, recall and F1, each in [0, 1].

    A class that is never predicted has precision 0. A class that never occurs has recall 0. Both are as in scikit-learn
    with `zero_division=0`. Each of the `n_classes` classes counts in the macro averages.

    Args:
        predictions: predicted classes, int64 [n].
        labels: true classes, int64 [n].
    """
    return {name: float(values.mean()) for name, values in image_values(predictions[None], labels, n_classes).items()}


def image_values(predictions: np.ndarray, labels: np.ndarray, n_classes: int) -> dict[str, np.ndarray]:
    """Return a value for each run and image whose mean over images is the run's metric, float64 [runs, n].

    For accuracy the values are 0 and 1. For the macro averages they are the metric plus the influence function of the
    image (the infinitesimal jackknife, Efron and Tibshirani 1993, section 21). So to first order their spread over
    images is the spread of the metric over test sets.

    Args:
        predictions: predicted classes, int64 [runs, n].
        labels: true classes, int64 [n].
    """
    n = len(labels)
    classes = np.arange(n_classes)
    actual = labels[:, None] == classes
    values = {name: np.empty(predictions.shape) for name in METRICS}
    values["accuracy"][:] = predictions == labels
    for run, predicted_class in enumerate(predictions):
        predicted = predicted_class[:, None] == classes
        hit = predicted & actual
        for name, denominator, weight in (
            ("precision", predicted.astype(float), 1.0),
            ("recall", actual.astype(float), 1.0),
            ("f1", predicted.astype(float) + actual, 2.0),
        ):
            values[name][run] = _ratio_values(weight * hit, denominator, n)
    return values


def _ratio_values(numerator: np.ndarray, denominator: np.ndarray, n: int) -> np.ndarray:
    """Return the mean over classes of sum(numerator) / sum(denominator), each [n, classes], as a value an image [n]."""
    total = denominator.sum(axis=0)
    safe = np.where(total > 0, total, 1.0)
    ratio = numerator.sum(axis=0) / safe
    influence = n * (numerator - ratio * denominator) / safe
    return np.asarray((ratio + influence).mean(axis=1))
