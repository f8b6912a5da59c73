"""The interval of two files, against its exact coverage and worked values."""

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.predictions.two_files import bonett_price, compare_files


def coverage(n: int, only_a: float, only_b: float) -> float:
    """Return the exact coverage: the chance of each pair of counts, summed where the interval holds the truth."""
    discordant = only_a + only_b
    covered = 0.0
    for total in range(int(n * discordant + 8 * np.sqrt(n * discordant)) + 5):
        chance = stats.binom.pmf(total, n, discordant)
        if chance < 1e-12:
            continue
        by_a = stats.binom.pmf(np.arange(total + 1), total, only_a / discordant)
        for count, share in enumerate(by_a):
            low, high = bonett_price(count, total - count, n)
            covered += chance * share * (low <= only_a - only_b <= high)
    return covered


@pytest.mark.parametrize(
    ("n", "only_a", "only_b"), [(200, 0.1, 0.1), (200, 0.05, 0.02), (200, 0.15, 0.05), (500, 0.01, 0.0)]
)
def test_the_interval_holds_the_difference_in_95_of_100_test_sets(n: int, only_a: float, only_b: float) -> None:
    found = coverage(n, only_a, only_b)
    assert found >= 0.95
    # If few images are discordant, their counts are so coarse that the interval holds the truth more often.
    assert found <= 0.97 or n * (only_a + only_b) < 10


def of_counts(n: int, only_a: int, only_b: int) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.ones(n, bool), np.ones(n, bool)
    b[:only_a] = False
    a[only_a : only_a + only_b] = False
    return a, b


@pytest.mark.parametrize(
    ("n", "only_a", "only_b", "call", "winner", "reason"),
    [
        (1000, 80, 40, "better", "a", ""),
        (1000, 40, 80, "better", "b", ""),
        (1000, 60, 50, "not shown", None, "interval includes 0"),
        (100_000, 500, 300, "equivalent", None, ""),
        (100_000, 900, 450, "not shown", None, "below the margin"),
        (1000, 0, 0, "equivalent", None, ""),
    ],
)
def test_calls_are_those_of_networks(n: int, only_a: int, only_b: int, call: str, winner: object, reason: str) -> None:
    found = compare_files(*of_counts(n, only_a, only_b), margin=0.005)
    assert (found.call, found.winner, found.reason) == (call, winner, reason)
    assert (found.only_a, found.only_b, found.mean) == (only_a, only_b, (only_a - only_b) / n)
    assert found.ci95[0] < found.mean < found.ci95[1]


def test_the_interval_against_a_worked_value() -> None:
    # (80 - 40) / 1002 = 0.03992; sqrt(81 + 41 - 1600 / 1002) / 1002 = 0.010951.
    assert bonett_price(80, 40, 1000) == pytest.approx((0.03992 - 1.96 * 0.010951, 0.03992 + 1.96 * 0.010951), abs=2e-5)
    assert bonett_price(3, 0, 3)[1] == 1.0


def test_the_order_of_the_sides_changes_the_sign_alone() -> None:
    assert bonett_price(7, 3, 50) == tuple(-limit for limit in reversed(bonett_price(3, 7, 50)))
