"""comparisons.csv, per-class.csv and confusion.csv: the numbers of the report as tables for other programs."""

import numpy as np
import pandas as pd

from analysis.report.parts.classes import class_scores, confusion_counts
from analysis.results.load import Group, StudyResults
from analysis.statistics.calls import CONFIDENCE
from analysis.verdict.summary_json import Summary


def comparisons(results: StudyResults, summary: Summary) -> pd.DataFrame:
    """Return comparisons.csv: a row a pair of groups, A and B."""
    columns = {
        "family": [row.family for row in summary.comparisons],
        "a": [row.a for row in summary.comparisons],
        "b": [row.b for row in summary.comparisons],
        "a_title": [results.groups[row.a].title for row in summary.comparisons],
        "b_title": [results.groups[row.b].title for row in summary.comparisons],
        "call": [row.call for row in summary.comparisons],
        "winner": [row.winner for row in summary.comparisons],
        "difference": [row.difference.mean for row in summary.comparisons],
        "difference_low": [row.difference.ci95[0] for row in summary.comparisons],
        "difference_high": [row.difference.ci95[1] for row in summary.comparisons],
        "confidence": [CONFIDENCE if row.confidence is None else row.confidence for row in summary.comparisons],
        "p_value": [row.p_value for row in summary.comparisons],
        "holm_p": [row.holm_p for row in summary.comparisons],
        "equivalence_holm_p": [row.equivalence_holm_p for row in summary.comparisons],
        "prob_better": [row.prob_better for row in summary.comparisons],
        "margin": [row.margin for row in summary.comparisons],
        "pairs": [len(row.seeds) for row in summary.comparisons],
        "seed_correlation": [row.seed_correlation for row in summary.comparisons],
    }
    return pd.DataFrame(columns)


def per_class(results: StudyResults) -> pd.DataFrame:
    """Return per-class.csv: a row a group and class, with mean and deviation over seeds of each score in [0, 1]."""
    n_classes = len(results.classes)
    tables = [pd.DataFrame(columns=["group", "class", "images"])]
    for group in _trained(results):
        counts = confusion_counts(group, n_classes)
        scores = class_scores(counts)
        columns = {"group": group.name, "class": results.classes, "images": counts[0].sum(axis=1)}
        for name, values in (("precision", scores.precision), ("recall", scores.recall), ("f1", scores.f1)):
            columns[name] = values.mean(axis=0)
            columns[f"{name}_sd"] = values.std(axis=0, ddof=1) if len(values) > 1 else np.nan
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables[1:] or tables)


def confusion(results: StudyResults) -> pd.DataFrame:
    """Return confusion.csv: a row a group, true class and answer, with the number of predictions over all seeds.

    A pair of classes that no run confused has no row.
    """
    tables = [pd.DataFrame(columns=["group", "true", "predicted", "count", "share"])]
    names = np.array(results.classes, object)
    for group in _trained(results):
        total = confusion_counts(group, len(names)).sum(axis=0)
        true, predicted = np.nonzero(total)
        count = total[true, predicted]
        tables.append(
            pd.DataFrame(
                {
                    "group": group.name,
                    "true": names[true],
                    "predicted": names[predicted],
                    "count": count,
                    "share": count / total.sum(axis=1)[true],
                }
            )
        )
    return pd.concat(tables[1:] or tables)


def _trained(results: StudyResults) -> list[Group]:
    return [group for group in results.groups.values() if not group.same_as]
