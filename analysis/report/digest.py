"""The sentences of a report, from a study's results."""

import math
from dataclasses import dataclass
from typing import Any

from analysis.numbers import listed, number
from analysis.results.load import VARIANTS, StudyResults
from analysis.results.study_json import Range, Study
from analysis.statistics.calls import Call
from analysis.verdict.comparisons import TUNED_FAMILY, TUNING_FAMILY, overall_winner
from analysis.verdict.summary_json import Summary
from analysis.verdict.wording import side_title

_ENVIRONMENT = {
    "version": "fairverdict",
    "python": "Python",
    "git_commit": "commit",
    "c_compiler": "C compiler:",
    "packages": "packages",
    "platform": "platform",
    "processor": "processor",
    "cpus": "CPUs:",
    "gpus": "GPUs:",
    "memory_gib": "GiB of memory:",
}


@dataclass(frozen=True)
class ResumedSession:
    """Describes a session that resumed the study. `changes` names what differs from the first session's environment."""

    created: str
    command: str
    changes: list[str]


@dataclass(frozen=True)
class VerdictBox:
    """Holds the box at the top of the report. `call` is None if there is no verdict."""

    call: Call | None
    text: str


@dataclass(frozen=True)
class ComparisonTexts:
    """Sentences about the comparisons.

    Attributes:
        pairs: a description of each pair of tuned networks, if there is no verdict that says it.
        tuning: a sentence for each network that says if tuning helped.
        left_out: the seeds that only one side of a comparison has.
    """

    pairs: list[str]
    tuning: list[str]
    left_out: list[str]


def missing_parts(results: StudyResults) -> list[str]:
    """List the parts that a finished study of this configuration holds and this study does not."""
    config, missing = results.study.config, []
    for arch, title in results.architectures.items():
        done = len(results.trials_of(arch))
        if not config.baseline and done < config.trials:
            missing.append(f"{title}: {done} of {config.trials} trials of the search are there.")
        for variant in VARIANTS[:1] if config.baseline else VARIANTS:
            group = results.group(arch, variant)
            if group is None:
                missing.append(f"{title} ({variant}): no final run is there.")
            elif absent := sorted(set(range(config.seeds)) - set(group.seeds)):
                missing.append(f"{group.title}: seeds without a final run: {listed(absent)}.")
    if not results.latency:
        missing.append("The time of a prediction was not measured.")
    return missing


def resumed_sessions(study: Study) -> list[ResumedSession]:
    """List the sessions that resumed the study."""
    begun = study.environment.model_dump()
    return [
        ResumedSession(
            session.created,
            session.command,
            [
                f"{_ENVIRONMENT[key]} {_changed(value, begun.get(key))}"
                for key, value in session.environment.items()
                if key in _ENVIRONMENT and value != begun.get(key)
            ],
        )
        for session in study.resumed or ()
    ]


def _changed(value: Any, before: Any) -> str:
    """Write a value in words. Only packages with another version than before are written."""
    if isinstance(value, dict):
        return listed([f"{name} {text}" for name, text in value.items() if before.get(name) != text])
    return (listed(value) if isinstance(value, list) else str(value or "")) or "none"


def searched(study: Study) -> list[str]:
    """List the hyperparameters that were searched, each with its range or choices."""
    titles, said = study.search.titles(), []
    for name, dimension in study.search.space.items():
        if isinstance(dimension, Range):
            scale = "log-uniform" if dimension.log else "uniform"
            said.append(f"{titles[name]} {number(dimension.low)} to {number(dimension.high)} ({scale})")
        else:
            said.append(f"{titles[name]}: {' or '.join(number(choice) for choice in dimension.choices)}")
    return said


def verdict_digest(results: StudyResults, summary: Summary) -> VerdictBox:
    """Return the verdict, or the reason why there is none."""
    if summary.verdict:
        return VerdictBox(summary.verdict.call, summary.verdict.text)
    count = len(results.architectures)
    if results.study.config.baseline:
        text = "There is no verdict: nothing was tuned."
    elif count == 1:
        text = "There is no verdict with 1 network."
    elif count > 2:
        text = f"{_pairs_compared(results, summary)} There is no single verdict with {count} networks."
    else:
        tuned = sum(group.variant == "tuned" for group in results.groups.values())
        text = "There is no verdict: " + (
            "no seed has a final run of both tuned networks."
            if tuned == count
            else "final runs of both tuned networks are needed."
        )
    return VerdictBox(None, text)


def _pairs_compared(results: StudyResults, summary: Summary) -> str:
    pairs = math.comb(len(results.architectures), 2)
    compared = sum(row.family == TUNED_FAMILY for row in summary.comparisons)
    if compared == pairs:
        winner = overall_winner(results, summary.comparisons)
        if winner is None:
            return "No network is better than every other on all planned seeds. Every pair is compared below."
        return f"{results.architectures[winner]} is better than each of the others. Every pair is compared below."
    number_compared = f"Only {compared}" if compared else "None"
    return f"{number_compared} of the {pairs} pairs can be compared, because final runs are missing."


def comparison_digest(results: StudyResults, summary: Summary) -> ComparisonTexts:
    """Describe every comparison in sentences."""
    unchanged = [
        f"{results.architectures[group.arch]}: the search found nothing better than the documented baseline."
        if results.study.config.trials > 1
        else f"{results.architectures[group.arch]}: nothing but the documented baseline was tried."
        for group in results.groups.values()
        if group.same_as
    ]
    left_out = []
    for row in summary.comparisons:
        if row.seeds_left_out:
            several = len(row.seeds_left_out) > 1
            left_out.append(
                f"{side_title(results, row.a)} against {side_title(results, row.b)}:"
                f" {'seeds' if several else 'seed'} {listed(row.seeds_left_out)} left out, because only one of the two"
                f" has {'them' if several else 'it'}."
            )
    return ComparisonTexts(
        pairs=[] if summary.verdict else [row.text for row in summary.comparisons if row.family == TUNED_FAMILY],
        tuning=[row.text for row in summary.comparisons if row.family == TUNING_FAMILY] + unchanged,
        left_out=left_out,
    )


def diverged_runs(results: StudyResults) -> list[str]:
    """List the final runs that diverged, by group and seed."""
    return [
        f"{group.title}, seed {seed}"
        for group in results.groups.values()
        if not group.same_as
        for seed in group.diverged_seeds()
    ]
