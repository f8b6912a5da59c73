"""The progress of a search: its rungs and its best score, as pure functions of its tables."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import gammaln


@dataclass(frozen=True)
class Rung:
    """Describes a rung of ASHA: its epoch, how many trials reached it, and how many of these it stopped."""

    epoch: int
    reached: int
    stopped: int


@dataclass(frozen=True)
class BestScores:
    """Holds the best score of a search against its budget, in [0, 1]; NaN before the first score.

    Attributes:
        by_trials: best score after each trial, in the order in which trials ended, float64 [trials].
        expected: expected best score of 1, 2, ... trials drawn at random from the search, float64 [trials].
        by_epochs: best score after each epoch, in the order of arrival, float64 [epochs].
    """

    by_trials: np.ndarray
    expected: np.ndarray
    by_epochs: np.ndarray


def rung_epochs(grace_period: int, reduction_factor: int, max_epochs: int) -> list[int]:
    """Return the epochs of the rungs that can stop a trial. They lie below the cap.

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
    """Count, for each rung, the trials of one network that reached it and that it stopped.

    Args:
        trials: a row a trial, with status and epochs.
        epochs: the rungs.
    """
    pruned = trials.loc[trials["status"] == "PRUNED", "epochs"]
    return [Rung(epoch, int((trials["epochs"] >= epoch).sum()), int((pruned == epoch).sum())) for epoch in epochs]


def best_scores(trials: pd.DataFrame, history: pd.DataFrame) -> BestScores:
    """Return the best score of one network's search against its budget.

    Args:
        trials: a row a trial: trial_id, val_accuracy.
        history: a row an epoch, in the order of arrival: trial_id, val_loss, val_accuracy.
    """
    last = {trial_id: row for row, trial_id in enumerate(history["trial_id"])} if len(history) else {}
    # A trial that failed before its first epoch has no row in the history and counts last.
    ended = sorted(trials.to_dict("records"), key=lambda trial: last.get(trial["trial_id"], len(history)))
    scores = np.array([trial["val_accuracy"] for trial in ended], dtype=float)
    return BestScores(np.fmax.accumulate(scores), expected_best(scores), best_by_epochs(history))


def best_by_epochs(history: pd.DataFrame) -> np.ndarray:
    """Return the highest score of any trial after each epoch, float64 [epochs].

    A trial's score is its accuracy at its lowest loss so far. It can fall, and so can the best score.

    Args:
        history: a row an epoch, in the order of arrival: trial_id, val_loss, val_accuracy.
    """
    kept: dict[str, tuple[float, float]] = {}
    best = np.full(len(history), np.nan)
    columns = (history[name].tolist() if len(history) else [] for name in ("trial_id", "val_loss", "val_accuracy"))
    for row, (trial, loss, score) in enumerate(zip(*columns, strict=True)):
        if loss < kept.get(trial, (np.inf, 0.0))[0]:
            kept[trial] = (loss, score)
        if kept:
            best[row] = max(best_of_trial for _, best_of_trial in kept.values())
    return best


def best_score(history: pd.DataFrame, epochs: int | None = None) -> float | None:
    """Return the highest score of any trial within the first `epochs` rows of a history; None if no trial has one."""
    best = best_by_epochs(history.iloc[:epochs])
    return float(best[-1]) if len(best) and np.isfinite(best[-1]) else None


def expected_best(scores: np.ndarray) -> np.ndarray:
    """Return the expected highest of n scores drawn without replacement, for n = 1 ... N (Tang et al., ACL 2020).

    Args:
        scores: scores of N trials, float [N]; NaN counts as 0.

    Returns:
        float64 [N]. The last value is the highest score. All are NaN if no trial has a score.
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
