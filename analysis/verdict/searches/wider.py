"""Widens the comparisons of tuned networks by the luck of their searches. This is the one place that does."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.results.load import StudyResults
from analysis.statistics.calls import Call
from analysis.statistics.comparison import Comparison, holm
from analysis.statistics.search_luck.interval import OverSearches
from analysis.statistics.search_luck.luck import search_luck
from analysis.statistics.two_way_layout import TwoWayLayout
from analysis.verdict.searches.records import search_record
from analysis.verdict.summary_json import DifferenceOverSearches


@dataclass(frozen=True)
class Pair:
    """Holds a comparison of two tuned networks as `compare` made it, corrected for its family.

    Attributes:
        archs: the names of the two networks.
        correct_a: true if network A is right, bool [seeds, images].
        correct_b: the same for network B.
        comparison: the comparison of the two configurations.
    """

    archs: tuple[str, str]
    correct_a: np.ndarray
    correct_b: np.ndarray
    comparison: Comparison


@dataclass(frozen=True)
class Widened:
    """Holds what the luck of the searches makes of a comparison.

    Attributes:
        over: the difference over searches; None if the luck of a search is not known.
        luck_to_overturn: the luck of both searches with which the interval would include 0; None if it does already.
    """

    over: DifferenceOverSearches | None
    luck_to_overturn: float | None


def widen(results: StudyResults, pairs: Sequence[Pair]) -> list[Widened]:
    """Return what the luck of the searches makes of each comparison of a family, in their order.

    The call over searches is the call of the comparison if the wider interval gives it too, after Holm's correction for
    the pairs of the family. Else it is "not shown".
    """
    luck: dict[str, float | None] = {}
    for arch in dict.fromkeys(arch for pair in pairs for arch in pair.archs):
        record = search_record(results, arch)
        luck[arch] = search_luck(record) if record.suffices() else None
    intervals = [_interval(pair) for pair in pairs]
    known = [_known(luck, pair) for pair in pairs]
    found = [(one, both) for one, both in zip(intervals, known, strict=True) if one and both]
    margins = [pair.comparison.margin for pair, one, both in zip(pairs, intervals, known, strict=True) if one and both]
    better = holm([one.p_value(both) for one, both in found])
    equivalent = holm([one.p_value_beyond(margin, both) for (one, both), margin in zip(found, margins, strict=True)])
    stands = iter(zip(better, equivalent, strict=True))
    widened = []
    for pair, interval, both in zip(pairs, intervals, known, strict=True):
        row = None
        if interval and both:
            half_width, mean = interval.half_width(both), interval.layout.mean
            better_p, equivalent_p = next(stands)
            row = DifferenceOverSearches(
                call=_call(pair.comparison, better_p, equivalent_p),
                ci95=(mean - half_width, mean + half_width),
                p_value=interval.p_value(both),
                holm_p=better_p,
                luck=dict(zip(pair.archs, both, strict=True)),
            )
        widened.append(Widened(row, interval.luck_to_overturn() if interval else None))
    return widened


def _call(comparison: Comparison, better_p: float, equivalent_p: float) -> Call:
    p = {"better": better_p, "equivalent": equivalent_p}.get(comparison.call)
    return comparison.call if p is not None and p < 1 - comparison.confidence else "not shown"


def _interval(pair: Pair) -> OverSearches | None:
    """Return the intervals of a pair; None with one seed."""
    if len(pair.correct_a) < 2:
        return None
    layout = TwoWayLayout.between(pair.correct_a.astype(np.int8), pair.correct_b.astype(np.int8), paired=False)
    return OverSearches(layout, pair.comparison.confidence)


def _known(luck: dict[str, float | None], pair: Pair) -> tuple[float, float] | None:
    a, b = (luck[arch] for arch in pair.archs)
    return None if a is None or b is None else (a, b)
