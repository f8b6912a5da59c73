"""Decides after a look if a study stops."""

from itertools import combinations

from analysis.results.load import StudyResults
from analysis.verdict.comparisons import judge_in_study


def next_look(results: StudyResults) -> int | None:
    """Return the number of seeds of the next look of `--seeds auto`; None if the study stops, or has no looks.

    It stops if every pair of tuned networks is called better or equivalent, or after the last look.
    """
    looks = results.study.looks
    later = [look.seeds for look in looks.plan if look.seeds > looks.reached] if looks else []
    tuned = [group for group in results.groups.values() if group.variant == "tuned"]
    pairs = [(a, b) for a, b in combinations(tuned, 2) if set(a.seeds) & set(b.seeds)]
    if not later or all(one.comparison.call != "not shown" for one in judge_in_study(results, pairs)):
        return None
    return min(later)
