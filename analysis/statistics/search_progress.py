"""What a search came to as it went on: its rungs and its best score, as pure functions of its tables."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import gammaln


@dataclass(frozen=True)
class Rung:
    """A rung of ASHA: its epoch, how many trials reached it, and how many of these it stopped."""

    epoch: int
    reached: int
    stopped: int


@dataclass(frozen=True)
class BestScores:
    """The best score of a search against what it had spent, in [0, 1]; NaN before there is one.

    Attributes:
        by_trials: after each trial, in the order in which they ended, float64 [trials].
        expected: of so many trials drawn at random from these, float64 [trials].
        by_epochs: after each epoch, in the order of arrival, float64 [epochs].
    """

    by_trials: np.ndarray
    expected: np.ndarray
    by_epochs: np.ndarray


def rung_epochs(grace_period: int, reduction_factor: int, max_epochs: int) -> list[int]:
    """The epochs of the rungs that can stop a trial: those below the cap.

    Raises:
        ValueError: unless `grace_period` is at least 1 and `reduction_factor` at least 2.
    """
    if grace_period < 1 or reduction_factor < 2:
        raise ValueError(f"there are no rungs at {grace_period} epochs times the powers of {reduction_factor}")
    epochs = [grace_period]
    while epochs[-1] < max_epochs:
        epochs.append(epochs[-1] * reduction_factor)
    return epochs[:-1]


def rung_counts(trials: pd.DataFrame, epochs: Sequence[int]) -> list[Rung]:
    """What each rung did to the trials of one architecture: status and epochs, a row a trial."""
    pruned = trials.loc[trials["status"] == "PRUNED", "epochs"]
    return [Rung(epoch, int((trials["epochs"] >= epoch).sum()), int((pruned == epoch).sum())) for epoch in epochs]


def best_scores(trials: pd.DataFrame, history: pd.DataFrame) -> BestScores:
    """The best score of one architecture's search.

    Args:
        trials: a row a trial: trial_id, val_accuracy.
        history: a row an epoch, in the order of arrival: trial_id, val_loss, val_accuracy.
    """
    last = {trial_id: row for row, trial_id in enumerate(history["trial_id"])} if len(history) else {}
    # A trial that failed before its first epoch never arrived: it counts last.
    ended = sorted(trials.to_dict("records"), key=lambda trial: last.get(trial["trial_id"], len(history)))
    scores = np.array([trial["val_accuracy"] for trial in ended], dtype=float)
    return BestScores(np.fmax.accumulate(scores), expected_best(scores), best_by_epochs(history))


def best_by_epochs(history: pd.DataFrame) -> np.ndarray:
    """Highest score of any trial after each epoch, float64 [epochs].

    A trial's score is its accuracy at its lowest loss so far, and can fall; so can the best.
    """
    kept: dict[str, tuple[float, float]] = {}
    best = np.full(len(history), np.nan)
    for row, epoch in enumerate(history.to_dict("records")):
        if epoch["val_loss"] < kept.get(epoch["trial_id"], (np.inf, 0.0))[0]:
            kept[epoch["trial_id"]] = (epoch["val_loss"], epoch["val_accuracy"])
        if kept:
            best[row] = max(score for _, score in kept.values())
    return best


def expected_best(scores: np.ndarray) -> np.ndarray:
    """Expected highest of n scores drawn without replacement, for n = 1 ... N (Tang et al., ACL 2020).

    Args:
        scores: of N trials, float [N]; one that is NaN counts as 0.

    Returns:
        float64 [N], the last the highest score; NaN where no trial has one.
    """
    if np.isnan(scores).all():
        return np.full(len(scores), np.nan)
    ordered = np.sort(np.nan_to_num(np.asarray(scores, dtype=float), nan=0.0))
    total = len(ordered)
    drawn, rank = np.arange(1, total + 1)[:, None], np.arange(1, total + 1)

    # All n draws are among the `rank` lowest in C(rank, n) of C(total, n) cases.
    chance = np.exp(_log_choose(np.maximum(rank, drawn), drawn) - _log_choose(np.array(total), drawn))
    chance = np.where(rank >= drawn, chance, 0.0)
    return np.asarray(np.diff(chance, axis=1, prepend=0.0) @ ordered)


def _log_choose(n: np.ndarray, k: np.ndarray) -> np.ndarray:
    return np.asarray(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1))
