"""The end of a study as a terminal shows it: the comparison, the verdict, and links to the rest."""

import shlex
import textwrap
from pathlib import Path

from rich import box
from rich.style import Style
from rich.table import Table
from rich.text import Text

from analysis.numbers import percent
from analysis.report.digest import graded, verdict_digest
from analysis.report.tables import distinct_groups
from analysis.results.optuna_database import database_url
from analysis.verdict.summary_json import Grade, Summary

WIDTH = 80
# At most 2 limits, because a reader who meets more skips them all.
MOST_LIMITS = 2


def comparison(summary: Summary) -> Table:
    """Return a row a distinct group, in percent on the test set; the table fits 80 columns."""
    table = Table(
        title="On the test set, in percent: mean and deviation over seeds, 95 % interval",
        box=box.SIMPLE,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        title_justify="left",
    )
    table.add_column("")
    for heading in ("accuracy", "interval", "precision", "recall", "F1", "ms/image"):
        table.add_column(heading, justify="right", no_wrap=True)
    for group in distinct_groups(summary).values():
        accuracy, latency = group.accuracy, group.latency_ms.p50
        low, high = accuracy.ci95
        table.add_row(
            group.title,
            percent(accuracy.mean) + ("" if accuracy.sd is None else f" ±{percent(accuracy.sd)}"),
            "" if low is None else f"{percent(low)}-{percent(high)}",
            *(percent(metric.mean) for metric in (group.precision, group.recall, group.f1)),
            "" if latency is None else f"{latency:.2f}",
        )
    return table


def closing(summary: Summary, report: Path, database: Path | None) -> list[Text]:
    """Return the last lines of a study: the verdict, the accuracies, the price, two limits, and the links.

    Sentences are wrapped at 80 columns. A path stays in one line. A terminal that knows hyperlinks shows it as one.

    Args:
        summary: the study's numbers and sentences.
        report: report.html.
        database: optuna.db, if something was searched.
    """
    verdict = verdict_digest(summary)
    shown = [limit for limit in summary.caveats if limit.grade != Grade.FOR_INFORMATION][:MOST_LIMITS]
    paragraphs = [" ".join([verdict.headline, *verdict.numbers[:1]]), *verdict.numbers[1:], *map(graded, shown)]
    if left := len(summary.caveats) - len(shown):
        more = " more" if shown else ""
        paragraphs.append(f"The report lists {left}{more} limit{'s' if left > 1 else ''} of this result.")
    lines = [Text(line) for paragraph in paragraphs for line in _wrapped(paragraph)]
    if verdict.call:
        lines.insert(0, Text(verdict.title, style="bold"))
    if database is not None:
        url = shlex.quote(database_url(database))
        lines.append(Text.assemble("Search in a browser: optuna-dashboard ", (url, _link(database))))
    return [*lines, Text.assemble("Report: ", (str(report.absolute()), _link(report)))]


def _wrapped(paragraph: str) -> list[str]:
    """Break a paragraph into lines, but not between a number and its percent sign."""
    joined = paragraph.replace(" %", "\N{NO-BREAK SPACE}%")
    lines = textwrap.wrap(joined, WIDTH, break_on_hyphens=False, break_long_words=False)
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines]


def _link(path: Path) -> Style:
    return Style(link=path.absolute().as_uri())
