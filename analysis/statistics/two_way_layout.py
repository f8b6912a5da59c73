"""Intervals over paired seeds and test images, from the two-way layout of an array [seeds, images].

A result varies with the seeds that a network was trained on and with the test images that it was judged on. Both count
as random here. The variance of the mean comes from the two-way layout without replication (Searle, Casella and
McCulloch, Variance Components, 1992), its degrees of freedom from Satterthwaite (1946). benchmarks/RESULTS.md gives the
measured coverage. An interval over seeds alone would speak of these test images only. An interval over images alone
would speak of these runs only.

Runs of two networks with the same seed share the split of the images and the order of the data, but no initial weights.
Their accuracies are hardly correlated. So for two networks the variance between seeds is the sum of the variances of
both, with Welch's (1947) degrees of freedom. Pairs would have at least half as many.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from analysis.statistics.calls import CONFIDENCE

# scipy.special has the distribution of t without the checks of scipy.stats, which would take most of the time.


@dataclass(frozen=True)
class TwoWayLayout:
    """Mean squares of an array [seeds, images]: between seeds, between images, and of the residual.

    `image_kurtosis` is the excess kurtosis of the images' means. It is 0 if it would be negative or is not defined.
    `image_effect` is the mean size of an image's mean, weighted by that size. `df_seed` is the degrees of freedom of
    `ms_seed`; None stands for n_seeds - 1.
    """

    n_seeds: int
    n_images: int
    mean: float
    ms_seed: float
    ms_image: float
    ms_residual: float
    image_kurtosis: float = 0.0
    image_effect: float = 0.0
    df_seed: float | None = None

    @classmethod
    def between(cls, a: np.ndarray, b: np.ndarray, *, paired: bool) -> "TwoWayLayout":
        """Compute the layout of the difference between two networks, A minus B.

        Args:
            a: a number of network A for each seed and image, [seeds >= 2, images >= 2].
            b: the same for network B, with the same seeds and images.
            paired: true if runs of the same seed are correlated, as two configurations of one network are, which share
                their initial weights. False adds the variances of both between seeds, unless the runs are equal.
        """
        layout = cls.of(a - b)
        if paired or np.array_equal(a, b):
            return layout
        variances = np.array([one.mean(axis=1).var(ddof=1) for one in (a, b)])
        both = variances.sum()
        df = (layout.n_seeds - 1) * (both**2 / np.sum(variances**2) if both > 0 else 1.0)
        return replace(layout, ms_seed=float(layout.n_images * both), df_seed=float(df))

    @classmethod
    def of(cls, values: np.ndarray) -> "TwoWayLayout":
        """Compute the layout of an array [seeds, images]; raise ValueError unless it has at least 2 of each."""
        if values.ndim != 2 or min(values.shape) < 2:
            raise ValueError(f"needs an array [seeds >= 2, images >= 2], not {values.shape}")
        n_seeds, n_images = values.shape
        values = values.astype(float)
        mean = values.mean()
        sizes = np.abs(values.mean(axis=0))
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
            max(0.0, _excess_kurtosis(by_image)) if np.ptp(by_image) > 1e-12 else 0.0,
            float(np.sum(sizes**2) / np.sum(sizes)) if sizes.any() else 0.0,
        )

    def with_seeds(self, n_seeds: int) -> "TwoWayLayout":
        """Return the expected layout of the same networks and images with another number of seeds.

        The mean square between seeds is expected to be at least the residual, although a sample may fall below it.
        """
        image_variance = max(0.0, self.ms_image - self.ms_residual) / self.n_seeds
        ms_image = self.ms_residual + n_seeds * image_variance
        df_seed = None if self.df_seed is None else self.df_seed * (n_seeds - 1) / (self.n_seeds - 1)
        ms_seed = max(self.ms_seed, self.ms_residual)
        return replace(self, n_seeds=n_seeds, ms_seed=ms_seed, ms_image=ms_image, df_seed=df_seed)

    def variance_of_mean(self, image_kurtosis: float = 0.0) -> tuple[float, float]:
        """Return the variance of the mean and its degrees of freedom.

        The estimate from both sources together may fall below the estimate from one alone, so the largest counts.

        Args:
            image_kurtosis: excess kurtosis of the images' means, at least 0. The variance of a sample variance grows
                with it, so its degrees of freedom shrink.
        """
        df_seed = self.n_seeds - 1 if self.df_seed is None else self.df_seed
        df_residual = (self.n_seeds - 1) * (self.n_images - 1)
        df_image = 1 / (1 / (self.n_images - 1) + image_kurtosis / (2 * self.n_images))
        both = self.ms_seed + self.ms_image - self.ms_residual
        spread = self.ms_seed**2 / df_seed + self.ms_image**2 / df_image + self.ms_residual**2 / df_residual
        df_both = max(1.0, both**2 / spread) if spread > 0 else 1.0
        candidates = ((self.ms_seed, float(df_seed)), (self.ms_image, float(df_image)), (both, df_both))
        variance = max(value for value, _ in candidates)
        # Among estimates that are equal up to rounding, the fewest degrees of freedom count.
        df = min(df for value, df in candidates if value >= variance * (1 - 1e-9))
        variance /= self.n_seeds * self.n_images
        # If nothing varies, rounding leaves a number this small.
        return (variance if variance > 1e-24 else 0.0), df

    def variance_of_difference(self) -> tuple[float, float]:
        """Return the variance of the mean and its degrees of freedom if the values are differences of two networks.

        If a difference rests on few images, their number is known badly. So the images' degrees of freedom are at most
        2 images / kurtosis, which is below images - 1 if the excess kurtosis is above 2.
        """
        return self.variance_of_mean(max(0.0, self.image_kurtosis - 2))

    def half_width(self, confidence: float = CONFIDENCE) -> float:
        """Return the half-width of the t interval of the mean, at least 3 / images (the rule of three).

        The rule of three is for CONFIDENCE. It is more for a higher confidence.
        """
        variance, df = self.variance_of_difference()
        least = self._least_half_width * max(1.0, float(np.log1p(-confidence) / np.log1p(-CONFIDENCE)))
        return max(least, float(special.stdtrit(df, (1 + confidence) / 2) * np.sqrt(variance)))

    def p_value(self) -> float:
        """Return the two-sided p value of the mean being 0, below 1 - confidence exactly if the interval excludes 0.

        This holds for a confidence of at least CONFIDENCE.
        """
        return self._p_value_at(abs(self.mean))

    def p_value_beyond(self, margin: float) -> float:
        """Return the p value of the mean being at least the margin away from 0, by two one-sided tests.

        These are Schuirmann's (1987). If the mean were at the margin, more images would differ than do. The variance
        counts these images, as a score test does. Without them, a difference that rests on few images would be
        called too small too often.
        """
        return self._one_sided(margin - abs(self.mean))

    def p_value_worse(self, margin: float) -> float:
        """Return the p value of the mean being at most -margin, by a one-sided test."""
        return self._one_sided(self.mean + margin)

    def _one_sided(self, distance: float) -> float:
        """Return the p value of the mean being at least this distance away, on one side."""
        if distance <= 0:
            return 1.0
        variance, df = self.variance_of_difference()
        variance += distance * self.image_effect / self.n_images
        by_rule_of_three = float((1 - CONFIDENCE) ** (distance / self._least_half_width))
        return max(by_rule_of_three, float(special.stdtr(df, -distance / np.sqrt(variance))) if variance > 0 else 0.0)

    def _p_value_at(self, distance: float) -> float:
        """Return the p for which the half-width of the interval with confidence 1 - p is this distance."""
        variance, df = self.variance_of_difference()
        by_rule_of_three = float((1 - CONFIDENCE) ** (distance / self._least_half_width))
        if variance <= 0:
            return by_rule_of_three
        return max(by_rule_of_three, float(2 * special.stdtr(df, -distance / np.sqrt(variance))))

    @property
    def _least_half_width(self) -> float:
        return 3 / self.n_images


def _excess_kurtosis(values: np.ndarray) -> float:
    squares = (values - values.mean()) ** 2
    return float(np.mean(squares**2) / np.mean(squares) ** 2) - 3


def proportion_interval(values: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of a mean that is a proportion, computed on the logit scale.

    The logit scale keeps the interval inside [0, 1], and its coverage near 0 and 1, where the plain interval fails.
    Near 0 and 1 a few images make up the variance between images, so it is known less well than their number says. Half
    the kurtosis of the images' means lowers its degrees of freedom for that. If nothing varies, the interval reaches
    3 / images to either side (the rule of three, Hanley and Lippman-Hand 1983).

    Args:
        values: the metric's value for each seed and image, [seeds, images].

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
    half_width = special.stdtrit(df, (1 + CONFIDENCE) / 2) * np.sqrt(variance) / (mean * (1 - mean))
    centre = special.logit(mean)
    return float(special.expit(centre - half_width)), float(special.expit(centre + half_width))
