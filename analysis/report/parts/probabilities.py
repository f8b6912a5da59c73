"""Tables of the probabilities of each network, and of the differences between two networks in other metrics."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from analysis.figures.samples import judged_networks
from analysis.numbers import number, points
from analysis.report.tables import Column, Table, percent_column, write_interval
from analysis.results.load import Group, StudyResults
from analysis.statistics.predictions.calibration import Score, calibration
from analysis.statistics.predictions.paired_predictions import error_kappa, metric_differences

_TITLES = {"precision": "precision", "recall": "recall", "f1": "F1"}


def calibration_table(results: StudyResults) -> Table:
    """Return a row a judged network: the calibration error, Brier score and log loss of its probabilities."""
    write = partial(number, form=".4f")
    columns = (
        Column("Network"),
        Column("calibration error", "%", partial(_with_deviation, write=percent_column(results.study))),
        Column("Brier score", write=partial(_with_interval, write=write)),
        Column("log loss", "nats", partial(_with_interval, write=write)),
    )
    rows = []
    for group in judged_networks(results.groups).values():
        found = calibration([run.logits for run in group.runs], group.labels)
        rows.append((group.title, found.ece, found.brier, found.log_loss))
    return Table("calibration", "Calibration of the probabilities", columns, rows)


def metric_differences_table(results: StudyResults) -> Table:
    """Return a row a metric: the difference between two networks with its interval. Other studies have no row."""
    columns = (
        Column("Metric"),
        Column("A\N{NO-BREAK SPACE}\N{MINUS SIGN}\N{NO-BREAK SPACE}B", "points", points),
        Column("95\N{NO-BREAK SPACE}% interval", "points", partial(write_interval, write=points)),
    )
    rows = []
    if pair := _pair(results):
        a, b, seeds = pair
        of_a, of_b = (group.predictions()[[group.seeds.index(seed) for seed in seeds]] for group in (a, b))
        found = metric_differences(of_a, of_b, a.labels, len(results.classes), paired=a.is_of_network(b))
        rows = [(_TITLES[name], one.mean, (one.low, one.high)) for name, one in found.items()]
    return Table("metric-differences", "Differences in other metrics", columns, rows)


def pair_in_words(results: StudyResults) -> str:
    """Name the two networks whose metrics are compared, and say how far they make the same errors."""
    pair = _pair(results)
    if pair is None:
        return ""
    a, b, seeds = pair
    kappa = error_kappa(*(group.correct()[[group.seeds.index(seed) for seed in seeds]] for group in (a, b)))
    said = f"A is {a.title}, and B is {b.title}."
    if np.isnan(kappa):
        return said
    return (
        f"{said} The kappa of their errors is {number(kappa, '.2f')}. It is 1 if both err on the same images, and 0 if"
        " they share as many errors as chance gives."
    )


def _pair(results: StudyResults) -> tuple[Group, Group, list[int]] | None:
    """Return the two judged networks of a study and their common seeds; None unless there are 2 of each."""
    judged = list(judged_networks(results.groups).values())
    if len(judged) != 2:
        return None
    a, b = judged
    seeds = sorted(set(a.seeds) & set(b.seeds))
    return (a, b, seeds) if len(seeds) >= 2 else None


def _with_deviation(values: np.ndarray, write: Callable[[Any], str]) -> str:
    """Write the mean over runs and their deviation. A single run has only a mean."""
    return write(values.mean()) + (f" ± {write(values.std(ddof=1))}" if len(values) > 1 else "")


def _with_interval(score: Score, write: Callable[[Any], str]) -> str:
    """Write the mean over runs and, on a line of its own, its interval. A single run has only a mean."""
    return write(score.mean) + ("" if np.isnan(score.low) else f"\n{write_interval((score.low, score.high), write)}")
