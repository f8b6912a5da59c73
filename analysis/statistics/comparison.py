"""Compares two networks by their paired predictions: the difference in accuracy, its interval, and the call."""

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from analysis.statistics.calls import CONFIDENCE, Call
from analysis.statistics.two_way_layout import TwoWayLayout

MARGIN = 0.005
# At most this share of the worse network's errors is equivalent, because 0.5 points are most of the errors at 99 %.
SHARE_OF_ERRORS = 0.1
# At least 5 seeds, because fewer tell almost nothing about the variance between seeds.
LEAST_SEEDS = 5
# At least this share of the runs, P(A > B), because Bouthillier et al. (2021) recommend it.
LEAST_PROBABILITY = 0.75
# At most 10,000 seeds, because nobody trains more.
MOST_SEEDS = 10_000

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
        call: "better", "equivalent" (inside the margin by two one-sided tests at 5 %, and no difference of a tenth of
            the errors is shown), or "not shown".
        mean: mean difference, in [-1, 1].
        ci95: 95 % interval of the mean over seeds and images; NaN with one seed.
        p_value: p value of no difference, from the same variance; NaN with one seed.
        equivalence_p: p value of a difference of at least the margin, by two one-sided tests; NaN with one seed.
        not_worse_p: p values of A being worse than B by the margin, and of B than A; NaN with one seed.
        prob_better: share of seeds in which A is more accurate, ties half.
        margin: the difference that matters in practice.
        reason: why nothing was shown.
        seeds_needed: the smallest number of seeds whose expected half-width is below the difference, which gives an
            even chance that the interval excludes 0. None if no number of seeds is enough on this test set.
        images_needed: about how many test images MOST_SEEDS seeds need if no number of seeds is enough on this test
            set, else None. A difference that rests on few images needs more.
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
    seeds_needed: int | None
    images_needed: int | None = None
    not_worse_p: tuple[float, float] = (math.nan, math.nan)


def compare(
    correct_a: np.ndarray,
    correct_b: np.ndarray,
    *,
    margin: float = MARGIN,
    rng: np.random.Generator | None = None,
) -> Comparison:
    """Compares two networks by the test images that each classifies correctly.

    Args:
        correct_a: true if network A is right, bool [seeds, images].
        correct_b: the same for network B, with the same seeds and images.
        margin: the difference in accuracy that matters in practice, at least 0.
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
    difference = correct_a.astype(np.int8) - correct_b.astype(np.int8)
    n_seeds, n_images = difference.shape
    by_seed = difference.sum(axis=1, dtype=np.int64)
    prob_better = float(np.mean(by_seed > 0) + np.mean(by_seed == 0) / 2)
    mean = float(by_seed.sum() / (n_seeds * n_images))
    ci95 = not_worse_p = (math.nan, math.nan)
    p_value = equivalence_p = math.nan
    seeds_needed = images_needed = None
    if n_seeds > 1:
        layout = TwoWayLayout.of(difference)
        half_width = layout.half_width()
        ci95 = (mean - half_width, mean + half_width)
        not_worse_p = (layout.p_value_worse(margin), replace(layout, mean=-layout.mean).p_value_worse(margin))
        p_value = layout.p_value()
        equivalence_p = layout.p_value_beyond(margin)
        seeds_needed = _seeds_needed(layout)
        images_needed = _images_needed(layout) if seeds_needed is None else None
    errors = 1 - min(float(correct.mean()) for correct in (correct_a, correct_b))
    call, reason = _decide(n_seeds, mean, ci95, prob_better, margin, equivalence_p, errors)
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
        seeds_needed=seeds_needed,
        images_needed=images_needed,
        not_worse_p=not_worse_p,
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


def _decide(
    n_seeds: int,
    mean: float,
    ci95: tuple[float, float],
    prob_better: float,
    margin: float,
    equivalence_p: float,
    errors: float,
) -> tuple[Call, Reason]:
    low, high = ci95
    if n_seeds < LEAST_SEEDS:
        return "not shown", "few seeds"
    is_inside = equivalence_p < 1 - CONFIDENCE
    if is_inside and max(low, -high) > SHARE_OF_ERRORS * errors:
        return "not shown", "many of the errors"
    if is_inside:
        return "equivalent", ""
    if low <= 0 <= high:
        return "not shown", "interval includes 0"
    if abs(mean) < margin:
        return "not shown", "below the margin"
    if (prob_better if mean > 0 else 1 - prob_better) < LEAST_PROBABILITY:
        return "not shown", "wins too few runs"
    return "better", ""


def _seeds_needed(layout: TwoWayLayout) -> int | None:
    """Return the smallest number of seeds, at least LEAST_SEEDS, whose expected half-width is below the mean.

    Return None if MOST_SEEDS seeds are not enough.
    """

    def suffices(n_seeds: int) -> bool:
        return layout.with_seeds(n_seeds).half_width() < abs(layout.mean)

    if not suffices(MOST_SEEDS):
        return None
    # If these seeds do not show the difference, more of them are needed.
    too_few = 0 if layout.half_width() < abs(layout.mean) else layout.n_seeds
    low, high = max(LEAST_SEEDS - 1, too_few), MOST_SEEDS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if suffices(middle) else (middle, high)
    return high


def _images_needed(layout: TwoWayLayout) -> int | None:
    """Return the number of test images on which MOST_SEEDS seeds would show the mean; None if the mean is 0.

    With that many seeds almost only the images vary, and the width shrinks with the root of their number. If few images
    differ, the width shrinks faster, so the number is too large.
    """
    if layout.mean == 0:
        return None
    return math.ceil(layout.n_images * (layout.with_seeds(MOST_SEEDS).half_width() / abs(layout.mean)) ** 2)
