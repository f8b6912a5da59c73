"""Tests the difference that 4 of 5 studies call "better", by simulated studies of known variances."""

import numpy as np
import pytest

from analysis.statistics.comparison import POWER, compare, detectable_difference
from analysis.statistics.two_way_layout import TwoWayLayout

N_IMAGES = 1000


def studies(rng: np.random.Generator, n_seeds: int, difference: float, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Return two networks of equal images: A is more accurate by a difference, and seeds and images both vary."""
    difficulty = rng.uniform(0.3, 0.9, N_IMAGES)
    sides = []
    for shift in (difference / 2, -difference / 2):
        own = difficulty + 0.1 * rng.uniform(-1, 1, N_IMAGES)
        chance = own + shift + noise * rng.normal(size=(n_seeds, 1))
        sides.append(rng.random((n_seeds, N_IMAGES)) < chance)
    return sides[0], sides[1]


SLOW = pytest.mark.slow


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize(
    ("n_seeds", "noise"),
    [
        (10, 0.02),
        *(pytest.param(*cell, marks=SLOW) for cell in [(5, 0.003), (5, 0.02), (10, 0.003), (20, 0.003), (20, 0.02)]),
    ],
)
def test_seeds_show_the_difference_in_4_of_5_studies(n_seeds: int, noise: float, paired: bool) -> None:
    rng = np.random.default_rng(n_seeds)
    # 400 seeds tell the variances well.
    a, b = studies(rng, 400, 0.0, noise)
    layout = TwoWayLayout.between(a.astype(np.int8), b.astype(np.int8), paired=paired)
    difference = detectable_difference(layout, n_seeds)
    found = [compare(*studies(rng, n_seeds, difference, noise), paired=paired) for _ in range(500)]
    shown = np.mean([one.call == "better" for one in found])
    # A standard error of the share is 0.02.
    assert POWER - 0.05 <= shown <= POWER + 0.05


def test_it_depends_on_the_variances_and_not_on_the_mean() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(5, 200)) + rng.normal(size=(5, 1))
    one, other = (detectable_difference(TwoWayLayout.of(values + shift), 10) for shift in (0.0, 0.3))
    assert one == pytest.approx(other)


def test_a_comparison_knows_it_for_its_own_seeds_and_for_usual_numbers() -> None:
    a, b = studies(np.random.default_rng(0), 7, 0.01, 0.02)
    detectable = compare(a, b).detectable
    assert [*detectable] == [5, 7, 10, 20]
    assert [*detectable.values()] == sorted(detectable.values(), reverse=True)
    assert compare(a[:1], b[:1]).detectable == {}
    assert [*compare(a[:3], b[:3]).detectable] == [5, 10, 20], "3 seeds show nothing"


def test_equal_predictions_still_leave_the_rule_of_three() -> None:
    a, _ = studies(np.random.default_rng(0), 5, 0.0, 0.02)
    assert compare(a, a, margin=0.0).detectable[20] == pytest.approx(6 / N_IMAGES)


def test_what_wins_too_few_pairs_is_not_said_to_be_shown() -> None:
    """Pairs deviate by 2 points. 40 seeds tell 1 point from 0, but a network 1 point ahead wins 69 % of the pairs."""
    layout = TwoWayLayout(40, 10_000, 0.0, 10_000 * 0.02**2, 0.1, 0.1)
    assert layout.half_width() + layout.half_width(2 * POWER - 1) < 0.01
    assert detectable_difference(layout, 40) == pytest.approx(0.02 * (0.6357 + 0.8416 * (1.8225 / 40) ** 0.5), rel=1e-3)


def test_a_difference_below_the_margin_is_not_said_to_be_shown() -> None:
    layout = TwoWayLayout.of(np.random.default_rng(0).normal(0, 0.01, (5, 10_000)))
    assert detectable_difference(layout, 20) < 0.005 < detectable_difference(layout, 20, margin=0.005)
