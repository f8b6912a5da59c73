"""Says what the luck of the searches makes of a verdict: the scope of a headline, a sentence and a limit."""

from collections.abc import Iterator, Sequence

from analysis.numbers import number, percent
from analysis.results.load import StudyResults
from analysis.statistics.calls import Call
from analysis.statistics.search_luck.surfaces import LEAST_TRIALS
from analysis.verdict.searches.wider import Widened
from analysis.verdict.summary_json import Caveat, ComparisonRow, Grade
from analysis.verdict.wording import decimals_of_difference, known, level

TUNED, GIVEN = " once both are tuned", " for these two configurations"


def scope(call: Call, widened: Widened) -> str:
    """Return the end of a headline about two tuned networks: what its call is about."""
    return TUNED if widened.over is not None and widened.over.call == call else GIVEN


def scope_of_several(rows: Sequence[ComparisonRow]) -> str:
    """Return the end of a headline about several tuned networks, from the comparisons that it rests on."""
    stands = all(row.over_searches is not None and row.over_searches.call == row.call for row in rows)
    return " once all are tuned" if stands else " for these configurations"


def luck_sentence(row: ComparisonRow | None, results: StudyResults) -> str:
    """Say the interval over searches, and how large the luck of a search would have to be to overturn the verdict.

    Args:
        row: the comparison of two tuned networks, if there is one.
        results: the study.

    Returns:
        The sentences; empty if there is nothing to say.
    """
    if row is None:
        return ""
    over, needed = row.over_searches, ""
    if row.call == "better" and row.luck_to_overturn is not None:
        needed = f"below {_points(row.luck_to_overturn)} points for both networks"
    if over is None:
        alone = "The interval does not cover the luck of the searches. The verdict stands if that luck is"
        return f"{alone} {needed} (standard deviation)." if needed else ""
    digits = decimals_of_difference(row.difference.mean, over.ci95, row.margin)
    sign = 1 if row.difference.mean >= 0 else -1
    low, high = (percent(limit, digits) for limit in sorted(sign * limit for limit in known(over.ci95)))
    each = " and ".join(f"{_points(luck)} for {results.architectures[arch]}" for arch, luck in over.luck.items())
    said = (
        f"Over repeated searches the {level(row.confidence)} interval is {low} to {high}. The luck of a search is about"
        f" {each} (standard deviation in percentage points)."
    )
    if not needed:
        return said
    if over.call == "better":
        return f"{said} The verdict stands if that luck is {needed}."
    return f"{said} The verdict would stand over searches if that luck were {needed}."


def of_luck(row: ComparisonRow | None) -> Iterator[Caveat]:
    """Yield a limit if a call about two tuned networks is about their two configurations alone."""
    if row is None or row.call == "not shown":
        return
    if row.over_searches is None:
        text = (
            "The interval does not cover the luck of the searches. It can be estimated if each search has at least"
            f" {LEAST_TRIALS} trials with a score, and a confirmation."
        )
        yield Caveat(grade=Grade.WEAKENS, text=text)
    elif row.over_searches.call != row.call:
        text = (
            "The result is shown for these two configurations, but not for networks that are tuned by another such"
            " search."
        )
        yield Caveat.grave(text, "but another search may change it", row.call == "better")


def _points(luck: float) -> str:
    return number(100 * luck, ".2g")
