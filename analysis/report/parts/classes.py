"""Precision, recall and F1 of each class: the table of the page, and the counts that it comes from."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from analysis.figures.samples import judged_networks
from analysis.numbers import listed, number, p_value, points
from analysis.report.tables import Column, Table, percent_column, write_interval
from analysis.results.load import Group, StudyResults
from analysis.statistics.calls import CONFIDENCE
from analysis.statistics.comparison import LEAST_SEEDS
from analysis.statistics.predictions.by_class import RecallDifferences, recall_differences

# At most 30 classes stay in the order of the data set, because readers look for the hardest ones in a longer list.
MOST_IN_ORDER = 30
# At most 5 classes are named in a sentence, because the table has all of them.
MOST_NAMED = 5


@dataclass(frozen=True)
class ClassScores:
    """Holds precision, recall and F1 in [0, 1], float64 [seeds, n_classes]; NaN for a class without test images."""

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray


def confusion_counts(group: Group, n_classes: int) -> np.ndarray:
    """Count the test images of each true class that got each class as the answer.

    Returns:
        Counts, int64 [seeds, true classes, predicted classes].
    """
    predictions = group.predictions()
    counts = np.zeros((len(predictions), n_classes, n_classes), np.int64)
    np.add.at(counts, (np.arange(len(predictions))[:, None], group.labels[None], predictions), 1)
    return counts


def class_scores(counts: np.ndarray) -> ClassScores:
    """Return the scores of each class. A class that is never an answer has precision 0.

    Args:
        counts: as `confusion_counts` returns them.
    """
    hits = np.diagonal(counts, axis1=1, axis2=2)
    images, answers = counts.sum(axis=2), counts.sum(axis=1)

    def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
        ratio = np.divide(part, whole, out=np.zeros(part.shape), where=whole > 0)
        return np.where(images > 0, ratio, np.nan)

    return ClassScores(share(hits, answers), share(hits, images), share(2 * hits, images + answers))


def class_table(results: StudyResults) -> Table:
    """Return a row a class: its test images, and the mean scores over seeds of each network.

    The networks are the tuned ones, or the baselines if nothing was tuned. With more than MOST_IN_ORDER classes, the
    class with the lowest mean F1 comes first. Two networks also have the difference between their recalls.
    """
    write, n_classes = percent_column(results.study), len(results.classes)
    judged = judged_networks(results.groups)
    scores = {group.title: class_scores(confusion_counts(group, n_classes)) for group in judged.values()}
    columns = [Column("Class"), Column("images", write=partial(number, form=",d"))]
    for title in scores:
        columns += [Column(metric, "%", write, title) for metric in ("precision", "recall", "F1")]
    images = np.bincount(next(iter(judged.values())).labels, minlength=n_classes) if judged else np.zeros(n_classes)
    values = [images, *(means.mean(axis=0) for one in scores.values() for means in (one.precision, one.recall, one.f1))]
    compared = compare_recalls(results)
    if compared:
        over, found = f"{compared.a} \N{MINUS SIGN} {compared.b}", compared.differences
        columns += [
            Column("recall", "points", points, over),
            Column("95\N{NO-BREAK SPACE}% interval", "points", partial(write_interval, write=points), over),
            Column("Holm\N{NO-BREAK SPACE}p", write=p_value, over=over),
        ]
    rows = []
    for index in _order(scores, n_classes):
        row: list[Any] = [results.classes[index], int(images[index]), *(float(column[index]) for column in values[1:])]
        if compared:
            row += [found.mean[index], (found.low[index], found.high[index]), found.holm_p[index]]
        rows.append(tuple(row))
    return Table("per-class", "Precision, recall and F1 of each class", columns, rows if judged else [])


@dataclass(frozen=True)
class RecallsCompared:
    """Holds the titles of two networks, A and B, and the differences between their recalls."""

    a: str
    b: str
    differences: RecallDifferences


def compare_recalls(results: StudyResults) -> RecallsCompared | None:
    """Compare the recall of each class between the two networks of a study, on the seeds that both have.

    Return None unless there are two networks with at least LEAST_SEEDS common seeds.
    """
    judged = list(judged_networks(results.groups).values())
    if len(judged) != 2:
        return None
    a, b = judged
    seeds = sorted(set(a.seeds) & set(b.seeds))
    if len(seeds) < LEAST_SEEDS:
        return None
    of_a, of_b = (group.correct()[[group.seeds.index(seed) for seed in seeds]] for group in judged)
    found = recall_differences(of_a, of_b, a.labels, len(results.classes), paired=a.is_of_network(b))
    return RecallsCompared(results.architectures[a.arch], results.architectures[b.arch], found)


def class_differences(results: StudyResults) -> str:
    """Say for which classes the recall of two networks differs, the largest difference first."""
    compared = compare_recalls(results)
    if compared is None:
        return ""
    found, n_classes = compared.differences, int(np.isfinite(compared.differences.mean).sum())
    is_shown = found.holm_p < 1 - CONFIDENCE
    between = f"between {compared.a} and {compared.b}"
    if not is_shown.any():
        return f"No difference in recall is shown {between} for any class (Holm's correction over {n_classes} classes)."
    order = np.argsort(-np.abs(np.where(is_shown, found.mean, 0.0)), kind="stable")[: is_shown.sum()]
    named = [f"{results.classes[index]} ({points(found.mean[index])} points)" for index in order[:MOST_NAMED]]
    rest = [f"{len(order) - len(named)} more"] if len(order) > len(named) else []
    return (
        f"Recall differs {between} for {len(order)} of {n_classes} classes (Holm's correction): {listed(named + rest)}."
    )


def _order(scores: Mapping[str, ClassScores], n_classes: int) -> list[int]:
    if n_classes <= MOST_IN_ORDER or not scores:
        return list(range(n_classes))
    means = np.mean([one.f1.mean(axis=0) for one in scores.values()], axis=0)
    order: list[int] = np.argsort(means, kind="stable").tolist()
    return order
