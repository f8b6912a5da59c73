"""Measures how well the probabilities of a network say how often it is right."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from analysis.statistics.two_way_layout import TwoWayLayout

# The usual number of bins (Guo et al., On Calibration of Modern Neural Networks, ICML 2017).
BINS = 15


@dataclass(frozen=True)
class Score:
    """Holds the mean of a score over runs, and both limits of its 95 % interval; NaN with one run."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Calibration:
    """Holds the scores of the probabilities of several runs.

    Attributes:
        ece: expected calibration error of each run, in [0, 1], float64 [runs].
        brier: sum of squared errors of the probabilities of an image, in [0, 2] (Brier, 1950).
        log_loss: cross-entropy of an image, in nats.
    """

    ece: np.ndarray
    brier: Score
    log_loss: Score


def calibration(logits: Sequence[np.ndarray], labels: np.ndarray) -> Calibration:
    """Compute the scores of the probabilities that the softmax of the logits gives.

    All of them are NaN if a logit of any run is not finite, as in a run that diverged.

    Args:
        logits: the logits of each run, float32 [images, n_classes].
        labels: true classes, int64 [images].
    """
    if not all(np.isfinite(of_run).all() for of_run in logits):
        unknown = float("nan")
        return Calibration(np.full(len(logits), unknown), *(Score(unknown, unknown, unknown) for _ in range(2)))
    ece, brier, log_loss = [], [], []
    for of_run in logits:
        log_probabilities = special.log_softmax(of_run.astype(float), axis=1)
        probabilities = np.exp(log_probabilities)
        true = np.take_along_axis(log_probabilities, labels[:, None], axis=1)[:, 0]
        log_loss.append(-true)
        brier.append((probabilities**2).sum(axis=1) - 2 * np.exp(true) + 1)
        ece.append(expected_calibration_error(probabilities.max(axis=1), of_run.argmax(axis=1) == labels))
    return Calibration(np.array(ece), _score(np.array(brier)), _score(np.array(log_loss)))


def expected_calibration_error(confidence: np.ndarray, correct: np.ndarray) -> float:
    """Return the mean distance between confidence and accuracy over BINS bins of equal width, weighted by images.

    Args:
        confidence: probability of the answer, in [0, 1], float64 [images].
        correct: true if the answer is right, bool [images].
    """
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    excess = np.bincount(bins, confidence - correct, minlength=BINS)
    return float(np.abs(excess).sum() / len(correct))


def _score(values: np.ndarray) -> Score:
    """Return the mean of an array [runs, images] with its interval over runs and images."""
    mean = float(values.mean())
    if len(values) < 2:
        return Score(mean, float("nan"), float("nan"))
    half_width = TwoWayLayout.of(values).half_width()
    return Score(mean, max(0.0, mean - half_width), mean + half_width)
