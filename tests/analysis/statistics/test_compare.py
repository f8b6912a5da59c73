"""Calls, intervals and p values of a comparison, against SciPy, worked values and simulation."""

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from analysis.statistics.comparison import compare, holm
from tests.pace import slowness

N = 2000


def study(
    n_seeds: int, difference: float, *, accuracy: float = 0.8, seed: int = 0, n_images: int = N
) -> tuple[np.ndarray, np.ndarray]:
    """Two networks whose errors are independent."""
    rng = np.random.default_rng(seed)
    a = rng.random((n_seeds, n_images)) < accuracy + difference
    return a, rng.random((n_seeds, n_images)) < accuracy


def paired(net_wins: list[int], n_images: int = N) -> tuple[np.ndarray, np.ndarray]:
    """In seed s, A is right on |net_wins[s]| images on which B is wrong, or the other way round."""
    a, b = (np.ones((len(net_wins), n_images), dtype=bool) for _ in range(2))
    for row, wins in enumerate(net_wins):
        (b if wins > 0 else a)[row, : abs(wins)] = False
    return a, b


pairs = st.tuples(st.integers(1, 8), st.integers(2, 12)).flatmap(
    lambda shape: st.tuples(arrays(bool, shape), arrays(bool, shape))
)


@given(pairs)
@settings(deadline=None)
def test_swapping_the_sides_flips_the_sign(pair: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = pair
    one, other = compare(a, b), compare(b, a)
    assert one.mean == -other.mean
    assert one.call == other.call
    assert one.winner == {"a": "b", "b": "a", None: None}[other.winner]
    assert one.prob_better == pytest.approx(1 - other.prob_better)
    np.testing.assert_allclose(one.ci95, (-other.ci95[1], -other.ci95[0]))
    np.testing.assert_allclose((one.p_value, one.equivalence_p), (other.p_value, other.equivalence_p))


@given(pairs, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_order_of_seeds_and_of_images_does_not_matter(pair: tuple[np.ndarray, np.ndarray], random: object) -> None:
    rng = np.random.default_rng(len(pair[0]))
    seeds, images = rng.permutation(pair[0].shape[0]), rng.permutation(pair[0].shape[1])
    one, other = compare(*pair), compare(*(side[seeds][:, images] for side in pair))
    assert (one.call, one.winner, one.mean, one.prob_better) == (
        other.call,
        other.winner,
        other.mean,
        other.prob_better,
    )
    np.testing.assert_allclose([*one.ci95, one.p_value], [*other.ci95, other.p_value], atol=1e-12)


@given(pairs)
@settings(deadline=None)
def test_the_p_value_inverts_the_interval(pair: tuple[np.ndarray, np.ndarray]) -> None:
    comparison = compare(*pair)
    if len(pair[0]) > 1 and abs(comparison.p_value - 0.05) > 1e-9:
        excludes_zero = comparison.ci95[0] > 0 or comparison.ci95[1] < 0
        assert (comparison.p_value < 0.05) == excludes_zero


@given(pairs, st.floats(0.001, 1.5))
@settings(deadline=None)
def test_a_wider_margin_is_easier_to_lie_in(pair: tuple[np.ndarray, np.ndarray], margin: float) -> None:
    narrow, wide = compare(*pair, margin=margin), compare(*pair, margin=margin + 0.1)
    if len(pair[0]) > 1:
        assert wide.equivalence_p <= narrow.equivalence_p
        assert margin > abs(narrow.mean) or narrow.equivalence_p == 1
        assert max(narrow.not_worse_p) == pytest.approx(narrow.equivalence_p)


@given(arrays(bool, st.tuples(st.integers(1, 8), st.integers(2, 12))))
@settings(deadline=None)
def test_identical_predictions_are_never_better(correct: np.ndarray) -> None:
    comparison = compare(correct, correct)
    assert comparison.winner is None
    assert comparison.call != "better"
    assert (comparison.mean, comparison.prob_better) == (0.0, 0.5)
    if len(correct) > 1:
        assert comparison.p_value == 1.0
        assert comparison.ci95 == pytest.approx((-3 / correct.shape[1], 3 / correct.shape[1]))


def test_the_interval_is_that_of_a_two_way_layout() -> None:
    a, b = study(6, 0.02)
    difference = a.astype(float) - b
    grand = difference.mean()
    by_seed, by_image = difference.mean(axis=1), difference.mean(axis=0)
    ms_seed = N * by_seed.var(ddof=1)
    ms_image = 6 * by_image.var(ddof=1)
    residual = difference - by_seed[:, None] - by_image + grand
    ms_residual = (residual**2).sum() / (5 * (N - 1))
    both = ms_seed + ms_image - ms_residual
    df = both**2 / (ms_seed**2 / 5 + ms_image**2 / (N - 1) + ms_residual**2 / (5 * (N - 1)))
    variance, df = max((ms_seed, 5), (ms_image, N - 1), (both, df))
    low, high = stats.t.interval(0.95, df, loc=grand, scale=math.sqrt(variance / (6 * N)))
    comparison = compare(a, b)
    assert comparison.ci95 == pytest.approx((low, high))
    assert comparison.p_value == pytest.approx(2 * stats.t.sf(abs(grand) / math.sqrt(variance / (6 * N)), df))


def test_better() -> None:
    comparison = compare(*study(5, 0.05))
    assert (comparison.call, comparison.winner, comparison.reason) == ("better", "a", "")
    assert comparison.ci95[0] > 0.005
    assert comparison.prob_better == 1.0


@pytest.mark.parametrize(("expected", "chance", "seeds"), [(6, 0.9, 10), (20, 0.9, 5), (40, 0.5, 5)])
def test_a_difference_of_just_the_margin_is_called_equivalent_in_at_most_5_of_100(
    expected: int, chance: float, seeds: int
) -> None:
    """A never errs, and B misses a few hard images of 1,000."""
    rng, margin = np.random.default_rng(0), expected * chance / 1000
    right, found = np.ones((seeds, 1000), bool), []
    for _ in range(600):
        misses = (rng.random(1000) < expected / 1000) & (rng.random((seeds, 1000)) < chance)
        found.append(compare(right, ~misses, margin=margin - 1e-9).equivalence_p < 0.05)
    # A standard error of a share of 0.05 is 0.009.
    assert np.mean(found) <= 0.05 + 2 * 0.009


def test_two_one_sided_tests_find_more_networks_equivalent_than_the_interval_does() -> None:
    rng = np.random.default_rng(0)
    by_tests = by_interval = 0
    for _ in range(200):
        chance = rng.beta(8, 1, 10_000)
        a, b = (rng.random((5, 10_000)) < chance for _ in range(2))
        comparison = compare(a, b)
        by_tests += comparison.call == "equivalent"
        by_interval += max(map(abs, comparison.ci95)) < comparison.margin
    assert by_tests > 1.2 * by_interval > 0


def test_many_of_few_errors_are_not_equivalent() -> None:
    """8 and 28 errors of 10,000: less than the margin of 0.5 points, but most of the errors."""
    a, b = np.ones((5, 10_000), bool), np.ones((5, 10_000), bool)
    a[:, :8], b[:, :28] = False, False
    comparison = compare(a, b)
    assert (comparison.call, comparison.reason) == ("not shown", "many of the errors")
    assert compare(a, b, margin=0.001).call == "better"
    assert compare(b, b).call == "equivalent"


def test_equivalent_only_strictly_inside_the_margin() -> None:
    a, b = paired([0] * 6, n_images=600)
    assert compare(a, b).ci95 == pytest.approx((-0.005, 0.005))
    assert compare(a, b).call == "not shown"
    assert compare(a, b, margin=0.00501).call == "equivalent"
    assert compare(a, b, margin=0.0).call == "not shown"


def test_one_miss_makes_no_surer_than_none() -> None:
    widths = [np.ptp(compare(*paired([misses, 0, 0, 0, 0], n_images=360)).ci95) for misses in (0, 1, 2)]
    assert widths[0] == pytest.approx(6 / 360)
    assert widths[0] <= widths[1] <= widths[2]


def test_a_difference_that_hangs_on_few_images_is_seldom_called_equivalent() -> None:
    """A never errs, B in nine runs of ten on some 5 or 6 of 1,000 images: just over the margin of 0.5 points."""
    rng = np.random.default_rng(0)
    a, truth = np.ones((10, 1000), bool), 0.00501
    found = []
    for _ in range(600):
        is_hard = rng.random(1000) < truth / 0.9
        found.append(compare(a, ~(is_hard & (rng.random((10, 1000)) < 0.9))))
    # A standard error of a share near 0.05 is 0.009.
    assert np.mean([one.call == "equivalent" for one in found]) <= 0.055
    assert np.mean([one.ci95[0] <= truth <= one.ci95[1] for one in found]) >= 0.94


@pytest.mark.parametrize("n_seeds", [1, 2, 3, 4])
def test_few_seeds_never_call(n_seeds: int) -> None:
    for difference in (0.0, 0.2):
        comparison = compare(*study(n_seeds, difference))
        assert (comparison.call, comparison.winner, comparison.reason) == ("not shown", None, "few seeds")


def test_one_seed() -> None:
    comparison = compare(*study(1, 0.2))
    assert all(math.isnan(value) for value in (*comparison.ci95, comparison.p_value, comparison.equivalence_p))
    assert comparison.mean > 0.1


def test_a_difference_below_the_margin_is_not_called() -> None:
    a, b = paired([450, 350, 550, 400, 500, 450], n_images=100_000)
    comparison = compare(a, b)
    assert 0 < comparison.ci95[0] < 0.005 < comparison.ci95[1]
    assert (comparison.call, comparison.reason) == ("not shown", "below the margin")
    assert compare(a, b, margin=0.001).call == "better"


def test_a_network_whose_runs_seldom_win_is_not_called() -> None:
    wins = [-8, -8, -8, *[150] * 7]
    comparison = compare(*paired(wins))
    assert comparison.ci95[0] > 0
    assert comparison.prob_better == 0.7
    assert (comparison.call, comparison.reason) == ("not shown", "wins too few runs")
    assert compare(*paired([-8, -8, *[150] * 6])).call == "better"


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (np.ones((2, 3)), np.ones((2, 3))),
        (np.ones((2, 3), bool), np.ones((3, 2), bool)),
        (np.ones(3, bool), np.ones(3, bool)),
        (np.ones((0, 3), bool), np.ones((0, 3), bool)),
        (np.ones((2, 1), bool), np.ones((2, 1), bool)),
        (np.ones((1, 2, 3), bool), np.ones((1, 2, 3), bool)),
    ],
)
def test_unfit_arrays_are_refused(a: np.ndarray, b: np.ndarray) -> None:
    with pytest.raises(ValueError, match="array"):
        compare(a, b)


@pytest.mark.parametrize("margin", [-0.1, float("nan")])
def test_an_unfit_margin_is_refused(margin: float) -> None:
    with pytest.raises(ValueError, match="margin"):
        compare(*study(2, 0.0), margin=margin)


def test_ten_seeds_of_ten_thousand_images_take_a_fifth_of_a_second_on_a_server() -> None:
    a, b = study(10, 0.01, n_images=10_000)
    seconds = []
    for _ in range(5):
        start = time.process_time()
        compare(a, b)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.2 * slowness()


def test_coverage_with_seeds_and_images_random() -> None:
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(400):
        sides = []
        shared = rng.normal(size=500)
        for _side in range(2):
            latent = 1.0 + shared + rng.normal(size=500) + 0.1 * rng.normal(size=(5, 1))
            sides.append(latent + rng.normal(size=(5, 500)) > 0)
        low, high = compare(*sides).ci95
        covered += low <= 0 <= high
    assert 0.92 <= covered / 400 <= 0.985


def test_holm_against_worked_values() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []
    assert holm([0.02, float("nan"), 0.01]) == pytest.approx([0.02, float("nan"), 0.02], nan_ok=True)


def test_an_interval_that_touches_0_does_not_exclude_it() -> None:
    """Three images that nothing varies on: 1 to either side of a difference of 1."""
    found = compare(np.ones((5, 3), bool), np.zeros((5, 3), bool))
    assert (found.ci95, found.call, found.reason) == ((0.0, 2.0), "not shown", "interval includes 0")


def test_a_difference_of_just_the_margin_matters() -> None:
    found = compare(np.ones((5, 10), bool), np.zeros((5, 10), bool), margin=1.0)
    assert (found.mean, found.call, found.winner) == (1.0, "better", "a")
