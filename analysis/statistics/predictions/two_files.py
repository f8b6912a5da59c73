"""Compares two trained networks as they are, by the test images that each classifies correctly.

No seed is random here, because nothing is trained again. Only the test images are.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from analysis.statistics.calls import CONFIDENCE, Call
from analysis.statistics.comparison import Reason, call_of_interval


@dataclass(frozen=True)
class FilesCompared:
    """Holds the difference in accuracy between two files of weights, A minus B.

    Attributes:
        winner: "a" or "b" if the call is "better", else None.
        call: "better", "equivalent" (the interval lies inside the margin), or "not shown".
        reason: why nothing was shown.
        mean: share of the images that only A gets right minus the share that only B gets right.
        ci95: interval over test images, at `confidence`.
        only_a: number of images that only A classifies correctly.
        only_b: number of images that only B classifies correctly.
        margin: the difference that matters in practice.
    """

    winner: Literal["a", "b"] | None
    call: Call
    reason: Reason
    mean: float
    ci95: tuple[float, float]
    only_a: int
    only_b: int
    margin: float
    confidence: float = CONFIDENCE


def compare_files(
    correct_a: np.ndarray, correct_b: np.ndarray, *, margin: float, confidence: float = CONFIDENCE
) -> FilesCompared:
    """Compare two files by their discordant images, with the interval of Bonett and Price (2012).

    Their interval adds one discordant image to each side, so it keeps its coverage if few images are discordant
    (Adjusted Wald Confidence Interval for a Difference of Binomial Proportions Based on Paired Data, J. Educ. Behav.
    Stat. 37).

    Args:
        correct_a: true if A is right, bool [images].
        correct_b: the same for B, with the same images.
        margin: the difference in accuracy that matters in practice, at least 0.
        confidence: confidence of the interval.
    """
    n = len(correct_a)
    only_a, only_b = int((correct_a & ~correct_b).sum()), int((correct_b & ~correct_a).sum())
    mean = (only_a - only_b) / n
    ci95 = bonett_price(only_a, only_b, n, confidence)
    call, reason = call_of_interval(mean, ci95, margin)
    winner: Literal["a", "b"] | None = None
    if call == "better":
        winner = "a" if mean > 0 else "b"
    return FilesCompared(winner, call, reason, mean, ci95, only_a, only_b, margin, confidence)


def bonett_price(only_a: int, only_b: int, n: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the interval of the difference of two paired proportions, inside [-1, 1]."""
    centre = (only_a - only_b) / (n + 2)
    variance = (only_a + only_b + 2 - (only_a - only_b) ** 2 / (n + 2)) / (n + 2) ** 2
    half_width = float(stats.norm.ppf((1 + confidence) / 2) * np.sqrt(variance))
    return max(-1.0, centre - half_width), min(1.0, centre + half_width)
