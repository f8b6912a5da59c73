"""Intervals for means over paired seeds and test images.

A group's result varies with the seeds it was trained on and with the test images it was judged on. Both are
treated as random: the variance of the mean of an array [seeds, images] is estimated from its two-way layout
without replication (Searle, Casella and McCulloch, Variance Components, 1992), with the degrees of freedom of
Satterthwaite (1946).
"""

from dataclasses import dataclass

import numpy as np
from scipy import special, stats

CONFIDENCE = 0.95


@dataclass(frozen=True)
class MeanEstimate:
    """A mean with its standard error and the degrees of freedom that the error is known with."""

    mean: float
    standard_error: float
    degrees_of_freedom: float


def mean_over_seeds_and_images(values: np.ndarray) -> MeanEstimate:
    """Estimates the mean of values [seeds, images], seeds and images both random.

    The variance is max(MS_s, MS_i, MS_s + MS_i - MS_e) / (S n): never below what either source alone gives.

    Raises:
        ValueError: unless the array is 2-D with at least 2 seeds and 2 images.
    """
    if values.ndim != 2 or min(values.shape) < 2:
        raise ValueError(f"needs an array [seeds >= 2, images >= 2], not {values.shape}")
    n_seeds, n_images = values.shape
    values = values.astype(float)
    mean = values.mean()
    by_seed, by_image = values.mean(axis=1), values.mean(axis=0)
    residual = values - by_seed[:, None] - by_image + mean
    df_seed, df_image = n_seeds - 1, n_images - 1
    df_residual = df_seed * df_image
    ms_seed = n_images * np.sum((by_seed - mean) ** 2) / df_seed
    ms_image = n_seeds * np.sum((by_image - mean) ** 2) / df_image
    ms_residual = np.sum(residual**2) / df_residual
    candidates = {
        ms_seed: df_seed,
        ms_image: df_image,
        ms_seed + ms_image - ms_residual: _satterthwaite(
            (ms_seed, ms_image, -ms_residual), (df_seed, df_image, df_residual)
        ),
    }
    variance = max(candidates)
    return MeanEstimate(float(mean), float(np.sqrt(variance / (n_seeds * n_images))), float(candidates[variance]))


def proportion_interval(values: np.ndarray, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Interval of the mean of values [seeds, images] that is a proportion, computed on the logit scale.

    The scale keeps it inside [0, 1] and its coverage near 0 and 1, where the plain interval fails. Where nothing
    varies, it reaches 3 / images to either side (the rule of three, Hanley and Lippman-Hand 1983).

    Returns:
        Lower and upper limit in [0, 1]; both NaN with one seed.
    """
    if len(values) < 2:
        return float("nan"), float("nan")
    estimate = mean_over_seeds_and_images(values)
    mean = estimate.mean
    if estimate.standard_error == 0 or not 0 < mean < 1:
        reach = 3 / values.shape[1]
        return max(0.0, mean - reach), min(1.0, mean + reach)
    quantile = float(stats.t.ppf((1 + confidence) / 2, estimate.degrees_of_freedom))
    half_width = quantile * estimate.standard_error / (mean * (1 - mean))
    centre = special.logit(mean)
    return float(special.expit(centre - half_width)), float(special.expit(centre + half_width))


def _satterthwaite(mean_squares: tuple[float, ...], degrees: tuple[int, ...]) -> float:
    """Degrees of freedom of a signed sum of mean squares; at least 1."""
    total = sum(mean_squares) ** 2
    spread = sum(square**2 / df for square, df in zip(mean_squares, degrees, strict=True))
    return max(1.0, total / spread) if spread > 0 else 1.0
