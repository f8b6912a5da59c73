"""The sentences about a comparison, and the names of its sides."""

from typing import Any

import numpy as np

from analysis.numbers import percent
from analysis.results.load import Group, StudyResults
from analysis.statistics.comparison import LEAST_PROBABILITY, LEAST_SEEDS, Comparison


def describe(comparison: Comparison, a: str, b: str, n_seeds: int) -> str:
    """Describe a comparison in a few sentences.

    Args:
        comparison: its numbers and its call.
        a: title of side A.
        b: title of side B.
        n_seeds: number of paired runs.
    """
    ahead, behind = (a, b) if comparison.mean >= 0 else (b, a)
    wins = comparison.prob_better if comparison.mean >= 0 else 1 - comparison.prob_better
    distance = f"{points(abs(comparison.mean), comparison.margin)} percentage points"
    margin = f"the margin of {100 * comparison.margin:g} percentage points"
    limits = interval(comparison)
    lead = f"{ahead} is {distance} ahead" if comparison.mean else "both are equally accurate"
    nothing = f"No difference is shown between {a} and {b}"
    match comparison.call, comparison.reason:
        case "better", _:
            return (
                f"{ahead} is better than {behind} by {distance} of test accuracy{limits}."
                f" It wins {percent(wins, 0)} % of the paired runs."
            )
        case "equivalent", _:
            return f"{a} and {b} are equivalent: they differ by {distance} of test accuracy{limits}, within {margin}."
        case _, "few seeds":
            seeds = "1 seed" if n_seeds == 1 else f"{n_seeds} seeds"
            return (
                f"{nothing}: {seeds} cannot show one, at least {LEAST_SEEDS} are needed. In these runs {lead}{limits}."
            )
        case _, "below the margin":
            return (
                f"No difference that matters is shown between {a} and {b}: {ahead} is {distance} ahead{limits}."
                f" That is less than {margin}, but the interval reaches beyond the margin."
            )
        case _, "wins too few runs":
            return (
                f"{nothing}: {ahead} is {distance} ahead on average{limits}, but it wins only {percent(wins, 0)} % of"
                f" the paired runs. At least {percent(LEAST_PROBABILITY, 0)} % are needed."
            )
        case _, "several comparisons" if _lies_inside(comparison):
            return (
                f"It is not shown that {a} and {b} are equivalent: they differ by {distance} of test accuracy{limits},"
                f" within {margin}. But the study makes several comparisons, and one of them looks like this by chance"
                " too easily (Holm)."
            )
        case _, "several comparisons":
            return (
                f"{nothing}: {ahead} is {distance} ahead{limits}. But the study makes several comparisons, and one of"
                " them looks like this by chance too easily (Holm)."
            )
        case _, "nothing learned":
            return (
                f"{nothing}: they differ by {distance} of test accuracy{limits}, but neither is shown to be better than"
                " giving every image the same answer."
            )
    return f"{nothing}: {lead}{limits}, and the interval includes 0." + seeds_needed(comparison, ahead, wins)


def _lies_inside(comparison: Comparison) -> bool:
    low, high = comparison.ci95
    return -comparison.margin < low and high < comparison.margin


def points(advantage: float, margin: float) -> str:
    """Write percentage points with two decimals, or with more to show on which side of 0 and of the margin they lie.

    Args:
        advantage: difference in accuracy, in [0, 1].
        margin: the difference that matters, in [0, 1].
    """
    for decimals in range(2, 12):
        shown = f"{100 * advantage:.{decimals}f}"
        if (float(shown) > 0) == (advantage > 0) and (float(shown) < 100 * margin) == (advantage < margin):
            break
    return shown


def interval(comparison: Comparison) -> str:
    """Write the interval of the leader's advantage in percentage points, in brackets; nothing with one seed."""
    low, high = comparison.ci95
    if np.isnan(low):
        return ""
    if comparison.mean < 0:
        low, high = -high, -low
    return f" (95 % interval {100 * low:.2f} to {100 * high:.2f})"


def seeds_needed(comparison: Comparison, ahead: str, wins: float) -> str:
    """Say how many seeds or images would show the difference.

    Args:
        comparison: one whose interval includes 0.
        ahead: title of the side that is ahead.
        wins: share of the paired runs that it wins.
    """
    if comparison.mean == 0:
        return ""
    if comparison.seeds_needed is None:
        images = f"{float(f'{comparison.images_needed:.2g}'):,.0f}"
        return (
            " If the true difference is this large, no number of seeds shows it on this test set. About"
            f" {images} test images and very many seeds are needed."
        )
    # If the expected half-width is the difference, the interval excludes 0 in every other study.
    chance = f"{comparison.seeds_needed} seeds give an even chance that the interval excludes 0"
    if abs(comparison.mean) < comparison.margin:
        return f" If the true difference is this small, {chance}. But a difference this small does not matter."
    if wins < LEAST_PROBABILITY:
        return (
            f" If the true difference is this large, {chance}. But {ahead} wins only {percent(wins, 0)} % of the paired"
            f" runs, and it is not called better below {percent(LEAST_PROBABILITY, 0)} %."
        )
    return f" If the true difference is this large, {chance}."


def diverged(sides: dict[str, Group], seeds: list[int]) -> str:
    """Say how many of the compared runs diverged, a sentence for each side that has some.

    Args:
        sides: the two groups by their titles.
        seeds: the seeds that were compared.
    """
    sentences = ""
    for title, group in sides.items():
        if count := len(set(group.diverged_seeds()) & set(seeds)):
            runs = f"{count} of the {len(seeds)} runs" if len(seeds) > 1 else "The run"
            sentences += f" {runs} of {title} diverged and still {'count' if count > 1 else 'counts'}."
    return sentences


def side_title(results: StudyResults, name: str) -> str:
    """Return the title of a group as one side of a comparison: "AlexNet (tuned)"."""
    return results.groups[name].title


def chosen_trials(results: StudyResults) -> dict[str, str]:
    """Return the first trial of each network that has its tuned configuration, by the name of the network."""
    chosen: dict[str, str] = {}
    for trial in results.trials.to_dict("records"):
        group = results.group(str(trial["arch"]), "tuned")
        if group and all(_is_same(trial.get(name), value) for name, value in group.config.items()):
            chosen.setdefault(group.arch, str(trial["trial_id"]))
    return chosen


def _is_same(one: Any, other: Any) -> bool:
    """Return whether two values of a hyperparameter are the same; numbers may differ by rounding."""
    if isinstance(one, float | int) and isinstance(other, float | int):
        return bool(np.isclose(one, other))
    return bool(one == other)
