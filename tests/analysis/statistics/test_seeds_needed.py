"""The number of seeds or images that would show a difference."""

import numpy as np
import pytest

from analysis.statistics.comparison import compare
from analysis.statistics.two_way_layout import TwoWayLayout
from tests.analysis.statistics.test_compare import study


def test_seeds_needed_are_the_fewest_that_would_do() -> None:
    a, b = study(6, 0.012, accuracy=0.6, seed=3)
    comparison = compare(a, b)
    assert comparison.reason == "interval includes 0"
    layout = TwoWayLayout.of(a.astype(int) - b.astype(int))
    needed = comparison.seeds_needed
    assert needed is not None
    assert needed > 6
    assert layout.with_seeds(needed).half_width() < comparison.mean <= layout.with_seeds(needed - 1).half_width()


@pytest.mark.parametrize("seed", [336, 398, 1087, 1125])
def test_what_these_seeds_do_not_show_takes_more_of_them(seed: int) -> None:
    """In these draws the images vary less than the residual does, which is put right for any other number of seeds."""
    rng = np.random.default_rng(seed)
    found = compare(*(rng.random((5, 60)) < rng.random((5, 1)) * 0.1 + 0.75 for _ in range(2)))
    assert found.reason == "interval includes 0"
    assert found.seeds_needed is not None
    assert found.seeds_needed > 5


def test_no_number_of_seeds_shows_what_the_test_set_cannot() -> None:
    rng = np.random.default_rng(1)
    a, b = (np.repeat(rng.random((1, 300)) < 0.8, 6, axis=0) for _ in range(2))
    comparison = compare(a, b)
    assert comparison.reason == "interval includes 0"
    assert comparison.seeds_needed is None
    assert comparison.images_needed is not None
    times = comparison.images_needed / 300
    assert 1 < times < 100
    more, fewer = (compare(*(np.tile(side, int(times * share)) for side in (a, b))) for share in (1.2, 0.8))
    assert (more.reason, fewer.reason) == ("", "interval includes 0")


def test_no_fewer_seeds_are_asked_for_than_a_call_takes() -> None:
    rng = np.random.default_rng(0)
    found = compare(rng.random((3, 200)) < 0.9, rng.random((3, 200)) < 0.6)
    assert (found.reason, found.seeds_needed) == ("few seeds", 5)
