"""Compares two networks by their predictions of the same test images: macro averages, and the errors they share."""

from dataclasses import dataclass

import numpy as np

from analysis.statistics.metrics import image_values
from analysis.statistics.two_way_layout import TwoWayLayout

# At least 10 answers with each class in each run. With fewer, the linear approximation of macro precision is too poor.
FEW_ANSWERS = 10
# At least 200 resamples, because then the deviation is known to 5 %.
RESAMPLES = 200


@dataclass(frozen=True)
class MetricDifference:
    """Holds the difference in a metric, A minus B, in [-1, 1], and both limits of its 95 % interval."""

    mean: float
    low: float
    high: float


def metric_differences(
    predictions_a: np.ndarray, predictions_b: np.ndarray, labels: np.ndarray, n_classes: int, *, paired: bool = False
) -> dict[str, MetricDifference]:
    """Return the differences in macro precision, recall and F1, with intervals over seeds and test images.

    A value of an image is the metric plus the image's influence, as in `image_values`. If a run gives some class as the
    answer for fewer than FEW_ANSWERS images, the influences make the interval of macro precision too narrow. Then it is
    as many times wider as the deviation over bootstrapped test images is larger (Efron and Tibshirani, 1993).

    Args:
        predictions_a: predicted classes of network A, int64 [seeds >= 2, images].
        predictions_b: the same for network B, with the same seeds and images.
        labels: true classes, int64 [images].
        n_classes: number of classes.
        paired: true if runs of the same seed are correlated, as in `compare`.
    """
    a, b = (image_values(predictions, labels, n_classes) for predictions in (predictions_a, predictions_b))
    found = {}
    for name in ("precision", "recall", "f1"):
        values = a[name] - b[name]
        layout = TwoWayLayout.between(a[name], b[name], paired=paired)
        half_width = layout.half_width()
        if name == "precision" and _least_answers(predictions_a, predictions_b, n_classes) < FEW_ANSWERS:
            by_influence = values.mean(axis=0).std() / np.sqrt(len(labels))
            bootstrapped = _precision_deviation(predictions_a, predictions_b, labels, n_classes)
            half_width *= max(1.0, bootstrapped / by_influence) if by_influence > 0 else 1.0
        found[name] = MetricDifference(
            layout.mean, max(-1.0, layout.mean - half_width), min(1.0, layout.mean + half_width)
        )
    return found


def error_kappa(correct_a: np.ndarray, correct_b: np.ndarray) -> float:
    """Return Cohen's (1960) kappa of the errors of paired runs, as a mean over seeds.

    It is 1 if both networks are wrong on the same images, and 0 if they share as many errors as chance gives. A pair in
    which both never err, or always err, does not count. NaN if no pair counts.

    Args:
        correct_a: true if network A is right, bool [seeds, images].
        correct_b: the same for network B, with the same seeds and images.
    """
    a, b = correct_a.mean(axis=1), correct_b.mean(axis=1)
    by_chance = a * b + (1 - a) * (1 - b)
    agree = (correct_a == correct_b).mean(axis=1)
    counts = by_chance < 1
    if not counts.any():
        return float("nan")
    return float(((agree[counts] - by_chance[counts]) / (1 - by_chance[counts])).mean())


def _least_answers(predictions_a: np.ndarray, predictions_b: np.ndarray, n_classes: int) -> int:
    runs = (*predictions_a, *predictions_b)
    return min(int(np.bincount(run, minlength=n_classes).min()) for run in runs)


def _precision_deviation(
    predictions_a: np.ndarray, predictions_b: np.ndarray, labels: np.ndarray, n_classes: int
) -> float:
    """Return the standard deviation of the difference in macro precision over bootstrapped test images."""
    runs = np.concatenate([predictions_a, predictions_b])
    (n_runs, n_images), rng = runs.shape, np.random.default_rng(0)
    cells = (n_classes * np.arange(n_runs)[:, None] + runs).ravel()
    is_hit, differences = runs == labels, np.empty(RESAMPLES)
    for index in range(RESAMPLES):
        weights = np.bincount(rng.integers(n_images, size=n_images), minlength=n_images)
        answers, hits = (
            np.bincount(cells, of_images.ravel(), n_runs * n_classes)
            for of_images in (np.broadcast_to(weights, runs.shape), is_hit * weights)
        )
        precision = np.divide(hits, answers, out=np.zeros_like(hits), where=answers > 0).reshape(n_runs, -1)
        macro = precision.mean(axis=1)
        differences[index] = macro[: len(predictions_a)].mean() - macro[len(predictions_a) :].mean()
    return float(differences.std())
