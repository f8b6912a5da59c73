"""Intervals over paired seeds and images: a layout worked by hand, coverage, limits, and cases at the edge."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from analysis.statistics.metrics import image_values
from analysis.statistics.two_way_layout import TwoWayLayout, proportion_interval

# 2 seeds x 3 images. Row means 3 and 5, column means 1.5, 4, 6.5, grand mean 4.
# SS_s = 3 (1 + 1) = 6, SS_i = 2 (6.25 + 0 + 6.25) = 25, SS = 9 + 1 + 4 + 4 + 0 + 16 = 34 - so SS_e = 34 - 31 = 3.
LAYOUT = np.array([[1.0, 2.0, 6.0], [2.0, 6.0, 7.0]])


def test_a_layout_worked_by_hand() -> None:
    layout = TwoWayLayout.of(LAYOUT)
    assert layout.mean == pytest.approx(4)
    assert (layout.ms_seed, layout.ms_image, layout.ms_residual) == pytest.approx((6 / 1, 25 / 2, 3 / 2))
    total = 6 + 12.5 - 1.5
    df = total**2 / (6**2 / 1 + 12.5**2 / 2 + 1.5**2 / 2)
    assert layout.variance_of_mean() == pytest.approx((total / 6, df))
    assert layout.half_width() == pytest.approx(stats.t.ppf(0.975, df) * np.sqrt(total / 6))
    assert layout.p_value() == pytest.approx(2 * stats.t.sf(4 / np.sqrt(total / 6), df))


def test_two_networks_add_their_variances_between_seeds() -> None:
    other = np.array([[0.0, 1.0, 2.0], [3.0, 3.0, 3.0]])  # row means 1 and 3: the variances are 2 and 2
    layout = TwoWayLayout.between(LAYOUT, other, paired=False)
    paired = TwoWayLayout.between(LAYOUT, other, paired=True)
    assert (layout.mean, layout.ms_seed, layout.df_seed) == pytest.approx((2, 3 * (2 + 2), 2))
    assert (paired.ms_seed, paired.df_seed) == (0, None)
    assert (layout.ms_image, layout.ms_residual) == (paired.ms_image, paired.ms_residual)
    third = TwoWayLayout.between(LAYOUT, 2 * other, paired=False)
    assert (third.ms_seed, third.df_seed) == pytest.approx((3 * (2 + 8), 10**2 / (2**2 + 8**2)))
    assert third.with_seeds(5).df_seed == pytest.approx(4 * 100 / 68)
    assert TwoWayLayout.between(LAYOUT, LAYOUT, paired=False).half_width() == 3 / 3, "runs that are equal are paired"


@pytest.mark.parametrize(("sd_a", "sd_b"), [(1.0, 1.0), (1.0, 4.0)])
def test_the_interval_of_two_networks_holds_their_difference_and_is_narrower(sd_a: float, sd_b: float) -> None:
    rng, studies, seeds, images = np.random.default_rng(0), 2_000, 5, 20
    noise = rng.normal(size=(2, studies, seeds, images)) + 2 * rng.normal(size=(2, studies, 1, images))
    spread = np.array([sd_a, sd_b])[:, None, None, None] * rng.normal(size=(2, studies, seeds, 1))
    layouts = [
        [TwoWayLayout.between(a, b, paired=paired) for paired in (False, True)]
        for a, b in zip(*(noise + spread), strict=True)
    ]
    held = np.mean([abs(unpaired.mean) <= unpaired.half_width() for unpaired, _ in layouts])
    assert held > 0.94
    widths = np.mean([[one.half_width() for one in both] for both in layouts], axis=0)
    assert widths[0] < 0.99 * widths[1]


@pytest.mark.parametrize(
    ("values", "variance", "df"),
    [
        # Seeds differ, images do not: MS_s = 3 x 2 x 0.25 / 1.
        ([[0, 0, 0], [1, 1, 1]], 1.5 / 6, 1),
        # Images differ, seeds do not: MS_i = 2 x 2/3 / 2.
        ([[0, 1, 0], [0, 1, 0]], (2 / 3) / 6, 2),
        # MS_s = 0, MS_i = 1/3, MS_e = 1/3: the sum of the three is below MS_i.
        ([[1, 0, 0, 1], [0, 1, 0, 1]], (1 / 3) / 8, 3),
        # The same with seeds and images exchanged.
        ([[1, 0], [0, 1], [0, 0], [1, 1]], (1 / 3) / 8, 3),
    ],
)
def test_never_below_what_one_source_gives(values: list[list[int]], variance: float, df: float) -> None:
    assert TwoWayLayout.of(np.array(values)).variance_of_mean() == pytest.approx((variance, df))


def test_degrees_of_freedom_are_at_least_one() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        values = rng.random((2, 3)) < 0.5
        assert TwoWayLayout.of(values).variance_of_mean()[1] >= 1


@pytest.mark.parametrize("shape", [(3,), (1, 5), (5, 1), (2, 2, 2), (0, 0)])
def test_other_arrays_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="seeds >= 2, images >= 2"):
        TwoWayLayout.of(np.zeros(shape))


@pytest.mark.parametrize("level", [0.5, 3.0])
def test_an_interval_is_one_of_t_on_the_logit_scale(level: float) -> None:
    values = _correct(np.random.default_rng(5), 5, 40, level)
    mean, layout = values.mean(), TwoWayLayout.of(values)
    total = layout.ms_seed + layout.ms_image - layout.ms_residual
    assert total > max(layout.ms_seed, layout.ms_image)
    df_image = 1 / (1 / 39 + max(0, stats.kurtosis(values.mean(axis=0))) / 2 / 80)
    df = total**2 / (layout.ms_seed**2 / 4 + layout.ms_image**2 / df_image + layout.ms_residual**2 / (4 * 39))
    half_width = stats.t.ppf(0.975, df) * np.sqrt(total / 200) / (mean * (1 - mean))
    low, high = proportion_interval(values)
    assert special.logit([low, high]) == pytest.approx(special.logit(mean) + half_width * np.array([-1, 1]))


def _correct(rng: np.random.Generator, seeds: int, images: int, level: float) -> np.ndarray:
    """Skill of seeds and easiness of images are random, and so is the rest."""
    skill, easiness = rng.normal(0, 0.15, (seeds, 1)), rng.normal(0, 1.2, (1, images))
    return rng.random((seeds, images)) < special.expit(level + skill + easiness)


@pytest.mark.parametrize("seeds", [5, 10])
@pytest.mark.parametrize("level", [0.5, 3.5])
def test_coverage(seeds: int, level: float) -> None:
    rng = np.random.default_rng(1)
    truth = _correct(rng, 3000, 3000, level).mean()
    intervals = np.array([proportion_interval(_correct(rng, seeds, 200, level)) for _ in range(400)])
    covered = np.mean((intervals[:, 0] <= truth) & (truth <= intervals[:, 1]))
    assert 0.92 <= covered <= 0.995
    assert np.mean(intervals[:, 1] - intervals[:, 0]) < 0.2


@settings(deadline=None)
@given(st.integers(2, 6), st.integers(2, 30), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_limits_hold_the_mean_and_stay_within_0_and_1(seeds: int, images: int, level: float, seed: int) -> None:
    values = np.random.default_rng(seed).random((seeds, images)) < level
    low, high = proportion_interval(values)
    assert 0 <= low <= values.mean() <= high <= 1


def test_one_seed_has_no_interval() -> None:
    assert np.isnan(proportion_interval(np.ones((1, 50)))).all()


@pytest.mark.parametrize(
    ("value", "expected"), [(0.0, (0.0, 0.03)), (1.0, (0.97, 1.0)), (0.5, (0.47, 0.53)), (0.3, (0.27, 0.33))]
)
def test_where_nothing_varies_the_rule_of_three(value: float, expected: tuple[float, float]) -> None:
    assert proportion_interval(np.full((4, 100), value)) == pytest.approx(expected)


@pytest.mark.parametrize(("seeds", "n_classes"), [(2, 10), (5, 10), (7, 3)])
def test_the_rule_of_three_holds_whatever_rounding_does(seeds: int, n_classes: int) -> None:
    """The macro recall of a network that always answers the same is constant: one over the number of classes."""
    labels = np.arange(1000) % n_classes
    values = image_values(np.zeros((seeds, 1000), np.int64), labels, n_classes)["recall"]
    assert proportion_interval(values) == pytest.approx((1 / n_classes - 0.003, 1 / n_classes + 0.003))


def test_of_equal_variances_the_one_known_least_well_counts() -> None:
    layout = TwoWayLayout(n_seeds=3, n_images=5, mean=0.0, ms_seed=2.0, ms_image=6.0, ms_residual=2.0)
    df_both = 6**2 / (2**2 / 2 + 6**2 / 4 + 2**2 / 8)
    assert df_both < 4, "the degrees of freedom between images"
    assert layout.variance_of_mean() == pytest.approx((6 / 15, df_both))
