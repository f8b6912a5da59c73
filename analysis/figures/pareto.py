"""Finds the groups that no other group beats in both accuracy and cost."""

from collections.abc import Mapping, Sequence, Set
from itertools import combinations

from analysis.results.load import StudyResults
from analysis.verdict.comparisons import judge_in_study


def shown_better(results: StudyResults, names: Sequence[str]) -> set[tuple[str, str]]:
    """Return the pairs of groups of which the first is shown to be more accurate, corrected for all pairs (Holm).

    Args:
        results: the study.
        names: names of the groups to compare.
    """
    pairs = [(results.groups[a], results.groups[b]) for a, b in combinations(names, 2)]
    paired = [(a, b) for a, b in pairs if set(a.seeds) & set(b.seeds)]
    compared = judge_in_study(results, paired)
    return {
        (one.a.name, one.b.name) if one.comparison.winner == "a" else (one.b.name, one.a.name)
        for one in compared
        if one.comparison.winner
    }


def pareto_front(costs: Mapping[str, float], shown_better: Set[tuple[str, str]]) -> list[str]:
    """Return the Pareto front: the groups that no other group beats.

    A group beats another if it is no dearer and shown to be more accurate.

    Args:
        costs: the cost of each group by its name.
        shown_better: the pairs of names of which the first is shown to be more accurate than the second.
    """
    return [
        name
        for name, cost in costs.items()
        if not any((other, name) in shown_better and costs[other] <= cost for other in costs)
    ]
