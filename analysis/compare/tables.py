"""The tables of a comparison of studies. The terminal, the page and the CSV files show the same ones."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import pandas as pd

from analysis.compare.repeats import Repeat
from analysis.compare.studies import ComparedStudy, Difference, different_settings
from analysis.numbers import DASH, number, p_value, percent, points
from analysis.report.tables import Column, Remark, Table, interval_title
from analysis.verdict.summary_json import Interval

INTERVAL = "95\N{NO-BREAK SPACE}% interval"
DIFFERENCE = "A\N{NO-BREAK SPACE}\N{MINUS SIGN}\N{NO-BREAK SPACE}B"
HOLM = "Holm\N{NO-BREAK SPACE}p"
_PERCENT = partial(percent, digits=2)


def studies_table(studies: Sequence[ComparedStudy]) -> Table:
    """Return a row a study: its verdict and its budget."""
    columns = (
        Column("Study"),
        Column("begun"),
        Column("verdict"),
        Column("trials", "a network"),
        Column("epochs", "at most"),
        Column("seeds"),
    )
    rows = [
        (
            study.label,
            study.results.study.created[:10],
            study.summary.label or "none",
            1 if study.results.study.config.baseline else study.results.study.config.trials,
            study.results.study.config.max_epochs,
            study.results.study.planned_seeds,
        )
        for study in studies
    ]
    return Table("studies", "The studies and their verdicts", columns, rows)


def networks_table(studies: Sequence[ComparedStudy]) -> Table:
    """Return a row a network of a study: its tuned configuration, and its accuracy with the interval."""
    columns = (
        Column("Study: network"),
        Column("configuration"),
        Column("accuracy", "%", _PERCENT),
        Column(INTERVAL, "%", partial(_interval, write=_PERCENT)),
        Column("seeds"),
        Column("latency p50", "ms", partial(number, form=".2f")),
        Column("parameters", write=partial(number, form=",.0f")),
    )
    rows = []
    for study in studies:
        for group in study.groups():
            numbers = study.summary.groups[group.name]
            rows.append(
                (
                    study.title(group),
                    _configuration(group.config),
                    numbers.accuracy.mean,
                    numbers.accuracy.ci95,
                    len(group.seeds),
                    numbers.latency_ms.p50,
                    numbers.parameters,
                )
            )
    return Table("networks", "The networks of the studies", columns, rows)


def differences_table(differences: Sequence[Difference]) -> Table:
    """Return a row a pair of networks from two studies: the difference of the paired final runs."""
    confidences = [pair.judged.comparison.confidence for pair in differences if pair.judged is not None]
    columns = (
        Column("A against B"),
        Column("call"),
        Column(DIFFERENCE, "points", points),
        Column(interval_title(confidences), "points", partial(_interval, write=points)),
        Column("p", write=p_value),
        Column(HOLM, write=p_value),
        Column("seeds", "paired"),
    )
    rows: list[tuple[Any, ...]] = []
    for pair in differences:
        if pair.judged is None:
            rows.append((f"{pair.a} against {pair.b}", Remark(pair.reason)))
            continue
        made = pair.judged.comparison
        numbers = (made.call, made.mean, made.ci95, made.p_value, pair.judged.holm_p, len(pair.judged.seeds))
        rows.append((f"{pair.a} against {pair.b}", *numbers))
    return Table("differences", "Differences of the final runs", columns, rows)


def repeats_table(repeats: Sequence[Repeat]) -> Table:
    """Return a row a pair of networks: their difference over repeated searches."""
    columns = (
        Column("A against B"),
        Column("searches", "of each"),
        Column(DIFFERENCE, "points", points),
        Column(INTERVAL, "points", partial(_interval, write=points)),
        Column("deviation", "points", lambda value: number(100 * value, ".2f")),
        Column("p", write=p_value),
        Column(HOLM, write=p_value),
    )
    rows = [
        (f"{row.a} against {row.b}", len(row.studies), row.mean, row.ci95, row.deviation, row.p_value, row.holm_p)
        for row in repeats
    ]
    return Table("repeats", "Differences over repeated searches", columns, rows)


def settings_table(studies: Sequence[ComparedStudy]) -> Table:
    """Return a row a setting that differs between the studies."""
    columns = (Column("Setting"), *(Column(study.label) for study in studies))
    rows = [(name, *values) for name, values in different_settings(studies).items()]
    return Table("settings", "Settings that differ", columns, rows)


def networks_csv(studies: Sequence[ComparedStudy]) -> pd.DataFrame:
    """Return networks.csv: a row a network of a study, with fractions in [0, 1]."""
    rows = []
    for study in studies:
        for group in study.groups():
            numbers = study.summary.groups[group.name]
            low, high = numbers.accuracy.ci95
            rows.append(
                {
                    "study": study.label,
                    "network": group.arch,
                    "group": group.name,
                    "verdict": study.summary.call,
                    "winner": study.summary.verdict.winner if study.summary.verdict else None,
                    **group.config,
                    "seeds": len(group.seeds),
                    "accuracy": numbers.accuracy.mean,
                    "accuracy_low": low,
                    "accuracy_high": high,
                }
            )
    return pd.DataFrame(rows)


def differences_csv(differences: Sequence[Difference]) -> pd.DataFrame:
    """Return differences.csv: a row a pair of networks, with fractions in [-1, 1]."""
    rows = []
    for pair in differences:
        row: dict[str, Any] = {"a": pair.a, "b": pair.b, "call": None, "reason": pair.reason}
        if pair.judged is not None:
            made = pair.judged.comparison
            row |= {"call": made.call, "reason": made.reason, "difference": made.mean}
            row |= {"low": made.ci95[0], "high": made.ci95[1], "p": made.p_value, "holm_p": pair.judged.holm_p}
            row |= {"prob_better": made.prob_better, "seeds": len(pair.judged.seeds)}
        rows.append(row)
    return pd.DataFrame(rows)


def repeats_csv(repeats: Sequence[Repeat]) -> pd.DataFrame:
    """Return repeats.csv: a row a pair of networks over repeated searches, with fractions in [-1, 1]."""
    rows = [
        {
            "a": row.a,
            "b": row.b,
            "searches": len(row.studies),
            "difference": row.mean,
            "low": row.ci95[0],
            "high": row.ci95[1],
            "deviation": row.deviation,
            "p": row.p_value,
            "holm_p": row.holm_p,
        }
        for row in repeats
    ]
    return pd.DataFrame(rows)


def _configuration(config: dict[str, Any]) -> str:
    return ", ".join(f"{name} {number(value)}" for name, value in config.items())


def _interval(limits: Interval, write: Any) -> str:
    low, high = limits
    return DASH if pd.isna(low) else f"[{write(low)}, {write(high)}]"
