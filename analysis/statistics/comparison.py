"""Intervals and comparisons over paired seeds and test images: pure functions of arrays.

A result varies with the seeds that a network was trained on and with the test images that it was judged on. Both
are treated as random: the variance of the mean of an array [seeds, images] is estimated from its two-way layout
without replication (Searle, Casella and McCulloch, Variance Components, 1992), with the degrees of freedom of
Satterthwaite (1946), which are estimated too: where both sources matter, 95 % intervals of 5 seeds held the truth in
93.6 to 95.3 % of simulated studies, those of 10 in 94.3 % at least (benchmarks/RESULTS.md). An interval over seeds
alone would speak of these test images only, one over images alone of these runs only.
"""

import itertools
import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import special, stats

CONFIDENCE = 0.95
MARGIN = 0.005
# Fewer seeds than this leave the seed variance all but unknown.
LEAST_SEEDS = 5
# Share of runs that the better network has to win: P(A > B) of Bouthillier et al. (2021).
LEAST_PROBABILITY = 0.75
MOST_SEEDS = 10_000
EXACT_SIGN_FLIPS = 16
SIGN_FLIPS = 99_999

Call = Literal["better", "equivalent", "not shown"]
Reason = Literal[
    "",
    "few seeds",
    "interval includes 0",
    "below the margin",
    "wins too few runs",
    "several comparisons",
    "nothing learned",
]


@dataclass(frozen=True)
class TwoWayLayout:
    """Mean squares of an array [seeds, images]: between seeds, between images, and of the residual.

    `image_kurtosis` is the excess kurtosis of the images' means, 0 where it is negative or not defined.
    """

    n_seeds: int
    n_images: int
    mean: float
    ms_seed: float
    ms_image: float
    ms_residual: float
    image_kurtosis: float = 0.0

    @classmethod
    def of(cls, values: np.ndarray) -> "TwoWayLayout":
        """Raises ValueError unless the array is 2-D with at least 2 seeds and 2 images."""
        if values.ndim != 2 or min(values.shape) < 2:
            raise ValueError(f"needs an array [seeds >= 2, images >= 2], not {values.shape}")
        n_seeds, n_images = values.shape
        values = values.astype(float)
        mean = values.mean()
        by_seed, by_image = values.mean(axis=1) - mean, values.mean(axis=0) - mean
        seed, image = n_images * np.sum(by_seed**2), n_seeds * np.sum(by_image**2)
        residual = max(0.0, float(np.sum((values - mean) ** 2) - seed - image))
        return cls(
            n_seeds,
            n_images,
            float(mean),
            float(seed / (n_seeds - 1)),
            float(image / (n_images - 1)),
            float(residual / ((n_seeds - 1) * (n_images - 1))),
            max(0.0, float(stats.kurtosis(by_image))) if np.ptp(by_image) > 1e-12 else 0.0,
        )

    def with_seeds(self, n_seeds: int) -> "TwoWayLayout":
        """The layout to be expected of the same networks and images with another number of seeds."""
        image_variance = max(0.0, self.ms_image - self.ms_residual) / self.n_seeds
        ms_image = self.ms_residual + n_seeds * image_variance
        return replace(self, n_seeds=n_seeds, ms_image=ms_image)

    def variance_of_mean(self, image_kurtosis: float = 0.0) -> tuple[float, float]:
        """Variance of the mean and its degrees of freedom.

        The larger of both sources together and of either alone, since an estimate of both may fall below that.

        Args:
            image_kurtosis: excess kurtosis of the images' means, at least 0. The variance of a sample variance grows
                with it, so its degrees of freedom shrink.
        """
        df_seed, df_residual = self.n_seeds - 1, (self.n_seeds - 1) * (self.n_images - 1)
        df_image = 1 / (1 / (self.n_images - 1) + image_kurtosis / (2 * self.n_images))
        both = self.ms_seed + self.ms_image - self.ms_residual
        spread = self.ms_seed**2 / df_seed + self.ms_image**2 / df_image + self.ms_residual**2 / df_residual
        df_both = max(1.0, both**2 / spread) if spread > 0 else 1.0
        candidates = ((self.ms_seed, float(df_seed)), (self.ms_image, float(df_image)), (both, df_both))
        variance = max(value for value, _ in candidates)
        # Of equals, up to rounding, the one that is known least well.
        df = min(df for value, df in candidates if value >= variance * (1 - 1e-9))
        variance /= self.n_seeds * self.n_images
        # What rounding leaves where nothing varies.
        return (variance if variance > 1e-24 else 0.0), df

    def half_width(self, confidence: float = CONFIDENCE) -> float:
        """Half-width of the t interval of the mean, at least 3 / images (the rule of three).

        A few images on which a difference hangs say little of how many there are of their kind: the images' degrees
        of freedom are no more than 2 images / kurtosis, which is below images - 1 from an excess of 2 on.
        """
        variance, df = self._variance_of_difference()
        return max(self._least_half_width, float(stats.t.ppf((1 + confidence) / 2, df) * np.sqrt(variance)))

    def p_value(self) -> float:
        """Two-sided p value of the mean being 0: below 1 - CONFIDENCE exactly where the interval excludes 0."""
        variance, df = self._variance_of_difference()
        by_rule_of_three = float((1 - CONFIDENCE) ** (abs(self.mean) / self._least_half_width))
        if variance <= 0:
            return by_rule_of_three
        return max(by_rule_of_three, float(2 * stats.t.sf(abs(self.mean) / np.sqrt(variance), df)))

    @property
    def _least_half_width(self) -> float:
        return 3 / self.n_images

    def _variance_of_difference(self) -> tuple[float, float]:
        return self.variance_of_mean(max(0.0, self.image_kurtosis - 2))


def proportion_interval(values: np.ndarray) -> tuple[float, float]:
    """95 % interval of the mean of values [seeds, images] that is a proportion, computed on the logit scale.

    The scale keeps it inside [0, 1] and its coverage near 0 and 1, where the plain interval fails. There a few images
    make up the variance between images, so that it is known less well than their number says: half the kurtosis of
    the images' means lowers its degrees of freedom (the scale sees to the rest, as the calibration shows). Where
    nothing varies it reaches 3 / images to either side (the rule of three, Hanley and Lippman-Hand 1983).

    Returns:
        Lower and upper limit in [0, 1]; both NaN with one seed.
    """
    if len(values) < 2:
        return float("nan"), float("nan")
    layout = TwoWayLayout.of(values)
    mean = layout.mean
    if layout.variance_of_mean()[0] <= 0 or not 0 < mean < 1:
        reach = 3 / layout.n_images
        return max(0.0, mean - reach), min(1.0, mean + reach)
    variance, df = layout.variance_of_mean(layout.image_kurtosis / 2)
    half_width = stats.t.ppf((1 + CONFIDENCE) / 2, df) * np.sqrt(variance) / (mean * (1 - mean))
    centre = special.logit(mean)
    return float(special.expit(centre - half_width)), float(special.expit(centre + half_width))


@dataclass(frozen=True)
class Comparison:
    """What paired predictions say of the difference in accuracy, A minus B.

    Attributes:
        winner: "a" or "b" where the call is "better", else None.
        call: "better", "equivalent" (the interval lies inside the margin), or "not shown".
        mean: mean difference, in [-1, 1].
        ci95: its interval over seeds and images; NaN with one seed.
        p_value: of no difference, from the same variance; NaN with one seed.
        sign_flip_p: of no difference, over seeds alone, these test images taken as given; NaN with one seed.
        smallest_p: the least that so many seeds can give `sign_flip_p`.
        prob_better: share of seeds in which A is more accurate, ties half.
        margin: the difference that matters in practice.
        reason: why nothing was shown.
        seeds_needed: where the interval includes 0, the smallest number of seeds whose expected half-width is below the
            difference, which gives an even chance that it does not; None if no number would do on this test set.
        images_needed: about how many test images it takes with MOST_SEEDS seeds, where no number of seeds would do on
            these; more than that where the difference hangs on few images. Else None.
    """

    winner: Literal["a", "b"] | None
    call: Call
    mean: float
    ci95: tuple[float, float]
    p_value: float
    sign_flip_p: float
    smallest_p: float
    prob_better: float
    margin: float
    reason: Reason
    seeds_needed: int | None
    images_needed: int | None = None


def compare(
    correct_a: np.ndarray,
    correct_b: np.ndarray,
    *,
    margin: float = MARGIN,
    rng: np.random.Generator | None = None,
) -> Comparison:
    """Compares two networks by which test images they classify rightly, bool [seeds, images], seeds paired.

    Args:
        margin: the difference in accuracy that matters in practice, at least 0.
        rng: of the Monte Carlo sign flips of more than 16 seeds; a fixed one if None.

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
    ci95, p_value, sign_flip_p = (float("nan"), float("nan")), float("nan"), float("nan")
    seeds_needed = images_needed = None
    if n_seeds > 1:
        layout = TwoWayLayout.of(difference)
        half_width = layout.half_width()
        ci95 = (mean - half_width, mean + half_width)
        p_value = layout.p_value()
        sign_flip_p = _sign_flip_p(by_seed, rng or np.random.default_rng(0))
        seeds_needed = _seeds_needed(layout)
        images_needed = _images_needed(layout) if seeds_needed is None else None
    call, reason = _decide(n_seeds, mean, ci95, prob_better, margin)
    winner: Literal["a", "b"] | None = None
    if call == "better":
        winner = "a" if mean > 0 else "b"
    return Comparison(
        winner=winner,
        call=call,
        mean=mean,
        ci95=ci95,
        p_value=p_value,
        sign_flip_p=sign_flip_p,
        smallest_p=min(1.0, 2.0 ** (1 - n_seeds)),
        prob_better=prob_better,
        margin=margin,
        reason=reason,
        seeds_needed=seeds_needed,
        images_needed=images_needed,
    )


def holm(p_values: list[float]) -> list[float]:
    """Holm's (1979) adjusted p values, in the order given."""
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(np.argsort(p_values, kind="stable")):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def _decide(
    n_seeds: int, mean: float, ci95: tuple[float, float], prob_better: float, margin: float
) -> tuple[Call, Reason]:
    low, high = ci95
    if n_seeds < LEAST_SEEDS:
        return "not shown", "few seeds"
    if -margin < low and high < margin:
        return "equivalent", ""
    if low <= 0 <= high:
        return "not shown", "interval includes 0"
    if abs(mean) < margin:
        return "not shown", "below the margin"
    if (prob_better if mean > 0 else 1 - prob_better) < LEAST_PROBABILITY:
        return "not shown", "wins too few runs"
    return "better", ""


def _sign_flip_p(by_seed: np.ndarray, rng: np.random.Generator) -> float:
    """Two-sided p value of the sum of integers [seeds] under independent flips of their signs."""
    n_seeds = len(by_seed)
    observed = abs(by_seed.sum())
    if n_seeds <= EXACT_SIGN_FLIPS:
        signs = np.array(list(itertools.product((1, -1), repeat=n_seeds)))
        return float(np.mean(np.abs(signs @ by_seed) >= observed))
    signs = rng.integers(0, 2, size=(SIGN_FLIPS, n_seeds)) * 2 - 1
    return float((1 + np.sum(np.abs(signs @ by_seed) >= observed)) / (1 + SIGN_FLIPS))


def _seeds_needed(layout: TwoWayLayout) -> int | None:
    """Smallest number of seeds, at least LEAST_SEEDS, whose expected half-width is below the mean; None if none is."""

    def suffices(n_seeds: int) -> bool:
        return layout.with_seeds(n_seeds).half_width() < abs(layout.mean)

    if not suffices(MOST_SEEDS):
        return None
    # What these seeds do not show takes more of them.
    too_few = 0 if layout.half_width() < abs(layout.mean) else layout.n_seeds
    low, high = max(LEAST_SEEDS - 1, too_few), MOST_SEEDS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if suffices(middle) else (middle, high)
    return high


def _images_needed(layout: TwoWayLayout) -> int | None:
    """Test images of which MOST_SEEDS seeds would show the mean; None where it is 0, which none do.

    With so many seeds the interval is all but that of the images alone, whose width goes with the root of their number;
    where few images differ it shrinks faster, so that this is too many.
    """
    if layout.mean == 0:
        return None
    return math.ceil(layout.n_images * (layout.with_seeds(MOST_SEEDS).half_width() / abs(layout.mean)) ** 2)
