"""Estimates the accuracy of the run that has the lowest validation loss."""

from math import comb

import numpy as np
from scipy import stats

from analysis.statistics.calls import CONFIDENCE


def expected_of_chosen(losses: np.ndarray, accuracies: np.ndarray, among: int) -> float:
    """Return the mean accuracy of the run with the lowest loss, over every subset of some runs.

    This U-statistic (Hoeffding, 1948) is unbiased for the accuracy of a run that is chosen so among that many fresh
    runs. The run of rank r, from 0, is the lowest of comb(runs - 1 - r, among - 1) subsets.

    Args:
        losses: validation loss of each run, float64 [runs]. Among equal losses the first counts as lower.
        accuracies: test accuracy of each run, float64 [runs].
        among: number of runs in a subset, 1 to the number of runs.
    """
    runs = len(losses)
    weights = np.array([comb(runs - 1 - rank, among - 1) for rank in range(runs)]) / comb(runs, among)
    return float(weights @ np.asarray(accuracies)[np.argsort(losses, kind="stable")])


def accuracy_interval(correct: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of one run's accuracy over test images (Wilson, 1927).

    Args:
        correct: true if the run is right, bool [images].
    """
    low, high = stats.binomtest(int(correct.sum()), len(correct)).proportion_ci(CONFIDENCE, method="wilson")
    return float(low), float(high)
