"""The page and the terminal's form of a comparison of studies."""

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup
from rich import box
from rich.table import Table as TerminalTable
from rich.text import Text

import analysis.report.page
from analysis.compare.repeats import Repeat
from analysis.compare.studies import ComparedStudy, Difference
from analysis.compare.tables import DIFFERENCE, HOLM, INTERVAL
from analysis.report.page import templates
from analysis.report.parts.contents import contents, with_anchors
from analysis.report.parts.glossary import used_terms
from analysis.report.tables import Table

_TEMPLATES = Path(__file__).parent / "templates"
_OF_THE_REPORT = Path(analysis.report.page.__file__).parent / "templates"
# The columns that fit a terminal of 80 columns, by the name of the table. A table that is not named has all.
_IN_TERMINAL = {
    "studies": ("Study", "verdict", "seeds"),
    "networks": ("Study: network", "configuration", "accuracy", INTERVAL),
    "repeats": ("A against B", "searches", DIFFERENCE, INTERVAL, HOLM),
    "differences": ("A against B", "call", DIFFERENCE, INTERVAL, HOLM),
}


def comparison_page(
    studies: Sequence[ComparedStudy],
    differences: Sequence[Difference],
    repeats: Sequence[Repeat],
    tables: dict[str, Table],
) -> str:
    """Return one HTML file that holds everything it shows, in the style of a report."""
    environment = templates(_TEMPLATES, _OF_THE_REPORT)
    shown = {
        "studies": studies,
        "tables": tables,
        "sentences": [pair.text for pair in differences if pair.text],
        "repeats": [row.text for row in repeats],
        "data": studies[0].results.study.data,
    }
    body = environment.get_template("studies.html.j2").render(shown)
    body += environment.get_template("glossary.html.j2").render(terms=used_terms(body))
    whole = environment.get_template("comparison.html.j2")
    return whole.render(shown, contents=contents(body), body=Markup(with_anchors(body)))


def terminal_table(table: Table) -> TerminalTable:
    """Return a table for the terminal, with fewer columns. A Remark stands in the first cell that it replaces."""
    drawn = TerminalTable(title=table.label, box=box.SIMPLE, pad_edge=False, padding=(0, 1, 0, 0), title_justify="left")
    titles = _IN_TERMINAL.get(table.name, [column.title for column in table.columns])
    # The level of an interval is in its title.
    shown = [
        index
        for index, column in enumerate(table.columns)
        if column.title in titles or (INTERVAL in titles and column.title.endswith("interval"))
    ]
    for index in shown:
        title = Text(table.columns[index].full_title())
        drawn.add_column(title, justify="right" if index else "left", overflow="fold")
    for cells in table.cells():
        drawn.add_row(*(Text(cells[index]) for index in shown if index < len(cells)))
    return drawn
