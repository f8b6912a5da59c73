"""Says which difference in accuracy matters, before any test image has been predicted."""

import math
from collections.abc import Sequence
from itertools import combinations

from analysis.numbers import listed
from analysis.results.load import Group, StudyResults
from analysis.results.study_json import Config
from analysis.statistics.comparison import MARGIN, SHARE_OF_ERRORS
from analysis.verdict.wording import chosen_trial


def margin_between(results: StudyResults, a: Group, b: Group) -> float:
    """Return the difference in accuracy between two groups that matters, in [0, 1]; see `margins_between`."""
    (margin,) = margins_between(results, [(a, b)])
    return margin


def margins_between(results: StudyResults, pairs: Sequence[tuple[Group, Group]]) -> list[float]:
    """Return the difference in accuracy that matters between the two groups of each pair, in [0, 1].

    The rule is settled before the search: `margin` in points, or `margin_of_errors` in percent of the worse network's
    errors, or else the smaller one of MARGIN and SHARE_OF_ERRORS of these errors. The errors are counted in the search,
    on validation images, so no test image moves the margin. A relative margin is at least one test image.

    Args:
        results: the study.
        pairs: the final runs of one configuration, and the final runs of another.
    """
    groups = {group.name: group for pair in pairs for group in pair}
    accuracies = {name: _validation_accuracy(results, group) for name, group in groups.items()}
    return [_margin(results, a, accuracies[a.name], accuracies[b.name]) for a, b in pairs]


def _margin(results: StudyResults, group: Group, *accuracies: float | None) -> float:
    config = results.study.config
    points = math.inf if config.margin is None else config.margin / 100
    share = math.inf if config.margin_of_errors is None else config.margin_of_errors / 100
    if math.isinf(points) and math.isinf(share):
        points, share = MARGIN, SHARE_OF_ERRORS
    scores = [accuracy for accuracy in accuracies if accuracy is not None]
    if math.isinf(share) or not scores:
        return points if math.isfinite(points) else MARGIN
    errors = share * (1 - min(scores))
    # Two digits, as people read it.
    return min(points, max(float(f"{errors:.2g}"), 1 / len(group.labels)))


def _validation_accuracy(results: StudyResults, group: Group) -> float | None:
    """Return a group's validation accuracy in the search; None if nothing was searched.

    It is the mean of the confirmation runs of its configuration that have a score, or else the score of its trial.
    """
    trials = results.trials_of(group.arch)
    if not len(trials):
        return None
    number = chosen_trial(results, group) if group.variant == "tuned" else f"{group.arch}-0"
    confirmed = [
        run.metrics["val_accuracy"]
        for run in results.confirmations
        if run.group == number and run.metrics["val_accuracy"] is not None
    ]
    if confirmed:
        return float(sum(confirmed) / len(confirmed))
    scores = trials.loc[trials["trial_id"] == number, "val_accuracy"].dropna()
    return float(scores.iloc[0]) if len(scores) else None


def largest_margin(results: StudyResults) -> float | None:
    """Return the largest margin between two tuned networks, in [0, 1]; None if there are fewer than two."""
    tuned = [group for group in results.groups.values() if group.variant == "tuned"]
    return max(margins_between(results, list(combinations(tuned, 2))), default=None)


def margin_in_words(config: Config) -> str:
    """Return the rule that settles the margin, as a noun."""
    rules = []
    if config.margin is not None or config.margin_of_errors is None:
        rules.append(f"{100 * MARGIN if config.margin is None else config.margin:g} percentage points")
    if config.margin_of_errors is not None or config.margin is None:
        share = 100 * SHARE_OF_ERRORS if config.margin_of_errors is None else config.margin_of_errors
        rules.append(f"{share:g} % of the worse network's validation errors")
    return rules[0] if len(rules) == 1 else f"the smaller of {listed(rules)}"
