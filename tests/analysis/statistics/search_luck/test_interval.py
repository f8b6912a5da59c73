"""The interval over searches, from known variances."""

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.search_luck.interval import OverSearches
from analysis.statistics.search_luck.luck import FREEDOM
from analysis.statistics.two_way_layout import TwoWayLayout


def layout(mean: float, n_seeds: int = 10, spread: float = 0.02) -> TwoWayLayout:
    """Return a layout whose seeds alone vary, with variance spread^2 / seeds of the mean."""
    return TwoWayLayout(n_seeds, 10_000, mean, 10_000 * spread**2, 0.1, 0.1)


def test_variances_add_with_satterthwaites_degrees_of_freedom() -> None:
    alone, luck = 0.02**2 / 10, (0.01, 0.004)
    variance = alone + 0.01**2 + 0.004**2
    df = variance**2 / (alone**2 / 9 + (0.01**4 + 0.004**4) / FREEDOM)
    assert OverSearches(layout(0.05)).half_width(luck) == pytest.approx(stats.t.ppf(0.975, df) * np.sqrt(variance))


def test_no_luck_leaves_the_interval_as_it_is() -> None:
    one = layout(0.05)
    assert OverSearches(one).half_width((0.0, 0.0)) == one.half_width()
    assert OverSearches(one).p_value((0.0, 0.0)) == one.p_value()


@pytest.mark.parametrize("luck", [(0.0, 0.0), (0.001, 0.001), (0.01, 0.02), (0.03, 0.0)])
@pytest.mark.parametrize("mean", [0.002, 0.012, 0.02, -0.05])
def test_p_is_below_5_percent_exactly_if_the_interval_excludes_0(mean: float, luck: tuple[float, float]) -> None:
    over = OverSearches(layout(mean, 5))
    assert (over.p_value(luck) < 0.05) == (over.half_width(luck) < abs(mean))
    assert over.half_width(luck) >= over.layout.half_width()


@pytest.mark.parametrize("mean", [0.002, -0.012, 0.02])
def test_more_luck_makes_it_harder_to_lie_inside_the_margin(mean: float) -> None:
    over = OverSearches(layout(mean, 5))
    p_values = [over.p_value_beyond(0.04, (luck, luck)) for luck in (0.0, 0.004, 0.008, 0.03)]
    assert p_values == sorted(p_values)
    assert p_values[0] == pytest.approx(over.layout.p_value_beyond(0.04))
    assert p_values[0] < 0.05 < p_values[-1]
    assert over.p_value_beyond(abs(mean), (0.0, 0.0)) == 1


def test_the_luck_to_overturn_brings_the_interval_to_0() -> None:
    over = OverSearches(layout(0.05))
    luck = over.luck_to_overturn()
    assert luck is not None
    assert over.half_width((luck, luck)) == pytest.approx(0.05)
    assert OverSearches(layout(0.01)).luck_to_overturn() is None


def test_differences_without_any_variance_have_an_interval() -> None:
    over = OverSearches(TwoWayLayout(5, 1_000, 0.05, 0.0, 0.0, 0.0))
    assert over.half_width((0.0, 0.0)) == 0.003
    assert over.p_value((0.0, 0.0)) < 0.05
    assert over.luck_to_overturn() is not None
