"""The ratio of two times, and its interval over rounds."""

import numpy as np
import pytest

from analysis.statistics.time_ratio import time_ratio


def test_the_ratio_is_the_geometric_mean_of_the_rounds() -> None:
    result = time_ratio([2.0, 8.0, 4.0], [1.0, 2.0, 2.0])
    assert result.ratio == pytest.approx(2 ** (4 / 3))
    # The logs to the base 2 are 1, 2 and 1; t(2) at 97.5 % is 4.3027.
    half = 4.3027 * np.std([1, 2, 1], ddof=1) / 3**0.5
    assert result.ci95 == pytest.approx((2 ** (4 / 3 - half), 2 ** (4 / 3 + half)), rel=1e-4)
    assert result.half_width == pytest.approx(2**half - 1, rel=1e-4)


def test_a_disturbance_that_slows_both_in_a_round_changes_nothing() -> None:
    slowed = time_ratio([2.0, 20.0, 2.0], [1.0, 10.0, 1.0])
    assert slowed.ratio == pytest.approx(2)
    assert slowed.ci95 == pytest.approx((2, 2))


def test_the_interval_holds_the_ratio_in_95_of_100_measurements() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(2000):
        a, b = np.exp(rng.normal(np.log([[3.0], [1.0]]), 0.1, (2, 5)))
        low, high = time_ratio(a, b).ci95
        held += low <= 3 <= high
    assert held / 2000 == pytest.approx(0.95, abs=0.015)


def test_one_round_has_no_interval() -> None:
    result = time_ratio([2.0], [1.0])
    assert result.ratio == pytest.approx(2)
    assert np.isnan(result.ci95).all() and np.isnan(result.half_width)


@pytest.mark.parametrize(("a", "b"), [([1.0], [1.0, 2.0]), ([], [])])
def test_rounds_that_do_not_belong_together_are_refused(a: list[float], b: list[float]) -> None:
    with pytest.raises(ValueError, match="needs the same rounds of both"):
        time_ratio(a, b)
