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
    three = describe(compare(high[:3], low[:3]), "A", "B", 3).rest
    assert three.startswith("At least 5 seeds are needed. If the true difference is about ")
    assert "points, 5 seeds show it in 4 of 5 studies" in three


@pytest.mark.parametrize(
    ("n_seeds", "detectable", "said"),
    [
        (
            7,
            {5: 0.031, 7: 0.0263, 10: 0.018, 20: 0.013},
            "If the true difference is about 2.6 percentage points, 7 seeds show it in 4 of 5 studies (80 % power)."
            " 10 seeds show 1.8 points and 20 seeds show 1.3 points.",
        ),
        (
            10,
            {5: 0.012, 10: 0.011, 20: 0.0105},
            "If the true difference is about 1.1 percentage points, 10 seeds show it in 4 of 5 studies (80 % power)."
            " 20 seeds show 1.1 points. More seeds hardly help: this test set is too small.",
        ),
        (
            10,
            {5: 0.0069, 10: 0.0063, 20: 0.0059},
            "If the true difference is about 0.63 percentage points, 10 seeds show it in 4 of 5 studies (80 % power)."
            " 20 seeds show 0.59 points. More seeds hardly help: less than the margin of 0.5 points is never called"
            " better.",
        ),
        (
            25,
            {5: 0.031, 10: 0.02, 20: 0.013, 25: 0.0119},
            "If the true difference is about 1.2 percentage points, 25 seeds show it in 4 of 5 studies (80 % power).",
        ),
    ],
)
def test_an_interval_that_includes_0_says_what_seeds_show(
    n_seeds: int, detectable: dict[int, float], said: str
) -> None:
    right = correct([0.9] * 6)
    open_still = replace(compare(right, right), call="not shown", reason="interval includes 0", detectable=detectable)
    assert describe(open_still, "A", "B", n_seeds).rest == said


@pytest.mark.parametrize("sign", [1, -1])
def test_a_difference_that_is_barely_shown_is_probably_smaller(sign: int) -> None:
    high = correct([0.9] * 6)
    shown = replace(compare(high, correct([0.8] * 6, seed=1)), mean=sign * 0.03, prob_better=float(sign == 1))

    def rest(low: float, high: float) -> str:
        ends = sorted((sign * low, sign * high))
        return describe(replace(shown, ci95=(ends[0], ends[1])), "A", "B", 6).rest

    assert rest(0.005, 0.055) == (
        "It wins 6 of 6 paired runs. The true difference is at least 0.5 points and probably smaller than 3.0, because"
        " a difference that is barely shown tends to be overstated."
    )
    assert rest(0.01, 0.05) == "It wins 6 of 6 paired runs."


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
