"""How much accuracy a search that stops at some epoch is expected to lose, compared with the best configuration.

A repetition's loss is the best expected score minus the expected score of the configuration that it would choose. Both
are smoothed over configurations and over the seeds of each (benchmarks/smoothed_curves.py), so a lucky run gains
nothing. A search that has chosen nothing yet would have to draw a configuration by lot.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.replay import Played

RESAMPLES = 2_000


@dataclass(frozen=True)
class Comparison:
    """Compares the mean losses of one side's searches and of random search.

    Attributes:
        expected_loss: mean loss at the end of the search, in points of accuracy.
        expected_loss_ci95: its 95 % interval.
        epochs_to_random: epochs, counted over all trials, from which on the mean loss is at most what random search
            loses at its end; infinite if it never is.
        epochs_to_random_ci95: its 95 % interval.
    """

    expected_loss: float
    expected_loss_ci95: tuple[float, float]
    epochs_to_random: float
    epochs_to_random_ci95: tuple[float, float]


def losses(played: Sequence[Played], best: float, by_lot: float) -> np.ndarray:
    """Returns the loss after each epoch, float64 [repetitions, epochs], in points of accuracy.

    Args:
        played: repetitions of one side's search.
        best: highest expected score of all configurations, in [0, 1].
        by_lot: mean expected score of all configurations, in [0, 1].
    """
    expected = np.full((len(played), max(one.epochs for one in played)), by_lot)
    for row, one in zip(expected, played, strict=True):
        for choice in one.choices:
            row[choice.epochs - 1 :] = choice.expected
    return np.asarray(100 * (best - expected))


def compare(lost: np.ndarray, lost_by_random: np.ndarray) -> Comparison:
    """Compares a side with random search at its end.

    The intervals are percentiles over resampled repetitions (Efron & Tibshirani, 1993), which both sides share.

    Args:
        lost: loss of the side after each epoch, float64 [repetitions, epochs].
        lost_by_random: the same of random search, float64 [repetitions, epochs].
    """
    count = len(lost)
    drawn = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), RESAMPLES) / count
    means, levels = drawn @ lost, drawn @ lost_by_random[:, -1]
    epochs = [_epochs_to(mean, level) for mean, level in zip(means, levels, strict=True)]
    return Comparison(
        float(lost[:, -1].mean()),
        _interval(means[:, -1]),
        _epochs_to(lost.mean(axis=0), float(lost_by_random[:, -1].mean())),
        _interval(epochs),
    )


def _epochs_to(mean: np.ndarray, level: float) -> float:
    """Returns the number of epochs from which on the mean loss never exceeds the level."""
    above = np.flatnonzero(mean > level + 1e-9)
    after = int(above[-1]) + 2 if len(above) else 1
    return after if after <= len(mean) else np.inf


def _interval(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(values, (0.025, 0.975), method="inverted_cdf")
    return float(low), float(high)
