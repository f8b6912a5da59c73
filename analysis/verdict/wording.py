"""The sentences about a comparison, the rounding of their numbers, and the names of its sides."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.numbers import listed, number, percent
from analysis.results.load import Group, StudyResults
from analysis.statistics.calls import CONFIDENCE
from analysis.statistics.comparison import LEAST_PROBABILITY, LEAST_SEEDS, POWER, Comparison
from analysis.statistics.predictions.two_files import FilesCompared
from analysis.statistics.search_progress import best_score
from analysis.verdict.summary_json import Interval

# At most 6 decimals, because a smaller distance from a landmark is rounding of the computer.
MOST_DECIMALS = 6
# At least this share of a difference is hardly less than it.
HARDLY_LESS = 0.9
# At most this many times the margin, the margin decides what can be shown, because the interval is narrower than it.
NEAR_MARGIN = 1.4
# Below a third of the mean, the nearer end of an interval shows a difference barely: the power was below about 85 %.
BARELY = 3


@dataclass(frozen=True)
class Description:
    """Describes a comparison: its headline, the difference in numbers, and what else there is to say."""

    headline: str
    difference: str
    rest: str = ""

    @property
    def text(self) -> str:
        return " ".join(filter(None, (self.headline, self.difference, self.rest)))


def describe(comparison: Comparison, a: str, b: str, n_seeds: int, own: str = "", scope: str = "") -> Description:
    """Describe a comparison in a few sentences.

    Args:
        comparison: its numbers and its call.
        a: title of side A.
        b: title of side B.
        n_seeds: number of paired runs.
        own: the words that follow the names of both, as `with_own_settings` returns them.
        scope: the words that say what a call is about, such as " once both are tuned".
    """
    ahead, behind = (a, b) if comparison.mean >= 0 else (b, a)
    wins = comparison.prob_better if comparison.mean >= 0 else 1 - comparison.prob_better
    margin = f"the margin of {100 * comparison.margin:.3g} percentage points"
    lead = difference_in_words(comparison, ahead)
    nothing = f"No difference in accuracy is shown between {a} and {b}{own}"
    several = "But the study makes several comparisons, and one of them looks like this by chance too easily (Holm)."
    match comparison.call, comparison.reason:
        case "better", _:
            won = " ".join(filter(None, (f"It wins {_of_runs(wins, n_seeds)}.", winners_curse(comparison))))
            return Description(f"{ahead} is more accurate than {behind}{scope}{own}.", f"{lead}.", won)
        case "equivalent", _:
            within = f"{lead}. {_within(comparison, margin)}"
            return Description(f"{a} and {b} are equivalent in accuracy{scope}{own}.", within)
        case _, "few seeds":
            seeds = "1 seed" if n_seeds == 1 else f"{n_seeds} seeds"
            needed = f"At least {LEAST_SEEDS} seeds are needed. {what_seeds_show(comparison, LEAST_SEEDS)}".rstrip()
            return Description(f"{nothing}: {seeds} cannot show one.", f"{lead}.", needed)
        case _, "below the margin":
            return Description(
                f"No difference in accuracy that matters is shown between {a} and {b}{own}.",
                f"{lead}. That is less than {margin}, but the interval reaches beyond the margin.",
            )
        case _, "many of the errors":
            return Description(
                f"It is not shown that {a} and {b} are equivalent in accuracy{own}.",
                f"{lead}. That is less than {margin}, but more than a tenth of the errors of {behind}.",
            )
        case _, "wins too few runs":
            return Description(
                f"{nothing}.",
                f"{lead}, but wins only {_of_runs(wins, n_seeds)}. At least {percent(LEAST_PROBABILITY, 0)} % of them"
                " are needed.",
            )
        case _, "several comparisons" if _lies_inside(comparison):
            within = f"{lead}. {_within(comparison, margin)}"
            return Description(
                f"It is not shown that {a} and {b} are equivalent in accuracy{own}.", f"{within} {several}"
            )
        case _, "several comparisons":
            return Description(f"{nothing}.", f"{lead}. {several}")
        case _, "failed runs":
            without = f"without the failed runs {ahead} is not shown to be more accurate"
            return Description(f"{nothing}: {without}.", f"{lead}.")
        case _, "nothing learned":
            return Description(f"{nothing}: neither is shown to beat the same answer for every image.", f"{lead}.")
    included = f"{lead}, and the interval includes 0."
    return Description(f"{nothing}.", included, what_seeds_show(comparison, n_seeds))


def _of_runs(wins: float, n_seeds: int) -> str:
    """Write a share of the paired runs as a count; a tie counts as half a win."""
    return f"{number(wins * n_seeds, '.4g')} of {n_seeds} paired runs"


def _lies_inside(comparison: Comparison) -> bool:
    return comparison.equivalence_p < 1 - comparison.confidence


def _within(comparison: Comparison, margin: str) -> str:
    """Say that the difference lies inside the margin: by the whole interval, or else by the tests alone."""
    if max(map(abs, comparison.ci95)) < comparison.margin:
        return f"The whole interval is within {margin}."
    return f"By two one-sided tests at {error_in_percent(comparison.confidence)} % the difference is within {margin}."


def difference_in_words(comparison: Comparison | FilesCompared, ahead: str) -> str:
    """Write how far the leader is ahead, with the interval in brackets; no interval with one seed."""
    digits = decimals_of_difference(comparison.mean, comparison.ci95, comparison.margin)
    sign = 1 if comparison.mean >= 0 else -1
    # A zero is added because a number may be -0.0.
    limits = [percent(limit + 0.0, digits) for limit in sorted(sign * limit for limit in known(comparison.ci95))]
    points = percent(abs(comparison.mean), digits)
    lead = f"{ahead} is {points} percentage point{'' if points == '1' else 's'} ahead"
    interval = f" ({level(comparison.confidence)} interval {' to '.join(limits)})" if limits else ""
    return (lead if comparison.mean else "Both are equally accurate") + interval


def level(confidence: float | None) -> str:
    """Write the level of an interval: "99 %". None is the usual one."""
    return f"{number(100 * (CONFIDENCE if confidence is None else confidence), '.3g')} %"


def error_in_percent(confidence: float | None) -> str:
    """Write how often a test of this confidence may err, in percent: "1". None is the usual confidence."""
    return number(100 * (1 - (CONFIDENCE if confidence is None else confidence)), ".2g")


def decimals_of_difference(mean: float, ci95: Interval, margin: float) -> int:
    """Return with how many decimals of a percentage point to write a difference and its interval."""
    return decimals(ci95, [mean, *known(ci95)], (-margin, 0, margin))


def decimals(ci95: Interval, numbers: Iterable[float], landmarks: Sequence[float]) -> int:
    """Return with how many decimals to write percentages: as many as the interval supports.

    The last decimal is the first significant digit of the half-width. There are more if a number would otherwise seem
    to lie on another side of a landmark.

    Args:
        ci95: the interval, in [-1, 1]. Without one (None or NaN) there is one decimal.
        numbers: the numbers to write, in [-1, 1].
        landmarks: the numbers that the reader compares them with, such as 0 and the margin, in [-1, 1].
    """
    width = np.ptp(known(ci95)) if known(ci95) else 0
    least = max(0, -math.floor(math.log10(50 * width))) if width else 1
    pairs = [(100 * number, 100 * landmark) for number in numbers for landmark in landmarks]
    for digits in range(least, MOST_DECIMALS + 1):
        if all(np.sign(round(number, digits) - landmark) == np.sign(number - landmark) for number, landmark in pairs):
            return digits
    return least


def known(limits: Interval) -> list[float]:
    """Return the limits of an interval; none if they are not known."""
    return [limit for limit in limits if limit is not None and not math.isnan(limit)]


def what_seeds_show(comparison: Comparison, n_seeds: int) -> str:
    """Say which true difference this many seeds show, and more of them; nothing if the variances are not known."""
    shown = {n: value for n, value in comparison.detectable.items() if n >= n_seeds}
    if not shown:
        return ""
    points = {n: number(100 * value, ".2g") for n, value in shown.items()}
    (least, first), *others = points.items()
    said = (
        f"If the true difference is about {first} percentage points, {least} seeds show it in 4 of 5 studies"
        f" ({percent(POWER, 0)} % power)."
    )
    if others:
        said += f" {listed([f'{n} seeds show {value} points' for n, value in others])}."
    if others and min(shown.values()) > HARDLY_LESS * shown[least]:
        limit = "this test set is too small"
        if min(shown.values()) < NEAR_MARGIN * comparison.margin:
            limit = f"less than the margin of {100 * comparison.margin:.3g} points is never called better"
        said += f" More seeds hardly help: {limit}."
    return said


def winners_curse(comparison: Comparison) -> str:
    """Say that a difference is probably smaller than measured, if its interval nearly reaches 0 (Ioannidis, 2008).

    This holds if small true differences are more frequent than large ones, and both signs are as frequent.
    """
    nearer = min(map(abs, known(comparison.ci95)), default=math.inf)
    if nearer >= abs(comparison.mean) / BARELY:
        return ""
    digits = decimals_of_difference(comparison.mean, comparison.ci95, comparison.margin)
    least, measured = percent(nearer, digits), percent(abs(comparison.mean), digits)
    return (
        f"The true difference is at least {least} points and probably smaller than {measured}, because a difference"
        " that is barely shown tends to be overstated."
    )


def order_at_equal_epochs(results: StudyResults) -> str:
    """Say so if the order of the best search scores changes at the smaller search's total of epochs."""
    totals = {arch: len(results.history_of(arch)) for arch in results.architectures}
    if len(totals) != 2 or not all(totals.values()):
        return ""
    (a, title_a), (b, title_b) = results.architectures.items()
    cut = min(totals.values())
    whole_a, whole_b = (best_score(results.history_of(arch)) for arch in (a, b))
    equal_a, equal_b = (best_score(results.history_of(arch), cut) for arch in (a, b))
    if whole_a is None or whole_b is None or equal_a is None or equal_b is None:
        return ""
    if np.sign(whole_a - whole_b) == np.sign(equal_a - equal_b):
        return ""
    return (
        f"The searches of {title_a} and {title_b} spent {totals[a]} and {totals[b]} epochs. After {cut} epochs each,"
        f" the order of their best validation scores is different: {percent(equal_a, 2)} and {percent(equal_b, 2)} %,"
        f" but {percent(whole_a, 2)} and {percent(whole_b, 2)} % at the end."
    )


def side_title(results: StudyResults, name: str) -> str:
    """Return the title of a group as one side of a comparison: "AlexNet (tuned)"."""
    return results.groups[name].title


def chosen_trials(results: StudyResults) -> dict[str, str]:
    """Return the first trial of each network that has its tuned configuration, by the name of the network."""
    tuned = (results.group(arch, "tuned") for arch in results.architectures)
    chosen = {group.arch: chosen_trial(results, group) for group in tuned if group}
    return {arch: trial for arch, trial in chosen.items() if trial is not None}


def chosen_trial(results: StudyResults, tuned: Group) -> str | None:
    """Return the first trial that has the configuration of a tuned network."""
    for trial in results.trials_of(tuned.arch).to_dict("records"):
        if all(_is_same(trial.get(name), value) for name, value in tuned.config.items()):
            return str(trial["trial_id"])
    return None


def _is_same(one: Any, other: Any) -> bool:
    """Return whether two values of a hyperparameter are the same; numbers may differ by rounding."""
    if isinstance(one, float | int) and isinstance(other, float | int):
        return bool(np.isclose(one, other))
    return bool(one == other)
