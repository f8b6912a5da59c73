"""Counts what weakens a verdict and is in no interval: pure functions of a study's tables."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from analysis.results.load import Group
from analysis.results.study_json import Dimension, Range, Session, Study
from analysis.statistics.calls import CONFIDENCE
from analysis.statistics.two_way_layout import proportion_interval

# At most this share of a search range, on the range's own scale, counts as its edge.
EDGE = 0.05
# At least 10 test images of a class, because fewer tell almost nothing about the variance between them, and each class
# has the same weight in a macro average.
FEW_IMAGES = 10
# At most this ratio of p99 to p50, because a larger one means that something else delayed predictions.
STEADY_RATIO = 3.0


@dataclass(frozen=True)
class CapShare:
    """Counts the runs of a group, and the runs that the cap on epochs ended while they could still improve."""

    arch: str
    runs: int
    capped: int


@dataclass(frozen=True)
class AtEdge:
    """Names a hyperparameter of a tuned configuration that lies at an edge of its search range."""

    arch: str
    name: str
    value: float
    edge: Literal["low", "high"]
    limit: float


@dataclass(frozen=True)
class BelowBaseline:
    """Counts a network's other trials that have a score, and the trials that scored below the baseline trial."""

    arch: str
    trials: int
    below: int


def deciding_groups(groups: Mapping[str, Group]) -> list[Group]:
    """Return the tuned groups, whose runs decide the verdict; the baselines if nothing is tuned."""
    return [group for group in groups.values() if group.variant == "tuned"] or list(groups.values())


def other_groups(groups: Mapping[str, Group]) -> list[Group]:
    """Return the groups whose runs do not decide the verdict. A baseline that is also tuned is none of them."""
    names = {name for group in deciding_groups(groups) for name in (group.name, group.same_as)}
    return [group for group in groups.values() if group.name not in names]


def capped_runs(groups: Iterable[Group], max_epochs: int, patience: float) -> list[CapShare]:
    """Count, for each group, the runs whose best epoch lies within the patience of the cap.

    Such a run could not run out of patience, so the cap decided when it ended. A run that diverged does not count.

    Args:
        groups: the groups.
        max_epochs: the cap.
        patience: epochs without a lower validation loss that end a run; infinite if nothing but the cap ends one.
    """
    return [
        CapShare(
            group.arch,
            len(group.runs),
            sum(
                run.metrics["status"] != "DIVERGED" and max_epochs - run.metrics["best_epoch"] < patience
                for run in group.runs
            ),
        )
        for group in groups
    ]


def epochs_of_grace(study: Study) -> int:
    """Return the epoch before which patience ends no run: the first one with the steps of grace behind it."""
    steps = math.ceil((study.data.n_train - study.n_validation()) / study.search.batch_size)
    return math.ceil(study.config.grace_steps / steps)


def at_edges(groups: Mapping[str, Group], spaces: Mapping[str, Mapping[str, Dimension]]) -> list[AtEdge]:
    """Find the tuned hyperparameters that lie within EDGE of an end of their range, or beyond it.

    On a logarithmic range, EDGE is a share of the logarithm's range. A low end of 0 does not count on a linear range,
    because a wider range would find nothing below 0. A range of one value has no edges.

    Args:
        groups: the groups by name.
        spaces: the search space of each network.
    """
    found = []
    for group in groups.values():
        if group.variant != "tuned":
            continue
        for name, bounds in spaces[group.arch].items():
            if not isinstance(bounds, Range) or bounds.low == bounds.high or name not in group.config:
                continue
            value = group.config[name]
            scale = np.log if bounds.log else np.asarray
            # 0 has no place on a logarithmic range, but lies below it.
            with np.errstate(divide="ignore"):
                low, high, at = (float(scale(number)) for number in (bounds.low, bounds.high, value))
            share = (at - low) / (high - low)
            if share <= EDGE and (bounds.log or bounds.low != 0):
                found.append(AtEdge(group.arch, name, value, "low", bounds.low))
            elif share >= 1 - EDGE:
                found.append(AtEdge(group.arch, name, value, "high", bounds.high))
    return found


def trials_below_baseline(trials: pd.DataFrame, architectures: Sequence[str]) -> list[BelowBaseline]:
    """Count the trials that scored below the baseline trial, for each network whose baseline trial has a score.

    A pruned or diverged trial counts with its last score. A trial without a score does not count.
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


def beats_constant(group: Group) -> bool:
    """Return whether a group is shown to be more accurate than one answer for every image, the most frequent class."""
    low, _ = proportion_interval(group.correct())
    # A single run has no interval.
    return bool((group.correct().mean() if np.isnan(low) else low) > constant_share(group))


def constant_share(group: Group) -> float:
    """Return the accuracy of the best answer that is the same for every image: the share of the most frequent class."""
    return float(np.bincount(group.labels).max() / len(group.labels))


def small_classes(groups: Mapping[str, Group], classes: Sequence[str]) -> dict[str, int]:
    """Return the classes with fewer than FEW_IMAGES test images, with their numbers; none if no group has a run."""
    labels = next((group.labels for group in groups.values()), None)
    if labels is None:
        return {}
    counts = np.bincount(labels, minlength=len(classes)).tolist()
    return {name: count for name, count in zip(classes, counts, strict=True) if count < FEW_IMAGES}


def rare_answers(groups: Mapping[str, Group], n_classes: int) -> list[str]:
    """Return the titles of the trained groups that have a run in which some class is the answer for few images.

    The precision of that class rests on these images, and most of them are the same in every run.
    """
    return [
        group.title
        for group in groups.values()
        if not group.same_as
        and min(np.bincount(answers, minlength=n_classes).min() for answers in group.predictions()) < FEW_IMAGES
    ]


def slow_calls(latency: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Return the networks, or groups, whose p99 latency is far above p50, with the ratio."""
    ratios = {name: measured["latency_ms"]["p99"] / measured["latency_ms"]["p50"] for name, measured in latency.items()}
    return {name: ratio for name, ratio in ratios.items() if ratio > STEADY_RATIO}


def score_error(study: Study) -> tuple[int, float]:
    """Return the number of images that a trial is scored on, and the largest standard error that this gives."""
    images = study.n_validation()
    return images, 0.5 / images**0.5


def unseen_mishaps(n_seeds: int) -> float:
    """Return the largest share of runs that may go wrong, by a 95 % limit, if none of n_seeds runs did."""
    return float(1 - (1 - CONFIDENCE) ** (1 / n_seeds))


def has_added_seeds(sessions: Sequence[Session]) -> bool:
    """Return whether a session that resumed the study added seeds."""
    return any(session.added_seeds for session in sessions)
