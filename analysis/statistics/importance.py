"""The importance of each hyperparameter in a search: its share of the variance of the score, with an interval.

The variance of the true score f over the search space has a part for each hyperparameter alone, the variance of
E[f | hyperparameter] (functional ANOVA: Hutter, Hoos and Leyton-Brown, 2014). An importance is such a part divided by
their sum. f is not known. So the importance is computed on surfaces that a Gaussian process of the scores gives
(`analysis.statistics.search_luck.surfaces`), and the interval holds 95 % of the surfaces.
"""

from dataclasses import dataclass, field

import numpy as np
from threadpoolctl import threadpool_limits

from analysis.statistics.calls import CONFIDENCE
from analysis.statistics.search_luck.luck import SearchRecord, fitted_runs
from analysis.statistics.search_luck.places import Places
from analysis.statistics.search_luck.surfaces import Fit

# At least this many trials, because with fewer the interval says almost nothing (benchmarks/RESULTS.md).
LEAST_TRIALS = 16
SURFACES = 100
# Values of a hyperparameter, and configurations in which it takes them; the second is a power of 2.
LEVELS, OTHERS = 8, 8


@dataclass(frozen=True)
class ImportanceShare:
    """Holds the importance of one hyperparameter, in [0, 1], and both limits of its 95 % interval."""

    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Importance:
    """Holds the importance of each hyperparameter in one search.

    Attributes:
        trials: number of trials with a score. A trial that a rung stopped counts with its last score.
        shares: the importance of each hyperparameter that varies; the shares sum to about 1. Empty if unknown.
        reason: why the shares are unknown.
    """

    trials: int = 0
    shares: dict[str, ImportanceShare] = field(default_factory=dict)
    reason: str = ""


def importance(record: SearchRecord) -> Importance:
    """Estimate the importance of the hyperparameters of a search. Equal records give equal numbers."""
    trials = len(record.trials)
    if trials < LEAST_TRIALS:
        return Importance(trials, reason=f"it takes at least {LEAST_TRIALS} trials with a score")
    if len({run.score for run in record.trials}) == 1:
        return Importance(trials, reason="all trials have the same score")
    places = Places(record.space)
    if not len(places):
        return Importance(trials, reason="no hyperparameter varies")
    # The matrices are small, so further threads of BLAS would only wait for each other.
    with threadpool_limits(1):
        shares = _shares(record, places)
    tail = (1 - CONFIDENCE) / 2
    middle, low, high = np.quantile(shares, [0.5, tail, 1 - tail], axis=0).tolist()
    limits = zip(middle, low, high, strict=True)
    return Importance(trials, {name: ImportanceShare(*one) for name, one in zip(places.names, limits, strict=True)})


def _shares(record: SearchRecord, places: Places) -> np.ndarray:
    """Return the importance of each hyperparameter on each surface, float64 [surfaces, hyperparameters]."""
    runs, rng = fitted_runs(record)
    told, points = places.of([run.config for run in runs]), places.sweeps(LEVELS, OTHERS, rng)
    fit = Fit.of(np.array([run.score for run in runs], float), places.distances(told, told), rng)
    surfaces = fit.draw(places.distances(points, told), places.distances(points, points), SURFACES, rng)
    return main_effects(surfaces.scores.reshape(SURFACES, len(places), LEVELS, OTHERS))


def main_effects(scores: np.ndarray) -> np.ndarray:
    """Return the share of each hyperparameter in the sum of the variances that single ones explain.

    The two-way layout of values and configurations takes the interactions out of a variance.

    Args:
        scores: the score at `Places.sweeps`, float64 [surfaces, hyperparameters, values, configurations].

    Returns:
        The shares, float64 [surfaces, hyperparameters]. They are equal if nothing varies.
    """
    _, count, levels, others = scores.shape
    by_value = scores.mean(axis=3)
    additive = by_value[..., None] + scores.mean(axis=2, keepdims=True) - scores.mean(axis=(2, 3), keepdims=True)
    ms_residual = np.sum((scores - additive) ** 2, axis=(2, 3)) / ((levels - 1) * (others - 1))
    variance = np.maximum(by_value.var(axis=2, ddof=1) - ms_residual / others, 0.0)
    total = variance.sum(axis=1, keepdims=True)
    return np.asarray(np.where(total > 0, variance / np.where(total > 0, total, 1.0), 1 / count))
