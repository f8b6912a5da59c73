"""The sentences of a report, from a study's results."""

from dataclasses import dataclass
from typing import Any

from analysis.numbers import listed, number
from analysis.report.tables import distinct_groups
from analysis.results.load import VARIANTS, StudyResults
from analysis.results.study_json import Dimension, Range, Study
from analysis.statistics.calls import Call
from analysis.verdict.caveats.own_settings import own_settings_sentence
from analysis.verdict.comparisons import TUNED_FAMILY, TUNING_FAMILY
from analysis.verdict.failed_runs import failed_of
from analysis.verdict.looks.level import looks_in_words
from analysis.verdict.margin import margin_in_words
from analysis.verdict.summary_json import Caveat, Summary
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
    """Holds the box at the top of the report. The notebook and the terminal show the same sentences.

    Attributes:
        call: the call; None if there is no verdict.
        title: the call with the gravest limit that could overturn it.
        headline: the winner, or that none is shown.
        numbers: the accuracies, the luck of the searches and the price, each if it is known.
        doubts: the limits that could overturn the result, each with its grade.
    """

    call: Call | None
    title: str
    headline: str
    numbers: list[str]
    doubts: list[str]

    def lines(self) -> list[str]:
        """Return the box as paragraphs. The title is left out if there is no call."""
        return [*([f"{self.title}."] if self.call else []), self.headline, *self.numbers, *self.doubts]


@dataclass(frozen=True)
class ComparisonTexts:
    """Sentences about the comparisons.

    Attributes:
        pairs: a description of each pair of tuned networks.
        tuning: a sentence for each network that says if tuning helped.
        left_out: the seeds that only one side of a comparison has.
    """

    pairs: list[str]
    tuning: list[str]
    left_out: list[str]
    margin: str


def describe_study(results: StudyResults) -> str:
    """Describe the study in a sentence."""
    data, config = results.study.data, results.study.config
    tried = "" if config.baseline else f" {config.trials} trials a network,"
    networks, differing = listed(list(results.architectures.values())), own_settings_sentence(results.study)
    return (
        f"{results.study.name}: {networks} on {data.title} ({data.n_train:,} training and {data.n_test:,} test images"
        f" of {len(data.classes)} classes);{tried} at most {config.max_epochs} epochs a run,"
        f" {results.study.planned_seeds} seeds.{' ' * bool(differing)}{differing}"
    )


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
            elif absent := sorted(set(range(results.study.planned_seeds)) - set(group.seeds)):
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


def searched(study: Study) -> str:
    """Say which hyperparameters were searched, each with its range or choices; by network if spaces differ."""
    titles = study.titles()
    said = {
        arch: ", ".join(_dimension(titles[name], dimension) for name, dimension in study.space_of(arch).items())
        for arch in study.architectures
    }
    if len(set(said.values())) == 1:
        return next(iter(said.values()))
    return "; ".join(f"{ranges} for {study.architectures[arch].title}" for arch, ranges in said.items())


def _dimension(title: str, dimension: Dimension) -> str:
    if not isinstance(dimension, Range):
        return f"{title} {' or '.join(number(choice) for choice in dimension.choices)}"
    scale = ["log-uniform" if dimension.log else "uniform"]
    if dimension.type == "int":
        scale.append("whole numbers")
    if dimension.step not in (None, 1 if dimension.type == "int" else 0):
        scale.append(f"in steps of {number(dimension.step)}")
    return f"{title} {number(dimension.low)} to {number(dimension.high)} ({', '.join(scale)})"


def verdict_digest(summary: Summary) -> VerdictBox:
    """Return the verdict, or the reason why there is none."""
    return VerdictBox(
        call=summary.call,
        title=f"Verdict: {summary.label}" if summary.label else "Verdict",
        headline=summary.headline or "",
        numbers=[
            sentence for sentence in (summary.accuracies, summary.luck, summary.price, summary.advice) if sentence
        ],
        doubts=[graded(caveat) for caveat in summary.caveats if caveat.text in summary.doubt],
    )


def graded(caveat: Caveat) -> str:
    """Write a limit of the result with its grade in words."""
    return f"{caveat.grade.words}: {caveat.text}"


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
    pairs = [row.text for row in summary.comparisons if row.family == TUNED_FAMILY]
    return ComparisonTexts(
        pairs=[summary.verdict.text] if summary.verdict else [*pairs, *filter(None, [looks_in_words(results.study)])],
        tuning=[row.text for row in summary.comparisons if row.family == TUNING_FAMILY] + unchanged,
        left_out=left_out,
        margin=margin_in_words(results.study.config),
    )


def failed_runs(summary: Summary) -> list[str]:
    """List the groups that have failed runs, each with their number, its interval and the seeds."""
    return [
        f"{failed_of(len(group.failed_seeds), len(group.seeds))} of {group.title}"
        f" (seed{'s' * (len(group.failed_seeds) > 1)} {listed(group.failed_seeds)})"
        for group in distinct_groups(summary).values()
        if group.failed_seeds
    ]
