"""Makes the sentences that every reader sees first: the verdict, the accuracies, the price and the doubt."""

import math
from collections.abc import Mapping
from statistics import fmean

from analysis.numbers import listed, percent
from analysis.results.load import StudyResults, group_name
from analysis.statistics.calls import Call
from analysis.verdict.caveats.counts import deciding_groups
from analysis.verdict.caveats.own_settings import with_own_settings
from analysis.verdict.caveats.sentences import caveats
from analysis.verdict.comparisons import TUNED_FAMILY, overall_winner
from analysis.verdict.cost.advice import advice
from analysis.verdict.cost.inference_time import compare_times
from analysis.verdict.cost.price import price
from analysis.verdict.searches.sentences import luck_sentence, scope_of_several
from analysis.verdict.summary_json import Caveat, ComparisonRow, Conclusion, Grade, GroupSummary, TimesCompared, Verdict
from analysis.verdict.wording import decimals, decimals_of_difference, known

# At most 2 limits stand beside the verdict, because a reader who meets more skips them all.
MOST_DOUBTS = 2


def conclude(
    results: StudyResults,
    groups: Mapping[str, GroupSummary],
    comparisons: list[ComparisonRow],
    verdict: Verdict | None,
) -> Conclusion:
    """Say what a study shows.

    With more than two networks the difference and the price are between the two most accurate ones.

    Args:
        results: the study.
        groups: its groups by name.
        comparisons: every comparison.
        verdict: the primary comparison, if there are two networks.
    """
    pairs = [row for row in comparisons if row.family == TUNED_FAMILY]
    winner = verdict.winner if verdict else overall_winner(results, comparisons)
    call = verdict.call if verdict else _call(results, pairs, winner)
    deciding = [groups[group.name] for group in deciding_groups(results.groups)]
    deciding.sort(key=lambda group: group.accuracy.mean, reverse=True)
    leaders = deciding[:2]
    sides = {group_name(group.arch, group.variant) for group in leaders}
    row = next((row for row in pairs if {row.a, row.b} == sides), None)
    times = compare_times(results, *leaders) if len(leaders) == 2 else {}
    limits = caveats(results, winner, row, times)
    doubts = [limit for limit in limits if limit.grade == Grade.COULD_OVERTURN][:MOST_DOUBTS]
    titles = [results.architectures[group.arch] for group in deciding]
    return Conclusion(
        call=call,
        label=_label(call, doubts),
        headline=pairs[0].headline if verdict else _headline(results, pairs, call, winner),
        accuracies=_accuracies(deciding, titles, row),
        **({"luck": luck} if (luck := luck_sentence(row, results)) else {}),
        price=price(leaders, titles, _device(results), times) if len(leaders) == 2 else None,
        times=times,
        advice=_advice(results, groups, row, times) if verdict else None,
        doubt=[limit.text for limit in doubts],
        caveats=limits,
    )


def _advice(
    results: StudyResults,
    groups: Mapping[str, GroupSummary],
    row: ComparisonRow | None,
    times: Mapping[str, TimesCompared],
) -> str | None:
    compared = {name: groups[name] for name in (row.a, row.b)} if row else {}
    return advice(row, compared, [results.architectures[group.arch] for group in compared.values()], times)


def _device(results: StudyResults) -> str:
    """Return the device on which a prediction was timed: "CPU" or the name of a GPU."""
    return str(next((measured["device"] for measured in results.latency.values()), "CPU"))


def _call(results: StudyResults, pairs: list[ComparisonRow], winner: str | None) -> Call | None:
    """Return the call for more than two networks; None if some pair is not compared."""
    if len(pairs) < max(1, math.comb(len(results.architectures), 2)):
        return None
    if winner is not None:
        return "better"
    return "equivalent" if all(row.call == "equivalent" for row in pairs) else "not shown"


def _label(call: Call | None, doubts: list[Caveat]) -> str | None:
    return call if call is None or not doubts else f"{call}, {doubts[0].label}"


def _headline(results: StudyResults, pairs: list[ComparisonRow], call: Call | None, winner: str | None) -> str:
    """Name the best of several networks, or the reason why there is no verdict."""
    titles, own = results.architectures, with_own_settings(results.study)
    if results.study.config.baseline:
        return "There is no verdict: nothing was tuned."
    if len(titles) == 1:
        return "There is no verdict with 1 network."
    if winner is not None:
        won = [row for row in pairs if row.winner == group_name(winner, "tuned")]
        return f"{titles[winner]} is more accurate than each of the others{scope_of_several(won)}{own}."
    if call == "equivalent":
        return f"{listed(list(titles.values()))} are equivalent in accuracy{scope_of_several(pairs)}{own}."
    if call == "not shown":
        return f"No network is shown to be more accurate than every other on all planned seeds{own}."
    if len(titles) > 2:
        compared = f"Only {len(pairs)}" if pairs else "None"
        return f"{compared} of the {math.comb(len(titles), 2)} pairs can be compared, because final runs are missing."
    if sum(group.variant == "tuned" for group in results.groups.values()) == 2:
        return "There is no verdict: no seed has a final run of both tuned networks."
    return "There is no verdict: final runs of both tuned networks are needed."


def _accuracies(groups: list[GroupSummary], titles: list[str], row: ComparisonRow | None) -> str | None:
    """Write the test accuracy of each group, and the difference between the first two or else each interval.

    Args:
        groups: the groups, the most accurate first.
        titles: their titles.
        row: the comparison of the first two, if there is one. Its seeds alone count.
    """
    if not groups:
        return None
    if row is None:
        shown = [f"{title} {_with_interval(group)}" for title, group in zip(titles, groups, strict=True)]
        return f"{'Baseline test' if groups[0].variant == 'baseline' else 'Test'} accuracy: {', '.join(shown)}."
    means = [_mean(group, row) for group in groups[:2]] + [group.accuracy.mean for group in groups[2:]]
    difference = decimals_of_difference(row.difference.mean, row.difference.ci95, row.margin)
    digits = max(difference, decimals(row.difference.ci95, means, (0, 1)))
    ranked = sorted(zip(means, titles, strict=True), key=lambda pair: pair[0], reverse=True)
    shown = [f"{title} {percent(mean, digits)} %" for mean, title in ranked]
    between = f"The two best are {titles[0]} and {titles[1]}. " if len(groups) > 2 else ""
    return f"Test accuracy: {', '.join(shown)}. {between}{row.difference_text}"


def _mean(group: GroupSummary, row: ComparisonRow) -> float:
    """Return the mean accuracy over the seeds of a comparison."""
    by_seed = zip(group.seeds, group.accuracy.values, strict=True)
    return fmean(value for seed, value in by_seed if seed in row.seeds)


def _with_interval(group: GroupSummary) -> str:
    limits, mean = known(group.accuracy.ci95), group.accuracy.mean
    digits = decimals(group.accuracy.ci95, [mean, *limits], (0, 1))
    interval = f" (95 % interval {' to '.join(percent(limit, digits) for limit in limits)})" if limits else ""
    return f"{percent(mean, digits)} %{interval}"
