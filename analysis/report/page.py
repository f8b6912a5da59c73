"""The page of a report: its parts, and the templates that draw them."""

from dataclasses import dataclass, fields
from pathlib import Path

import jinja2

from analysis.figures.drawing.fonts import missing_sentence
from analysis.numbers import listed, number, percent, si
from analysis.report.digest import ComparisonTexts, ResumedSession, VerdictBox
from analysis.report.tables import Remark, Table, percent_column
from analysis.results.load import StudyResults
from analysis.verdict.best_weights import BestWeights
from analysis.verdict.summary_json import Caveat, Summary


@dataclass(frozen=True)
class ShownPicture:
    """Holds a figure as SVG elements of the page, with its narrow form for phones if that differs."""

    name: str
    wide: str
    narrow: str | None


@dataclass(frozen=True)
class Page:
    """Holds the parts of report.html.

    Attributes:
        results: the study.
        summary: its numbers.
        tables: the tables by their names.
        pictures: the figures of each part of the page.
        best: the weights to ship, if there is a winner.
        missing: the parts that are missing, if the study is not finished.
        resumed: the sessions that resumed it.
        diverged: the final runs that diverged.
        verdict: the box at the top.
        comparisons: sentences about the comparisons.
        caveats: the limits of the verdict.
        searched: the hyperparameters that were searched.
        rungs: the epochs of the rungs.
    """

    results: StudyResults
    summary: Summary
    tables: dict[str, Table]
    pictures: dict[str, list[ShownPicture]]
    best: BestWeights | None
    missing: list[str]
    resumed: list[ResumedSession]
    diverged: list[str]
    verdict: VerdictBox
    comparisons: ComparisonTexts
    caveats: list[Caveat]
    searched: list[str]
    rungs: list[int]


def render_page(page: Page) -> str:
    """Return the HTML of report.html."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    study = page.results.study
    environment.filters.update(listed=listed, number=number, percent=percent_column(study), rounded=percent, si=si)
    environment.tests["remark"] = lambda cell: isinstance(cell, Remark)
    environment.globals["missing_characters"] = missing_sentence(
        (*study.data.classes, *page.results.architectures.values())
    )
    shown = {field.name: getattr(page, field.name) for field in fields(page)}
    return environment.get_template("report.html.j2").render(**shown, study=study, config=study.config)
