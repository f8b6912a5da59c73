"""Makes every comparison of a study, and the verdict."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np

from analysis.results.errors import UnusableStudy
from analysis.results.load import Group, StudyResults
from analysis.statistics.calls import CONFIDENCE
from analysis.statistics.comparison import Comparison, compare, holm
from analysis.verdict.caveats.counts import beats_constant
from analysis.verdict.caveats.own_settings import with_own_settings
from analysis.verdict.failed_runs import (
    SoundPair,
    compare_without_failures,
    failure_sentences,
    hold_without_failures,
)
from analysis.verdict.looks.level import confidence_of, looks_in_words
from analysis.verdict.margin import margins_between
from analysis.verdict.searches.sentences import luck_sentence, scope
from analysis.verdict.searches.wider import Pair, Widened, widen
from analysis.verdict.summary_json import ComparisonRow, Difference, Verdict
from analysis.verdict.wording import describe, order_at_equal_epochs, side_title

TUNED_FAMILY = "tuned networks"
TUNING_FAMILY = "tuned against its baseline"


@dataclass(frozen=True)
class Judged:
    """Holds the comparison of two groups on their common seeds, and its p values adjusted for its family.

    `sound` is the comparison without failed runs.
    """

    a: Group
    b: Group
    seeds: list[int]
    comparison: Comparison
    holm_p: float
    equivalence_holm_p: float
    sound: SoundPair


def make_comparisons(results: StudyResults) -> list[ComparisonRow]:
    """Compare every pair of tuned networks, then each network tuned against its own baseline.

    These are two families, and the p values are Holm-adjusted within each. "better" and "equivalent" both have to stand
    after the adjustment. A network whose tuned configuration is its baseline is not compared with itself. Two groups
    that have no seed in common are not compared.

    Raises:
        UnusableStudy: if two groups were judged on different test images.
    """
    tuned = [group for group in results.groups.values() if group.variant == "tuned"]
    against_baseline = [
        (group, baseline)
        for group in tuned
        if not group.same_as and (baseline := results.group(group.arch, "baseline"))
    ]
    made = []
    for family, pairs in {TUNED_FAMILY: list(combinations(tuned, 2)), TUNING_FAMILY: against_baseline}.items():
        paired = [pair for pair in pairs if _common(*pair)]
        judged = judge_in_study(results, paired)
        widened = _widen(judged, results) if family == TUNED_FAMILY else [None] * len(judged)
        made += [_row(family, one, results, wider) for one, wider in zip(judged, widened, strict=True)]
    return made


def judge_in_study(results: StudyResults, pairs: Sequence[tuple[Group, Group]]) -> list[Judged]:
    """Compare the pairs of one family as `judge` does, with the margins and the confidence of the study."""
    return judge(pairs, margins_between(results, pairs), partial(confidence_of, results.study))


def judge(
    pairs: Sequence[tuple[Group, Group]],
    margins: Sequence[float],
    confidence: Callable[[int], float] = lambda n_seeds: CONFIDENCE,
) -> list[Judged]:
    """Compare the pairs of one family on their common seeds, of which each pair has some.

    Runs of the same seed are paired if both groups are of one network. Two networks share no initial weights.

    Args:
        pairs: the pairs of groups.
        margins: the difference in accuracy that matters for each pair, in [0, 1].
        confidence: returns the confidence of a comparison of this many seeds.

    Raises:
        UnusableStudy: if two groups were judged on different test images.
    """
    seeds = [_common(a, b) for a, b in pairs]
    compared = [
        compare(*_correct(a, b, common), margin=margin, confidence=confidence(len(common)), paired=a.is_of_network(b))
        for (a, b), common, margin in zip(pairs, seeds, margins, strict=True)
    ]
    holm_p = holm([one.p_value for one in compared])
    equivalence_p = holm([one.equivalence_p for one in compared])
    sound_pairs = _sound_pairs(pairs, seeds, margins, confidence)
    judged = []
    for index, (a, b) in enumerate(pairs):
        comparison = compared[index]
        if len(pairs) > 1:
            comparison = _corrected(comparison, holm_p[index], equivalence_p[index])
        if comparison.call == "equivalent" and not (beats_constant(a) or beats_constant(b)):
            comparison = replace(comparison, call="not shown", reason="nothing learned")
        comparison = hold_without_failures(comparison, sound_pairs[index])
        judged.append(Judged(a, b, seeds[index], comparison, holm_p[index], equivalence_p[index], sound_pairs[index]))
    return judged


def make_verdict(results: StudyResults, comparisons: list[ComparisonRow]) -> Verdict | None:
    """Return the one primary comparison, tuned against tuned; None unless there are two networks."""
    primary = [row for row in comparisons if row.family == TUNED_FAMILY]
    if len(results.architectures) != 2 or len(primary) != 1:
        return None
    (row,) = primary
    held = row.call != "not shown" and row.over_searches is not None and row.over_searches.call == row.call
    whom = "networks tuned by such a search" if held else "these two configurations"
    holds = f"This holds for {whom} and these {results.study.data.n_train:,} training images"
    holds += "." if len(row.seeds) == 1 else "; the interval covers fresh seeds and fresh test images."
    # A key that is not set is not written.
    keys = ("over_searches", "luck_to_overturn", "confidence")
    further = {key: getattr(row, key) for key in keys if key in row.model_fields_set}
    further |= {"looks": results.study.looks} if results.study.looks else {}
    planned = results.study.planned_seeds
    so_far = f"So far {len(row.seeds)} of the {planned} planned seeds are there." if len(row.seeds) < planned else ""
    return Verdict(
        winner=None if row.winner is None else results.groups[row.winner].arch,
        a=row.a,
        b=row.b,
        call=row.call,
        difference=row.difference,
        p_value=row.p_value,
        prob_better=row.prob_better,
        margin=row.margin,
        seeds=row.seeds,
        planned_seeds=planned,
        text=" ".join(
            filter(
                None,
                (
                    row.text,
                    so_far,
                    looks_in_words(results.study),
                    luck_sentence(row, results),
                    order_at_equal_epochs(results),
                    holds,
                ),
            )
        ),
        for_these_configurations=not held,
        **further,
    )


def overall_winner(results: StudyResults, comparisons: list[ComparisonRow]) -> str | None:
    """Return the network that, once tuned, is better than every other on all planned seeds; None if there is none."""
    planned = results.study.planned_seeds
    primary = [row for row in comparisons if row.family == TUNED_FAMILY and len(row.seeds) >= planned]
    for arch in results.architectures:
        group = results.group(arch, "tuned")
        wins = sum(group is not None and row.winner == group.name for row in primary)
        if wins == len(results.architectures) - 1 > 0:
            return arch
    return None


def _common(a: Group, b: Group) -> list[int]:
    return sorted(set(a.seeds) & set(b.seeds))


def _correct(a: Group, b: Group, seeds: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return which test images each group classifies correctly with these seeds, bool [seeds, images]."""
    if not np.array_equal(a.labels, b.labels):
        raise UnusableStudy(f"{a.name} and {b.name} were judged on different test images and cannot be compared")
    correct_a, correct_b = (group.correct()[[group.seeds.index(seed) for seed in seeds]] for group in (a, b))
    return correct_a, correct_b


def _corrected(comparison: Comparison, holm_p: float, equivalence_holm_p: float) -> Comparison:
    """Withdraw a call that does not stand among the several comparisons of its family."""
    p = {"better": holm_p, "equivalent": equivalence_holm_p}.get(comparison.call)
    if p is None or p < 1 - comparison.confidence:
        return comparison
    return replace(comparison, call="not shown", winner=None, reason="several comparisons")


def _sound_pairs(
    pairs: Sequence[tuple[Group, Group]],
    seeds: Sequence[list[int]],
    margins: Sequence[float],
    confidence: Callable[[int], float],
) -> list[SoundPair]:
    """Compare the pairs of one family without failed runs. Each call has to stand among them.

    A pair without a p value, because no two sound seeds are left, counts as a comparison that shows nothing.
    """
    found = [
        compare_without_failures(a, b, common, margin, confidence(len(common)))
        for (a, b), common, margin in zip(pairs, seeds, margins, strict=True)
    ]
    known = [pair.comparison for pair in found]
    better = holm([1.0 if one is None or math.isnan(one.p_value) else one.p_value for one in known])
    equivalent = holm([1.0 if one is None or math.isnan(one.equivalence_p) else one.equivalence_p for one in known])
    return [
        replace(pair, comparison=one and _corrected(one, better_p, equivalent_p))
        for pair, one, better_p, equivalent_p in zip(found, known, better, equivalent, strict=True)
    ]


def _widen(judged: Sequence[Judged], results: StudyResults) -> list[Widened]:
    pairs = [Pair((one.a.arch, one.b.arch), *_correct(one.a, one.b, one.seeds), one.comparison) for one in judged]
    return widen(results, pairs)


def _row(family: str, judged: Judged, results: StudyResults, wider: Widened | None) -> ComparisonRow:
    a, b, seeds, comparison = judged.a, judged.b, judged.seeds, judged.comparison
    correct_a, correct_b = _correct(a, b, seeds)
    title_a, title_b = (side_title(results, group.name) for group in (a, b))
    # A pair of tuned networks goes by the names of the networks.
    sides = (
        (results.architectures[a.arch], results.architectures[b.arch]) if a.variant == b.variant else (title_a, title_b)
    )
    own = with_own_settings(results.study) if a.arch != b.arch else ""
    description = describe(comparison, *sides, len(seeds), own, scope(comparison.call, wider) if wider else "")
    # A key that is not set is not written.
    further: dict[str, Any] = {"confidence": comparison.confidence} if results.study.looks else {}
    if wider and wider.over is not None:
        further["over_searches"] = wider.over
    if wider and wider.luck_to_overturn is not None:
        further["luck_to_overturn"] = wider.luck_to_overturn
    if without := judged.sound.difference():
        further["without_failed_runs"] = without
    failures = failure_sentences(judged.sound, *sides)
    return ComparisonRow(
        family=family,
        a=a.name,
        b=b.name,
        winner={"a": a.name, "b": b.name, None: None}[comparison.winner],
        call=comparison.call,
        reason=comparison.reason or None,
        difference=Difference(mean=comparison.mean, ci95=comparison.ci95),
        p_value=comparison.p_value,
        holm_p=judged.holm_p,
        equivalence_holm_p=judged.equivalence_holm_p,
        not_worse_p=comparison.not_worse_p,
        prob_better=comparison.prob_better,
        margin=comparison.margin,
        seeds=seeds,
        seeds_left_out=sorted(set(a.seeds) ^ set(b.seeds)),
        seed_correlation=_correlation(correct_a.mean(axis=1), correct_b.mean(axis=1)),
        detectable=comparison.detectable,
        headline=description.headline,
        difference_text=description.difference + failures,
        text=description.text + failures,
        **further,
    )


def _correlation(a: np.ndarray, b: np.ndarray) -> float | None:
    """Return the Pearson correlation over seeds; None if it is not defined."""
    if len(a) < 3 or min(np.ptp(a), np.ptp(b)) < 1e-12:
        return None
    return float(np.corrcoef(a, b)[0, 1])
