"""Says which of two networks to take if the cheaper one is not worse, which is the answer that a user acts on."""

from collections.abc import Mapping, Sequence

from analysis.numbers import number
from analysis.statistics.calls import CONFIDENCE
from analysis.statistics.comparison import LEAST_SEEDS
from analysis.verdict.summary_json import ComparisonRow, GroupSummary, TimesCompared
from analysis.verdict.wording import error_in_percent, known

# At least 1.5 times as fast or as small is cheaper, because few users change a network for less.
LEAST_SAVING = 1.5


def advice(
    row: ComparisonRow | None,
    groups: Mapping[str, GroupSummary],
    titles: Sequence[str],
    times: Mapping[str, TimesCompared],
) -> str | None:
    """Advise to take the cheaper one of two networks if it is shown not to be worse by the margin.

    The test is one-sided at 5 %, or at the error of the look, for the one comparison of a study of two networks.

    Args:
        row: the comparison of the two tuned networks, if there is one.
        groups: both groups by name.
        titles: the titles of the networks, in the order of the groups.
        times: the comparison of their inference times by runtime.

    Returns:
        The sentence; None if the cheaper network is the better one anyway, if none is cheaper, if the margin is 0, or
        if nothing is shown.
    """
    if row is None or row.not_worse_p is None or len(row.seeds) < LEAST_SEEDS or row.reason == "nothing learned":
        return None
    if not row.margin:  # then a network that is not worse is better
        return None
    confidence = CONFIDENCE if row.confidence is None else row.confidence
    by_name = dict(zip(groups, titles, strict=True))
    for cheap, dear, p in ((row.a, row.b, row.not_worse_p[0]), (row.b, row.a, row.not_worse_p[1])):
        saved = _savings(groups, cheap, dear, times.get("pytorch"))
        if saved and row.winner != cheap and p is not None and p < 1 - confidence:
            return (
                f"Take {by_name[cheap]}: a one-sided test at {error_in_percent(confidence)} % shows that it is less"
                f" than {100 * row.margin:.3g} percentage points worse than {by_name[dear]}, and it {saved}."
            )
    return None


def _savings(groups: Mapping[str, GroupSummary], cheap: str, dear: str, times: TimesCompared | None) -> str:
    """Describe what a network saves; nothing unless it is LEAST_SAVING times as fast or as small, and not dearer."""
    smaller = (groups[dear].parameters or 0) / (groups[cheap].parameters or 1)
    faster, surely = 1.0, 1.0
    quick, slow = (groups[name].latency_ms.p50 for name in (cheap, dear))
    if times is None and quick and slow:
        # The rounds are not known in a study of an older version. Its times are compared without an interval.
        faster = surely = slow / quick
    if times is not None:
        limits = known(times.ci95) or [times.ratio, times.ratio]
        faster, surely = (times.ratio, limits[0]) if times.a == dear else (1 / times.ratio, 1 / limits[1])
    if min(smaller, faster) < 1 / 1.05 or max(smaller, surely) < LEAST_SAVING:
        return ""
    parts = [f"is {number(faster, '.2g')} times as fast"] if surely >= LEAST_SAVING else []
    if smaller >= LEAST_SAVING:
        few = number(groups[cheap].parameters, ",.0f")
        parts.append(f"has {few} parameters instead of {number(groups[dear].parameters, ',.0f')}")
    return " and ".join(parts)
