"""Precision, recall and F1 of each class: the table of the page, and the counts that it comes from."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from analysis.figures.samples import judged_networks
from analysis.numbers import number
from analysis.report.tables import Column, Table, percent_column
from analysis.results.load import Group, StudyResults

# At most 30 classes stay in the order of the data set, because readers look for the hardest ones in a longer list.
MOST_IN_ORDER = 30


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
    class with the lowest mean F1 comes first.
    """
    write, n_classes = percent_column(results.study), len(results.classes)
    judged = judged_networks(results.groups)
    scores = {group.title: class_scores(confusion_counts(group, n_classes)) for group in judged.values()}
    columns = [Column("Class"), Column("images", write=partial(number, form=",d"))]
    for title in scores:
        columns += [Column(metric, "%", write, title) for metric in ("precision", "recall", "F1")]
    images = np.bincount(next(iter(judged.values())).labels, minlength=n_classes) if judged else np.zeros(n_classes)
    values = [images, *(means.mean(axis=0) for one in scores.values() for means in (one.precision, one.recall, one.f1))]
    rows = [
        (results.classes[index], int(images[index]), *(float(column[index]) for column in values[1:]))
        for index in _order(scores, n_classes)
    ]
    return Table("per-class", "Precision, recall and F1 of each class", columns, rows if judged else [])


def _order(scores: Mapping[str, ClassScores], n_classes: int) -> list[int]:
    if n_classes <= MOST_IN_ORDER or not scores:
        return list(range(n_classes))
    means = np.mean([one.f1.mean(axis=0) for one in scores.values()], axis=0)
    order: list[int] = np.argsort(means, kind="stable").tolist()
    return order
