"""What weakens a verdict though no interval shows it: pure functions of a study's tables, giving small values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from analysis.results.load import Group
from analysis.statistics.comparison import CONFIDENCE, proportion_interval

# Share of a search range, on its own scale, that counts as its edge.
EDGE = 0.05
# Test images of a class below which the variance between them is hardly known: that of one alone counts as none, since
# it is its class's mean, though the class is worth as much as any in a macro average.
FEW_IMAGES = 10
# Of p99 to p50, above which something else has held up predictions.
STEADY_RATIO = 3.0


@dataclass(frozen=True)
class CapShare:
    """Of the runs of a group, how many the cap on epochs ended while they could still have improved."""

    title: str
    runs: int
    capped: int


@dataclass(frozen=True)
class AtEdge:
    """A hyperparameter of a tuned configuration that lies at an edge of its search range."""

    arch: str
    name: str
    value: float
    edge: Literal["low", "high"]
    limit: float


@dataclass(frozen=True)
class BelowBaseline:
    """Of an architecture's other trials that have a score, how many scored below the baseline trial."""

    arch: str
    trials: int
    below: int


def capped_runs(groups: Mapping[str, Group], max_epochs: int, patience: int) -> list[CapShare]:
    """For each group that was trained, the runs whose best epoch lies within the patience of the cap.

    Such a run had no chance to run out of patience, so the cap decided when it ended. One that diverged was ended
    by that.
    """
    return [
        CapShare(
            group.title,
            len(group.runs),
            sum(
                run.metrics["status"] != "DIVERGED" and max_epochs - run.metrics["best_epoch"] < patience
                for run in group.runs
            ),
        )
        for group in groups.values()
        if not group.same_as
    ]


def at_edges(groups: Mapping[str, Group], space: Mapping[str, Mapping[str, Any]]) -> list[AtEdge]:
    """Where a tuned configuration lies within EDGE of an end of its range, or beyond it.

    The end at dropout 0 is left out: nothing lies behind it that a wider range could have found.

    Args:
        space: for each hyperparameter low, high and log; with log the share is one of the logarithm's range.
    """
    found = []
    for group in groups.values():
        if group.variant != "tuned":
            continue
        for name, bounds in space.items():
            value = group.config[name]
            scale = np.log if bounds["log"] else np.asarray
            # A dropout of 0 has no place on a logarithmic range, but then lies below it.
            with np.errstate(divide="ignore"):
                low, high, at = (float(scale(number)) for number in (bounds["low"], bounds["high"], value))
            share = (at - low) / (high - low)
            if share <= EDGE and not (name == "dropout" and bounds["low"] == 0):
                found.append(AtEdge(group.arch, name, value, "low", bounds["low"]))
            elif share >= 1 - EDGE:
                found.append(AtEdge(group.arch, name, value, "high", bounds["high"]))
    return found


def trials_below_baseline(trials: pd.DataFrame, architectures: Sequence[str]) -> list[BelowBaseline]:
    """How many trials did worse than the baseline trial, of those architectures whose baseline trial has a score.

    A pruned or diverged trial counts with the score that it had, one without a score not at all.
    """
    found = []
    for arch in architectures:
        scored = trials[(trials["arch"] == arch) & trials["val_accuracy"].notna()] if len(trials) else trials
        if not len(scored) or not scored["is_baseline"].any():
            continue
        baseline = float(scored.loc[scored["is_baseline"], "val_accuracy"].iloc[0])
        others = scored.loc[~scored["is_baseline"], "val_accuracy"]
        found.append(BelowBaseline(arch, len(others), int((others < baseline).sum())))
    return found


def no_better_than_constant(groups: Mapping[str, Group]) -> tuple[list[str], float]:
    """The groups that were trained and are not shown to beat one answer for every image.

    Returns:
        Their titles, and the accuracy of that answer: the share of the most frequent class of the test images.
    """
    trained = [group for group in groups.values() if not group.same_as]
    share = _constant_share(trained[0]) if trained else 0.0
    return [group.title for group in trained if not beats_constant(group)], share


def beats_constant(group: Group) -> bool:
    """Whether a group is shown to be more accurate than the most frequent class as the answer for every image."""
    low, _ = proportion_interval(group.correct())
    # A single run has no interval.
    return bool((group.correct().mean() if np.isnan(low) else low) > _constant_share(group))


def _constant_share(group: Group) -> float:
    return float(np.bincount(group.labels).max() / len(group.labels))


def small_classes(groups: Mapping[str, Group], classes: Sequence[str]) -> dict[str, int]:
    """The classes with fewer than FEW_IMAGES test images, and how many they have; none where no group has a run."""
    labels = next((group.labels for group in groups.values()), None)
    if labels is None:
        return {}
    counts = np.bincount(labels, minlength=len(classes)).tolist()
    return {name: count for name, count in zip(classes, counts, strict=True) if count < FEW_IMAGES}


def rare_answers(groups: Mapping[str, Group], n_classes: int) -> list[str]:
    """Titles of the groups that were trained, of which a run gives some class as its answer for few images.

    The precision of that class hangs on these images, which are largely the same ones in every run.
    """
    return [
        group.title
        for group in groups.values()
        if not group.same_as
        and min(np.bincount(answers, minlength=n_classes).min() for answers in group.predictions()) < FEW_IMAGES
    ]


def slow_calls(latency: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """The architectures of which some predictions took far longer than most, and how many times p50 their p99 is."""
    ratios = {arch: measured["latency_ms"]["p99"] / measured["latency_ms"]["p50"] for arch, measured in latency.items()}
    return {arch: ratio for arch, ratio in ratios.items() if ratio > STEADY_RATIO}


def score_error(study: Mapping[str, Any]) -> tuple[int, float]:
    """How many images a trial is scored on, and the largest standard error of a score that comes from that."""
    images = round(study["search"]["validation_fraction"] * study["data"]["n_train"])
    return images, 0.5 / images**0.5


def unseen_mishaps(n_seeds: int) -> float:
    """The largest share of runs that may go wrong, by a 95 % limit, where none of so many has."""
    return float(1 - (1 - CONFIDENCE) ** (1 / n_seeds))


def has_added_seeds(study: Mapping[str, Any]) -> bool:
    """Whether the study was given more seeds when it was resumed."""
    return any(session.get("added_seeds") for session in study.get("resumed", []))
