"""The tables of the final runs. A table is data; the page and the notebook draw it in their own ways."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any

import pandas as pd

from analysis.numbers import DASH, number, p_value, percent, points, si
from analysis.results.load import StudyResults
from analysis.results.study_json import Dimension, Range, Study, is_resized
from analysis.verdict.summary_json import ComparisonRow, GroupSummary, Interval, Spread, Summary
from analysis.verdict.wording import level, side_title

# At least 1,000 test images for a second decimal of a percentage, because fewer do not carry it.
_TWO_DECIMALS_FROM = 1000


class Remark(str):
    """Replaces all the cells that follow in its row by one cell of text."""


@dataclass(frozen=True)
class Column:
    """Describes a column.

    Attributes:
        title: its heading.
        unit: the unit of its numbers.
        write: the function that writes a value.
        over: a heading above it and its neighbours with the same one.
    """

    title: str
    unit: str = ""
    write: Callable[[Any], str] = str
    over: str = ""

    def full_title(self) -> str:
        """Return the headings and the unit in one line."""
        title = f"{self.over}: {self.title}" if self.over else self.title
        return f"{title} ({self.unit})" if self.unit else title


@dataclass(frozen=True)
class Table:
    """Holds a table.

    Attributes:
        name: its identifier on the page.
        label: its contents in words, for a reader who does not see it.
        columns: the columns; the first one names the rows.
        rows: the values of each row, one a column. After a Remark there are none.
    """

    name: str
    label: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]

    def cells(self) -> list[list[str]]:
        """Return the cells as text, a Remark as it is."""
        return [
            [
                value if isinstance(value, Remark) else column.write(value)
                for column, value in zip(self.columns, row, strict=False)
            ]
            for row in self.rows
        ]

    def spans(self) -> list[tuple[str, int]]:
        """Return each heading above columns with the number of its columns; nothing if there is none."""
        runs = [(over, len(list(columns))) for over, columns in groupby(column.over for column in self.columns)]
        return runs if any(over for over, _ in runs) else []

    def frame(self) -> pd.DataFrame:
        """Return the cells as text on one line each, in a data frame whose rows are named by the first column."""
        titles = [column.full_title() for column in self.columns]
        rows = [
            [" ".join(cell.split("\n")) for cell in cells] + [""] * (len(titles) - len(cells)) for cells in self.cells()
        ]
        return pd.DataFrame(rows, columns=titles).set_index(titles[0])


def comparisons_table(results: StudyResults, summary: Summary) -> Table:
    """Return a row a comparison: the difference, its interval, p values, and the pairs that A wins."""
    limits = partial(write_interval, write=points)
    columns = (
        Column("A against B"),
        Column("call"),
        Column("A\N{NO-BREAK SPACE}\N{MINUS SIGN}\N{NO-BREAK SPACE}B", "points", points),
        Column(interval_title([row.confidence for row in summary.comparisons]), "points", limits),
        Column("p", write=p_value),
        Column("Holm\N{NO-BREAK SPACE}p", write=p_value),
        Column("A\N{NO-BREAK SPACE}wins", "pairs"),
        Column("seed corr.", write=partial(number, form=".2f")),
    )
    rows = [
        (
            f"{side_title(results, row.a)} against {side_title(results, row.b)}",
            row.call,
            row.difference.mean,
            row.difference.ci95,
            row.p_value,
            row.holm_p,
            _wins(row),
            row.seed_correlation,
        )
        for row in summary.comparisons
    ]
    return Table("comparisons-table", "Every comparison", columns, rows)


def interval_title(confidences: Iterable[float | None]) -> str:
    """Return the heading of a column of intervals: with their level if they have one level."""
    (first, *others) = {level(one) for one in confidences} or {level(None)}
    return "interval" if others else f"{first.replace(' ', chr(0xA0))} interval"


def quality_table(results: StudyResults, summary: Summary) -> Table:
    """Return a row a group: each metric with its deviation over seeds and its interval, and the configuration.

    A tuned configuration that is the baseline has one row with the baseline.
    """
    write = partial(_with_interval, write=percent_column(results.study))
    columns = (
        Column("Network"),
        Column("accuracy", "%", write),
        Column("precision", "%", write),
        Column("recall", "%", write),
        Column("F1", "%", write),
        *hyperparameter_columns(results.study),
        Column("seeds"),
    )
    rows = [
        (
            group.title,
            group.accuracy,
            group.precision,
            group.recall,
            group.f1,
            *(group.config.get(name) for name in results.study.titles()),
            len(group.seeds),
        )
        for group in distinct_groups(summary).values()
    ]
    return Table("quality", "Quality of each group", columns, rows)


def cost_table(results: StudyResults, summary: Summary) -> Table:
    """Return a row a network: the cost of a prediction. A network that tuning changed has two rows."""
    milliseconds = partial(number, form=".2f")
    has_onnx = any(group.onnx_latency_ms for group in summary.groups.values())
    columns = (
        Column("Network"),
        Column("latency p50", "ms", milliseconds),
        Column("p90", "ms", milliseconds),
        Column("p99", "ms", milliseconds),
        *([Column("ONNX Runtime p50", "ms", milliseconds)] if has_onnx else []),
        Column("throughput", "images/s", partial(number, form=",.0f")),
        Column("parameters", write=partial(number, form=",.0f")),
        Column("multiply-accumulates", "an image", si),
    )
    baselines = {arch: network.baseline for arch, network in results.study.architectures.items()}
    resized = {group.arch for group in summary.groups.values() if is_resized(group.config, baselines[group.arch])}
    costs: dict[str, GroupSummary] = {}
    for group in summary.groups.values():
        costs.setdefault(group.title if group.arch in resized else results.architectures[group.arch], group)
    rows = [
        (
            title,
            group.latency_ms.p50,
            group.latency_ms.p90,
            group.latency_ms.p99,
            *([group.onnx_latency_ms.p50 if group.onnx_latency_ms else None] if has_onnx else []),
            group.images_per_s,
            group.parameters,
            group.macs,
        )
        for title, group in costs.items()
    ]
    return Table("cost", "Cost of each network", columns, rows)


def distinct_groups(summary: Summary) -> dict[str, GroupSummary]:
    """Return the groups by name, without the baselines that are also the tuned configuration."""
    repeated = {group.same_as for group in summary.groups.values()}
    return {name: group for name, group in summary.groups.items() if name not in repeated}


def percent_column(study: Study) -> Callable[[Any], str]:
    """Return the function that writes percentages of the study's test images."""
    return partial(percent, digits=percent_digits(study))


def percent_digits(study: Study) -> int:
    """Return the number of decimals of a percentage of the study's test images."""
    return 2 if study.data.n_test >= _TWO_DECIMALS_FROM else 1


def hyperparameter_columns(study: Study) -> list[Column]:
    """Return a column for each hyperparameter that any network searched."""
    spaces = [study.space_of(arch) for arch in study.architectures] or [study.search.space]
    return [
        Column(title, write=_writer([space[name] for space in spaces if name in space]))
        for name, title in study.titles().items()
    ]


def _writer(dimensions: Sequence[Dimension]) -> Callable[[Any], str]:
    """Return the function that writes a value: numbers on linear ranges with decimals for a hundredth of a range."""
    decimals = 0
    for dimension in dimensions:
        if not isinstance(dimension, Range) or dimension.log or dimension.type == "int":
            return number
        span = dimension.high - dimension.low
        decimals = max(decimals, 2 - math.ceil(math.log10(span)) if span > 0 else 2)
    return partial(number, form=f",.{decimals}f")


def _with_interval(spread: Spread, write: Callable[[Any], str]) -> str:
    """Write mean, deviation and, on a line of its own, the interval. A single seed has only a mean."""
    if spread.sd is None:
        return write(spread.mean)
    return f"{write(spread.mean)} ± {write(spread.sd)}\n{write_interval(spread.ci95, write)}"


def _wins(row: ComparisonRow) -> str:
    """Write how many of the pairs A wins, a tie as half: "9 of 10 (90 %)"."""
    pairs = len(row.seeds)
    return f"{number(row.prob_better * pairs, '.4g')} of {pairs} ({percent(row.prob_better, 0)} %)"


def write_interval(limits: Interval, write: Callable[[Any], str]) -> str:
    """Write an interval in brackets; a dash if it is not known."""
    low, high = limits
    return DASH if pd.isna(low) else f"[{write(low)}, {write(high)}]"
