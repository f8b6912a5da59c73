"""Compares two networks by their paired predictions: the difference in accuracy, its interval, and the call."""

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import special

from analysis.statistics.calls import CONFIDENCE, Call
from analysis.statistics.two_way_layout import TwoWayLayout

MARGIN = 0.005
# At most this share of the worse network's errors is equivalent, because 0.5 points are most of the errors at 99 %.
SHARE_OF_ERRORS = 0.1
# At least 5 seeds, because fewer tell almost nothing about the variance between seeds.
LEAST_SEEDS = 5
# At least this share of the runs, P(A > B), because Bouthillier et al. (2021) recommend it.
LEAST_PROBABILITY = 0.75
# The numbers of seeds that a reader may want to train.
USUAL_SEEDS = (5, 10, 20)
# At least 4 of 5 studies, because planning usually asks for 80 % power (Cohen, 1988).
POWER = 0.8

Reason = Literal[
    "",
    "few seeds",
    "interval includes 0",
    "below the margin",
    "many of the errors",
    "wins too few runs",
    "several comparisons",
    "nothing learned",
    "failed runs",
]


@dataclass(frozen=True)
class Comparison:
    """Holds the difference in accuracy between two networks, A minus B, with its interval and the call.

    Attributes:
        winner: "a" or "b" if the call is "better", else None.
        call: "better", "equivalent" (inside the margin by two one-sided tests, and no difference of a tenth of the
            errors is shown), or "not shown".
        mean: mean difference, in [-1, 1].
        ci95: interval of the mean over seeds and images, at `confidence`; NaN with one seed.
        p_value: p value of no difference, from the same variance; NaN with one seed.
        equivalence_p: p value of a difference of at least the margin, by two one-sided tests; NaN with one seed.
        not_worse_p: p values of A being worse than B by the margin, and of B than A; NaN with one seed.
        prob_better: share of seeds in which A is more accurate, ties half.
        margin: the difference that matters in practice.
        reason: why nothing was shown.
        detectable: the true difference that 4 of 5 studies call "better", for USUAL_SEEDS and for the seeds of these
            runs if they are enough. Empty with one seed.
        confidence: confidence of the interval. Tests and calls may err as often as the interval.
    """

    winner: Literal["a", "b"] | None
    call: Call
    mean: float
    ci95: tuple[float, float]
    p_value: float
    equivalence_p: float
    prob_better: float
    margin: float
    reason: Reason
    detectable: dict[int, float]
    not_worse_p: tuple[float, float] = (math.nan, math.nan)
    confidence: float = CONFIDENCE


def compare(
    correct_a: np.ndarray,
    correct_b: np.ndarray,
    *,
    margin: float = MARGIN,
    confidence: float = CONFIDENCE,
    paired: bool = False,
    rng: np.random.Generator | None = None,
) -> Comparison:
    """Compares two networks by the test images that each classifies correctly.

    Args:
        correct_a: true if network A is right, bool [seeds, images].
        correct_b: the same for network B, with the same seeds and images.
        margin: the difference in accuracy that matters in practice, at least 0.
        confidence: confidence of the interval, at least CONFIDENCE. It is higher at a look that is not the only one.
        paired: true if runs of the same seed are correlated, as two configurations of one network are, which share
            their initial weights. If it is false, the variances of both networks between seeds add up.
        rng: kept for callers and not used.

    Raises:
        ValueError: unless both arrays are 2-D boolean of one shape with at least 1 seed and 2 images.
    """
    for correct in (correct_a, correct_b):
        if correct.ndim != 2 or correct.dtype != np.bool_ or correct.shape[0] < 1 or correct.shape[1] < 2:
            raise ValueError(f"needs boolean arrays [seeds >= 1, images >= 2], not {correct.dtype} {correct.shape}")
    if correct_a.shape != correct_b.shape:
        raise ValueError(f"the arrays differ in shape: {correct_a.shape} and {correct_b.shape}")
    if not margin >= 0:
        raise ValueError(f"the margin must not be negative: {margin}")
    a, b = (correct.astype(np.int8) for correct in (correct_a, correct_b))
    difference = a - b
    n_seeds, n_images = difference.shape
    by_seed = difference.sum(axis=1, dtype=np.int64)
    prob_better = float(np.mean(by_seed > 0) + np.mean(by_seed == 0) / 2)
    mean = float(by_seed.sum() / (n_seeds * n_images))
    ci95 = not_worse_p = (math.nan, math.nan)
    p_value = equivalence_p = math.nan
    detectable: dict[int, float] = {}
    if n_seeds > 1:
        layout = TwoWayLayout.between(a, b, paired=paired)
        half_width = layout.half_width(confidence)
        ci95 = (mean - half_width, mean + half_width)
        not_worse_p = (layout.p_value_worse(margin), replace(layout, mean=-layout.mean).p_value_worse(margin))
        p_value = layout.p_value()
        equivalence_p = layout.p_value_beyond(margin)
        numbers = sorted({*USUAL_SEEDS, max(n_seeds, LEAST_SEEDS)})
        detectable = {n: detectable_difference(layout, n, margin, confidence) for n in numbers}
    errors = 1 - min(float(correct.mean()) for correct in (correct_a, correct_b))
    is_inside = equivalence_p < 1 - confidence
    call, reason = _decide(n_seeds, mean, ci95, prob_better, margin, is_inside, errors)
    winner: Literal["a", "b"] | None = None
    if call == "better":
        winner = "a" if mean > 0 else "b"
    return Comparison(
        winner=winner,
        call=call,
        mean=mean,
        ci95=ci95,
        p_value=p_value,
        equivalence_p=equivalence_p,
        prob_better=prob_better,
        margin=margin,
        reason=reason,
        detectable=detectable,
        not_worse_p=not_worse_p,
        confidence=confidence,
    )


def holm(p_values: list[float]) -> list[float]:
    """Returns Holm's (1979) adjusted p values, in the order given; NaN stays NaN and does not count."""
    adjusted = [float("nan")] * len(p_values)
    order = [int(index) for index in np.argsort(p_values, kind="stable") if not math.isnan(p_values[index])]
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def call_of_interval(
    mean: float, ci95: tuple[float, float], margin: float, *, is_inside: bool | None = None
) -> tuple[Call, Reason]:
    """Return the call of a difference, its interval and the margin; if nothing is shown, the reason.

    Args:
        mean: the difference.
        ci95: its interval.
        margin: the difference that matters.
        is_inside: true if the difference is shown to lie inside the margin. If it is None, the interval decides.
    """
    low, high = ci95
    if -margin < low and high < margin if is_inside is None else is_inside:
        return "equivalent", ""
    if low <= 0 <= high:
        return "not shown", "interval includes 0"
    if abs(mean) < margin:
        return "not shown", "below the margin"
    return "better", ""


def _decide(
    n_seeds: int,
    mean: float,
    ci95: tuple[float, float],
    prob_better: float,
    margin: float,
    is_inside: bool,
    errors: float,
) -> tuple[Call, Reason]:
    low, high = ci95
    if n_seeds < LEAST_SEEDS:
        return "not shown", "few seeds"
    if is_inside and max(low, -high) > SHARE_OF_ERRORS * errors:
        return "not shown", "many of the errors"
    call, reason = call_of_interval(mean, ci95, margin, is_inside=is_inside)
    if call == "better" and (prob_better if mean > 0 else 1 - prob_better) < LEAST_PROBABILITY:
        return "not shown", "wins too few runs"
    return call, reason


def detectable_difference(
    layout: TwoWayLayout, n_seeds: int, margin: float = 0.0, confidence: float = CONFIDENCE
) -> float:
    """Return the true difference that 4 of 5 studies with this many seeds call "better" (POWER).

    The mean of such a study lies beyond the half-width of its interval and at or above the margin. So the true
    difference lies t(POWER) standard errors above both (Bloom, Evaluation Review 19, 1995). If there are many seeds and
    they lie far apart, winning LEAST_PROBABILITY of the paired runs needs a larger one. It depends on the variances
    alone, not on the difference that was measured.

    Args:
        layout: the differences between paired runs on each image.
        n_seeds: number of seeds of the planned study.
        margin: the difference that matters in practice, in [0, 1].
        confidence: confidence of the interval that has to exclude 0.
    """
    planned = layout.with_seeds(n_seeds)
    # The half-width of this confidence is t(POWER) standard errors.
    shown = max(planned.half_width(confidence), margin) + planned.half_width(2 * POWER - 1)
    return max(shown, _winning_difference(planned))


def _winning_difference(planned: TwoWayLayout) -> float:
    """Return the true difference with which a network wins LEAST_PROBABILITY of the pairs in 4 of 5 studies.

    The differences of pairs are taken as normal. Then the share of wins varies as its quantile does, and the images,
    which all pairs share, move every pair alike. Half a win corrects for whole numbers of wins.
    """
    share = (math.ceil(LEAST_PROBABILITY * planned.n_seeds) - 0.5) / planned.n_seeds
    quantile, tail = special.ndtri(share), share * (1 - share)
    between_pairs = planned.ms_seed / planned.n_images
    of_images = max(0.0, planned.ms_image - planned.ms_residual) / (planned.n_seeds * planned.n_images)
    density = math.exp(-(quantile**2) / 2) / math.sqrt(2 * math.pi)
    variance = tail / density**2 * between_pairs / planned.n_seeds + of_images
    return float(quantile * math.sqrt(between_pairs) + special.ndtri(POWER) * math.sqrt(variance))
