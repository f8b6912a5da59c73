"""Reads several studies of the same images, and compares their networks with each other."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from analysis.numbers import DASH
from analysis.results.errors import UnusableStudy
from analysis.results.load import Group, StudyResults, load_results
from analysis.results.study_folder import StudyFolder
from analysis.verdict.caveats.counts import deciding_groups
from analysis.verdict.comparisons import Judged, judge
from analysis.verdict.failed_runs import failure_sentences
from analysis.verdict.looks.level import confidence_of
from analysis.verdict.margin import margin_between
from analysis.verdict.summary import summarise
from analysis.verdict.summary_json import Summary
from analysis.verdict.wording import describe

# The environment's entries that can change what a study trains.
_SOFTWARE = ("version", "git_commit", "python", "processor", "gpus")
# Settings that cannot change a result.
_PLACES = ("address", "storage", "data_dir", "concurrency", "preset")


@dataclass(frozen=True)
class ComparedStudy:
    """Holds a study, its numbers, and its label: its name, or its path if several have the name."""

    label: str
    results: StudyResults
    summary: Summary

    def groups(self) -> list[Group]:
        """Return the tuned groups, or the baselines if nothing is tuned."""
        return deciding_groups(self.results.groups)

    def title(self, group: Group) -> str:
        """Return the title of one of its groups with the label of the study before it."""
        return f"{self.label}: {group.title}"


@dataclass(frozen=True)
class Difference:
    """Holds the difference between networks of two studies.

    Attributes:
        a: title of the first network, with its study.
        b: title of the second network, with its study.
        judged: the comparison of paired runs; None if there is none.
        reason: why there is none; else empty.
        text: the comparison in words; empty if there is none.
    """

    a: str
    b: str
    judged: Judged | None
    reason: str
    text: str = ""


def read_studies(paths: Sequence[Path]) -> list[ComparedStudy]:
    """Read the studies in these folders.

    Raises:
        UnusableStudy: if one is no study, is named twice, is of other images than the first, or has no final run.
        DamagedFile: if a file cannot be read; the message names it.
    """
    if len(paths) == 1:
        raise UnusableStudy(f"{paths[0]} is one study alone: give the folders of two or more studies")
    if len({path.resolve() for path in paths}) < len(paths):
        raise UnusableStudy("one study cannot be compared with itself: give each folder once")
    results = [load_results(StudyFolder.open(path)) for path in paths]
    first = results[0].study.data
    for path, one in zip(paths, results, strict=True):
        data = one.study.data
        if data.fingerprint != first.fingerprint:
            raise UnusableStudy(
                f"{path} is a study of other images ({data.title}, {data.fingerprint[:12]}) than {paths[0]}"
                f" ({first.title}, {first.fingerprint[:12]}): compare studies of the same data, --train-size and"
                " --train-seed"
            )
        if not one.groups:
            raise UnusableStudy(f"{path} has no final run yet: go on with it first, or leave it out")
    names = Counter(one.study.name for one in results)
    labels = [
        one.study.name if names[one.study.name] == 1 else str(path) for path, one in zip(paths, results, strict=True)
    ]
    return [ComparedStudy(label, one, summarise(one)) for label, one in zip(labels, results, strict=True)]


def compare_studies(studies: Sequence[ComparedStudy]) -> list[Difference]:
    """Compare each network with itself in another study, and with the networks there if that study lacks it.

    If a study chose its number of seeds by looks, a comparison has the confidence of the look.

    These are two families. The p values are Holm-adjusted within each, and a call has to stand after that. Networks
    whose runs are not paired, or are the same, are listed with the reason. The difference that matters is the larger
    margin of the two studies.
    """
    same, other = [], []
    for one, two in combinations(studies, 2):
        archs_one, archs_two = ({group.arch for group in study.groups()} for study in (one, two))
        for a in one.groups():
            for b in two.groups():
                if a.arch == b.arch:
                    same.append((one, a, two, b))
                elif a.arch not in archs_two or b.arch not in archs_one:
                    other.append((one, a, two, b))

    def confidence(n_seeds: int) -> float:
        return max(confidence_of(study.results.study, n_seeds) for study in studies)

    return [*_differences(same, confidence), *_differences(other, confidence)]


def different_settings(studies: Sequence[ComparedStudy]) -> dict[str, list[str]]:
    """Return the settings, search spaces and software that differ, by name, with the value of each study as text."""
    rows: dict[str, list[str]] = {}
    flat = [settings(study) for study in studies]
    for name in dict.fromkeys(name for one in flat for name in one):
        values = [_text(one.get(name)) for one in flat]
        if len(set(values)) > 1:
            rows[name] = values
    return rows


def _differences(
    pairs: Sequence[tuple[ComparedStudy, Group, ComparedStudy, Group]], confidence: Callable[[int], float]
) -> list[Difference]:
    reasons = [_unpaired(*pair) for pair in pairs]
    paired = [(a, b) for (_, a, _, b), reason in zip(pairs, reasons, strict=True) if not reason]
    margins = [
        max(margin_between(one.results, a, a), margin_between(two.results, b, b))
        for (one, a, two, b), reason in zip(pairs, reasons, strict=True)
        if not reason
    ]
    judged = iter(judge(paired, margins, confidence))
    found = []
    for (one, a, two, b), reason in zip(pairs, reasons, strict=True):
        titles = one.title(a), two.title(b)
        if reason:
            found.append(Difference(*titles, None, reason))
        else:
            made = next(judged)
            text = describe(made.comparison, *titles, len(made.seeds)).text + failure_sentences(made.sound, *titles)
            found.append(Difference(*titles, made, "", text))
    return found


def _unpaired(one: ComparedStudy, a: Group, two: ComparedStudy, b: Group) -> str:
    """Return why the runs of two groups are not compared; nothing if they are."""
    seeds = [(study.results.study.config.model_extra or {}).get("seed", 0) for study in (one, two)]
    if seeds[0] != seeds[1]:
        return f"not paired: the studies have --seed {seeds[0]} and --seed {seeds[1]}"
    common = sorted(set(a.seeds) & set(b.seeds))
    if not common:
        return "not paired: the final runs have no seed in common"
    answers_a, answers_b = (group.predictions()[[group.seeds.index(seed) for seed in common]] for group in (a, b))
    return "the same final runs: every answer is equal" if np.array_equal(answers_a, answers_b) else ""


def _text(value: Any) -> str:
    return DASH if value is None else json.dumps(value, ensure_ascii=False).strip('"')


def settings(study: ComparedStudy) -> dict[str, Any]:
    """Return what can change a study's result, by name."""
    described = study.results.study
    config = {name: value for name, value in described.config.model_dump().items() if name not in _PLACES}
    space = {name: dimension.model_dump(exclude_none=True) for name, dimension in described.search.space.items()}
    environment = described.environment.model_dump()
    return {
        **config,
        **{f"range of {name}": value for name, value in space.items()},
        **{name: environment.get(name) for name in _SOFTWARE},
    }
