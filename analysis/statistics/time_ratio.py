"""Compares the times of two programs that took turns: their ratio, with an interval over the rounds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.statistics.calls import CONFIDENCE

# At most this half-width of the 95 % interval, as a share of the ratio, is steady: a reader acts on no smaller
# difference.
STEADY_WITHIN = 0.05


@dataclass(frozen=True)
class TimeRatio:
    """Holds the ratio of two times, A over B, and its 95 % interval. With one round the interval is NaN."""

    ratio: float
    ci95: tuple[float, float]

    @property
    def half_width(self) -> float:
        """Return half the width of the interval as a share of the ratio; NaN with one round."""
        low, high = self.ci95
        return math.sqrt(high / low) - 1

    @property
    def is_steady(self) -> bool:
        """Return whether the ratio is known within STEADY_WITHIN."""
        return self.half_width <= STEADY_WITHIN


def time_ratio(a: Sequence[float], b: Sequence[float]) -> TimeRatio:
    """Return the ratio of the times of two programs that took turns.

    A round is one observation: a disturbance that lasts longer than a round slows both programs, so their ratio stays.
    The interval is Student's t interval of the mean log ratio.

    Args:
        a: the time of program A in each round, positive.
        b: the time of program B in the same rounds.

    Raises:
        ValueError: unless both have the same number of rounds, at least 1.
    """
    if len(a) != len(b) or not len(a):
        raise ValueError(f"needs the same rounds of both, at least 1, not {len(a)} and {len(b)}")
    logs = np.log(a) - np.log(b)
    mean, rounds = float(logs.mean()), len(logs)
    if rounds < 2:
        return TimeRatio(float(np.exp(mean)), (float("nan"), float("nan")))
    from scipy import special  # here, because no first step of a study needs it

    half = float(special.stdtrit(rounds - 1, (1 + CONFIDENCE) / 2) * logs.std(ddof=1) / rounds**0.5)
    return TimeRatio(float(np.exp(mean)), (float(np.exp(mean - half)), float(np.exp(mean + half))))
