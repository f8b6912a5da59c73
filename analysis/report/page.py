"""The page of a report: its parts, and the templates that draw them."""

from dataclasses import dataclass, fields
from pathlib import Path

import jinja2
from markupsafe import Markup

from analysis.figures.drawing.fonts import missing_sentence
from analysis.numbers import listed, number, percent, si
from analysis.report.digest import ComparisonTexts, ResumedSession, VerdictBox
from analysis.report.exports.recipe import recipe_in_words
from analysis.report.parts.classes import MOST_IN_ORDER, class_differences
from analysis.report.parts.contents import contents, with_anchors
from analysis.report.parts.glossary import explained, used_terms
from analysis.report.parts.probabilities import pair_in_words
from analysis.report.parts.provenance import Times
from analysis.report.tables import Remark, Table, percent_column, percent_digits
from analysis.results.load import StudyResults
from analysis.verdict.caveats.own_settings import own_settings_sentence, settings_of
from analysis.verdict.shipping.best_weights import BestWeights, what_to_expect
from analysis.verdict.summary_json import Caveat, Summary

# The parts of the page that show figures.
PARTS = (
    "accuracy",
    "differences",
    "costs",
    "classes",
    "confusion",
    "samples",
    "repeats",
    "final",
    "space",
    "lines",
    "rungs",
    "search",
    "best",
)


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
        pictures: the figures of each part of PARTS.
        best: the weights to ship, if there is a winner.
        missing: the parts that are missing, if the study is not finished.
        resumed: the sessions that resumed it.
        failed: the groups that have failed runs, with their number and seeds.
        verdict: the box at the top.
        comparisons: sentences about the comparisons.
        caveats: the limits of the verdict.
        searched: the hyperparameters that were searched, with their ranges.
        rungs: the epochs of the rungs.
        times: when the study ran.
        kernels: the code that trained the final runs, in words.
        methods: the Methods paragraph.
        bibtex: the references.
    """

    results: StudyResults
    summary: Summary
    tables: dict[str, Table]
    pictures: dict[str, list[ShownPicture]]
    best: BestWeights | None
    missing: list[str]
    resumed: list[ResumedSession]
    failed: list[str]
    verdict: VerdictBox
    comparisons: ComparisonTexts
    caveats: list[Caveat]
    searched: str
    rungs: list[int]
    times: Times
    kernels: str
    methods: str
    bibtex: str


def templates(*folders: Path) -> jinja2.Environment:
    """Return the environment of the templates in these folders, which write numbers and terms as the report does."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(listed=listed, number=number, rounded=percent, si=si, explained=explained)
    environment.tests["remark"] = lambda cell: isinstance(cell, Remark)
    return environment


def render_page(page: Page) -> str:
    """Return the HTML of report.html."""
    study = page.results.study
    environment = templates(Path(__file__).parent / "templates")
    environment.filters["percent"] = percent_column(study)
    environment.globals["missing_characters"] = missing_sentence(
        (*study.data.classes, *page.results.architectures.values())
    )
    shown = {field.name: getattr(page, field.name) for field in fields(page)}
    titles = list(page.results.architectures.values())
    importances = page.tables["importance-table"].rows if "importance-table" in page.tables else ()
    known = {
        **shown,
        "study": study,
        "config": study.config,
        "titles": titles,
        "recipe": recipe_in_words(study.config.recipe),
        "own_settings": own_settings_sentence(study),
        "settings": {network.title: settings_of(study, arch) for arch, network in study.architectures.items()},
        "heading": f"{' vs '.join(titles)} on {study.data.title}",
        "is_worst_first": len(page.results.classes) > MOST_IN_ORDER,
        "class_differences": class_differences(page.results),
        "pair_in_words": pair_in_words(page.results),
        "to_expect": what_to_expect(page.best, percent_digits(study)) if page.best else "",
        "has_importance": any(not isinstance(row[2], Remark) for row in importances),
    }
    body = environment.get_template("body.html.j2").render(known)
    body += environment.get_template("glossary.html.j2").render(terms=used_terms(body))
    whole = environment.get_template("report.html.j2")
    return whole.render(known, contents=contents(body), body=Markup(with_anchors(body)))
