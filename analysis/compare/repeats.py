"""The difference between two networks over repeated searches: studies that differ in their seed alone.

One study estimates the luck of its searches. Studies with seeds of their own show it: each has drawn its
configurations anew. The mean of a study takes the place of a run in the two-way layout [searches, images], so the
interval covers searches, seeds and test images. The searches of two networks know nothing of each other, so the
variances of both are added, with Welch's degrees of freedom, as for runs.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from analysis.compare.studies import ComparedStudy, settings
from analysis.numbers import points
from analysis.results.errors import UnusableStudy
from analysis.results.load import Group
from analysis.statistics.calls import CONFIDENCE
from analysis.statistics.comparison import holm
from analysis.statistics.two_way_layout import TwoWayLayout

# With two searches the interval holds the difference in 93 to 94 % only (benchmarks/RESULTS.md).
LEAST_SEARCHES = 3
# Settings and machines that a repeated study may change.
_FREE = ("seed", "processor", "gpus")


@dataclass(frozen=True)
class Repeat:
    """Holds the difference in accuracy between two networks over repeated searches, A minus B.

    Attributes:
        a: title of the first network.
        b: title of the second network.
        studies: labels of the studies, one search of each network in each.
        mean: mean difference over the studies, in [-1, 1].
        ci95: its 95 % interval over searches, seeds and test images.
        deviation: standard deviation of the difference between the studies.
        p_value: p value of no difference.
        holm_p: the same after Holm's correction for the pairs of networks.
    """

    a: str
    b: str
    studies: list[str]
    mean: float
    ci95: tuple[float, float]
    deviation: float
    p_value: float
    holm_p: float

    @property
    def text(self) -> str:
        """Say the difference in words."""
        a, b, sign = (self.a, self.b, 1) if self.mean >= 0 else (self.b, self.a, -1)
        low, high = sorted(sign * limit for limit in self.ci95)
        interval = f"(95 % interval {points(low)} to {points(high)})"
        gain = points(sign * self.mean).removeprefix("+")
        over = f"Over {len(self.studies)} searches of each network,"
        if len(self.studies) < LEAST_SEARCHES:
            return f"{over} {a} is ahead of {b} by {gain} points {interval}. A verdict needs {LEAST_SEARCHES} searches."
        if self.holm_p < 1 - CONFIDENCE:
            return f"{over} {a} is more accurate than {b} by {gain} points {interval}."
        return f"{over} no difference between {a} and {b} is shown: {gain} points {interval}."


def repeated_searches(studies: Sequence[ComparedStudy]) -> list[Repeat]:
    """Compare the networks of studies that differ in their seed alone.

    Studies with the same settings, software and networks are one family, and Holm's correction is for its pairs of
    networks. A seed that two studies share counts once, because its searches are the same.

    Raises:
        UnusableStudy: if two of these studies were judged on different test images.
    """
    families: dict[str, dict[object, ComparedStudy]] = {}
    for study in studies:
        if study.results.study.config.baseline:
            continue  # nothing was searched
        told = settings(study)
        seed = told.get("seed", 0)
        key = json.dumps({name: value for name, value in told.items() if name not in _FREE}, default=str)
        families.setdefault(key, {}).setdefault(seed, study)
    return [row for family in families.values() if len(family) > 1 for row in _of_family([*family.values()])]


def _of_family(studies: Sequence[ComparedStudy]) -> list[Repeat]:
    groups = [{group.arch: group for group in study.groups()} for study in studies]
    labels = [next(iter(of_study.values())).labels for of_study in groups]
    for study, others in zip(studies[1:], labels[1:], strict=True):
        if not np.array_equal(labels[0], others):
            raise UnusableStudy(f"{studies[0].label} and {study.label} were judged on different test images")
    shared = [arch for arch in groups[0] if all(arch in of_study for of_study in groups)]
    rows = []
    for a, b in combinations(shared, 2):
        means = [_means(of_study[a], of_study[b]) for of_study in groups]
        complete = [(study.label, *pair) for study, pair in zip(studies, means, strict=True) if pair is not None]
        if len(complete) > 1:
            titles = studies[0].results.architectures
            names, one, other = zip(*complete, strict=True)
            rows.append(_repeat(titles[a], titles[b], list(names), np.stack(one), np.stack(other)))
    corrected = holm([row.p_value for row in rows])
    return [replace(row, holm_p=holm_p) for row, holm_p in zip(rows, corrected, strict=True)]


def _repeat(a: str, b: str, names: list[str], one: np.ndarray, other: np.ndarray) -> Repeat:
    """Compare two networks by the share of right answers to each image in each study, [studies, images]."""
    layout = TwoWayLayout.between(one, other, paired=False)
    reach, p_value = layout.half_width(), layout.p_value()
    deviation = float((one - other).mean(axis=1).std(ddof=1))
    return Repeat(a, b, names, layout.mean, (layout.mean - reach, layout.mean + reach), deviation, p_value, p_value)


def _means(a: Group, b: Group) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the mean of both over common seeds on each test image; None without a common seed."""
    common = sorted(set(a.seeds) & set(b.seeds))
    if not common:
        return None
    one, other = (group.correct()[[group.seeds.index(seed) for seed in common]].mean(axis=0) for group in (a, b))
    return one, other
