"""Each call of a comparison has its sentence."""

from dataclasses import replace

import numpy as np
import pytest

from analysis.statistics.comparison import compare
from analysis.verdict.wording import describe


def correct(accuracies: list[float], n: int = 2000, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([rng.random(n) < accuracy for accuracy in accuracies])


def test_every_call_has_its_sentence() -> None:
    high, low = correct([0.9] * 6), correct([0.8] * 6, seed=1)
    assert describe(compare(high, low), "A", "B", 6).startswith("A is better than B by ")
    assert describe(compare(low, high), "A", "B", 6).startswith("B is better than A by ")
    assert "are equivalent" in describe(compare(high, high), "A", "B", 6)
    assert "1 seed cannot show one" in describe(compare(high[:1], low[:1]), "A", "B", 1)
    assert "3 seeds cannot show one" in describe(compare(high[:3], low[:3]), "A", "B", 3)
    close = compare(correct([0.8] * 6, seed=2), correct([0.803] * 6, seed=3))
    assert "the interval includes 0" in describe(close, "A", "B", 6)
    none = replace(close, seeds_needed=None, images_needed=1234)
    assert describe(none, "A", "B", 6).endswith(
        "on this test set. About 1,200 test images and very many seeds are needed."
    )
    within = replace(close, mean=0.004, seeds_needed=99)
    chance = "99 seeds give an even chance that the interval excludes 0"
    assert describe(within, "A", "B", 6).endswith(f" {chance}. But a difference this small does not matter.")
    beyond = replace(close, mean=0.006, seeds_needed=99, prob_better=0.75)
    assert describe(beyond, "A", "B", 6).endswith(f"If the true difference is this large, {chance}.")
    for mean, prob_better, leader in ((0.006, 0.7, "A"), (-0.006, 0.3, "B")):
        rarely = replace(beyond, mean=mean, prob_better=prob_better)
        assert describe(rarely, "A", "B", 6).endswith(
            f"{chance}. But {leader} wins only 70 % of the paired runs, and it is not called better below 75 %."
        )


@pytest.mark.parametrize(
    ("mean", "points"), [(0.00495, "0.495"), (0.0049999, "0.49999"), (1 / 160_000, "0.001"), (0.005, "0.50")]
)
def test_points_show_on_which_side_of_0_and_of_the_margin_they_lie(mean: float, points: str) -> None:
    right = correct([0.9] * 6)
    below = replace(compare(right, right), mean=mean, call="not shown", reason="below the margin", margin=0.005)
    assert f" is {points} percentage points ahead" in describe(below, "A", "B", 6)
