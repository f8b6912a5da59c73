"""The interval of a difference over searches: what other searches of the same networks would have come to.

The interval of `compare` speaks of two given configurations. A search drew each of them. So the variance of the
difference between networks, each tuned by a search, is

    V + tau_a^2 + tau_b^2

with the variance V over seeds and images and the variance tau^2 of each search (`analysis.statistics.search_luck`). Its
degrees of freedom are Satterthwaite's (1946).
"""

from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from analysis.statistics.calls import CONFIDENCE
from analysis.statistics.search_luck.luck import FREEDOM
from analysis.statistics.two_way_layout import TwoWayLayout


@dataclass(frozen=True)
class OverSearches:
    """Computes intervals of a difference over seeds, images and searches.

    Attributes:
        layout: the differences between paired runs, on each image.
        confidence: confidence of the intervals.
    """

    layout: TwoWayLayout
    confidence: float = CONFIDENCE

    def half_width(self, luck: tuple[float, float]) -> float:
        """Return the half-width of the interval of the mean. It is never below the interval without searches.

        Args:
            luck: the standard deviation of each network's true accuracy between searches, in [0, 1].
        """
        variance, df = self._variance(luck)
        reach = float(special.stdtrit(df, (1 + self.confidence) / 2) * np.sqrt(variance))
        return max(self.layout.half_width(self.confidence), reach)

    def p_value(self, luck: tuple[float, float]) -> float:
        """Return the two-sided p value of the mean being 0, below 1 - confidence exactly if the interval excludes 0."""
        return max(self.layout.p_value(), self._p_value_at(abs(self.layout.mean), luck))

    def p_value_beyond(self, margin: float, luck: tuple[float, float]) -> float:
        """Return the p value of the mean being at least the margin away from 0, by two one-sided tests."""
        distance = max(0.0, margin - abs(self.layout.mean))
        return max(self.layout.p_value_beyond(margin), self._p_value_at(distance, luck) / 2)

    def luck_to_overturn(self) -> float | None:
        """Return how large the luck of both searches would have to be for the interval to include 0.

        Returns:
            A standard deviation, the same for both networks; None if the interval without searches includes 0.
        """
        distance = abs(self.layout.mean)
        if self.layout.half_width(self.confidence) >= distance:
            return None
        # With a luck of this size the interval reaches further than the mean, because a t quantile is above 1.
        return float(optimize.brentq(lambda luck: self.half_width((luck, luck)) - distance, 0.0, distance))

    def _p_value_at(self, distance: float, luck: tuple[float, float]) -> float:
        variance, df = self._variance(luck)
        return float(2 * special.stdtr(df, -distance / np.sqrt(variance))) if variance else 0.0

    def _variance(self, luck: tuple[float, float]) -> tuple[float, float]:
        """Return the variance of the mean and its degrees of freedom."""
        alone, df = self.layout.variance_of_difference()
        parts = [(alone, df), *((one**2, FREEDOM) for one in luck)]
        variance = sum(part for part, _ in parts)
        spread = sum(part**2 / freedom for part, freedom in parts)
        return variance, variance**2 / spread if spread else df
