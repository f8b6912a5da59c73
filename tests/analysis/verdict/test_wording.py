"""Each call of a comparison has its sentence."""

from dataclasses import replace

import numpy as np
import pytest

from analysis.statistics.comparison import compare
from analysis.verdict.wording import decimals, describe


def correct(accuracies: list[float], n: int = 2000, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([rng.random(n) < accuracy for accuracy in accuracies])


def test_every_call_has_its_sentence() -> None:
    high, low = correct([0.9] * 6), correct([0.8] * 6, seed=1)
    assert describe(compare(high, low), "A", "B", 6).text.startswith("A is more accurate than B. A is ")
    assert describe(compare(low, high), "A", "B", 6).text.startswith("B is more accurate than A. B is ")
    assert describe(compare(high, low), "A", "B", 6).text.endswith(" It wins 6 of 6 paired runs.")
    own = ", each with its own search space"
    assert describe(compare(high, low), "A", "B", 6, own).headline == f"A is more accurate than B{own}."
    assert describe(compare(high[:3], low[:3]), "A", "B", 3, own).headline.endswith(f"B{own}: 3 seeds cannot show one.")
    assert "are equivalent in accuracy" in describe(compare(high, high), "A", "B", 6).text
    assert "1 seed cannot show one" in describe(compare(high[:1], low[:1]), "A", "B", 1).text
    assert "3 seeds cannot show one" in describe(compare(high[:3], low[:3]), "A", "B", 3).text
    close = compare(correct([0.8] * 6, seed=2), correct([0.803] * 6, seed=3))
    assert "the interval includes 0" in describe(close, "A", "B", 6).text
    none = replace(close, seeds_needed=None, images_needed=1234)
    assert describe(none, "A", "B", 6).text.endswith(
        "on this test set. About 1,200 test images and very many seeds are needed."
    )
    within = replace(close, mean=0.004, seeds_needed=99)
    chance = "99 seeds give an even chance that the interval excludes 0"
    assert describe(within, "A", "B", 6).text.endswith(f" {chance}. But a difference this small does not matter.")
    beyond = replace(close, mean=0.006, seeds_needed=99, prob_better=0.75)
    assert describe(beyond, "A", "B", 6).text.endswith(f"If the true difference is this large, {chance}.")
    for mean, prob_better, leader in ((0.006, 0.7, "A"), (-0.006, 0.3, "B")):
        rarely = replace(beyond, mean=mean, prob_better=prob_better)
        assert describe(rarely, "A", "B", 10).text.endswith(
            f"{chance}. But {leader} wins only 7 of 10 paired runs, and it is not called better below 75 % of them."
        )


@pytest.mark.parametrize(
    ("mean", "points"), [(0.00495, "0.495"), (0.0049999, "0.49999"), (1 / 160_000, "0.001"), (0.005, "0.5")]
)
def test_points_show_on_which_side_of_0_and_of_the_margin_they_lie(mean: float, points: str) -> None:
    right = correct([0.9] * 6)
    below = replace(compare(right, right), mean=mean, call="not shown", reason="below the margin", margin=0.005)
    assert f" is {points} percentage points ahead" in describe(below, "A", "B", 6).text


@pytest.mark.parametrize(
    ("half_width", "mean", "said"),
    [
        (0.02, 0.3222, "32 percentage points ahead (95 % interval 30 to 34)"),
        (0.012, 0.0153, "1.5 percentage points ahead (95 % interval 0.3 to 2.7)"),
        (0.0031, 0.0407, "4.1 percentage points ahead (95 % interval 3.8 to 4.4)"),
        (0.0031, -0.0407, "4.1 percentage points ahead (95 % interval 3.8 to 4.4)"),
        (0.02, 0.003, "0.3 percentage points ahead (95 % interval \N{MINUS SIGN}1.7 to 2.3)"),
        (0.0046, 0.0002, "0.02 percentage points ahead (95 % interval \N{MINUS SIGN}0.44 to 0.48)"),
        (0.01, 0.01, "1 percentage point ahead (95 % interval 0 to 2)"),
    ],
)
def test_a_difference_has_the_decimals_that_its_interval_supports(half_width: float, mean: float, said: str) -> None:
    right = correct([0.9] * 6)
    shown = replace(compare(right, right), mean=mean, ci95=(mean - half_width, mean + half_width), margin=0.005)
    assert said in describe(shown, "A", "B", 6).difference


def test_decimals_end_where_only_the_computer_rounds() -> None:
    assert decimals((0.1, 0.3), [0.2], (0,)) == 0
    assert decimals((0.1, 0.3), [1e-4], (0,)) == 2
    assert decimals((0.1, 0.3), [1e-17], (0,)) == 0
    assert decimals((None, None), [0.97], (0, 1)) == 1
    assert decimals((0.99, 1.0), [0.9996], (0, 1)) == 2, "not every image is right"
