"""Writes the comparison of several studies, and prints its tables."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from analysis.compare import tables
from analysis.compare.page import comparison_page, terminal_table
from analysis.compare.repeats import repeated_searches
from analysis.compare.studies import compare_studies, read_studies
from analysis.results.files import write_csv, write_text


def build_comparison(paths: Sequence[Path], output: Path) -> None:
    """Print the tables, and write the page and the CSV files.

    Args:
        paths: the folders of the studies.
        output: the folder for comparison.html, networks.csv, differences.csv and, if studies differ in their seed
            alone, repeats.csv. It is made if it is missing.

    Raises:
        UnusableStudy: if the studies cannot be compared.
        DamagedFile: if a file cannot be read.
    """
    studies = read_studies(paths)
    differences, repeats = compare_studies(studies), repeated_searches(studies)
    made = [
        tables.studies_table(studies),
        tables.networks_table(studies),
        tables.repeats_table(repeats),
        tables.differences_table(differences),
        tables.settings_table(studies),
    ]
    page = output / "comparison.html"
    write_text(page, comparison_page(studies, differences, repeats, {table.name: table for table in made}))
    write_csv(output / "networks.csv", tables.networks_csv(studies))
    write_csv(output / "differences.csv", tables.differences_csv(differences))
    (output / "repeats.csv").unlink(missing_ok=True)
    if repeats:
        write_csv(output / "repeats.csv", tables.repeats_csv(repeats))
    console = Console(highlight=False)
    for table in made:
        if table.rows and (table.name != "differences" or any(pair.judged for pair in differences)):
            console.print(terminal_table(table))
    for row in repeats:
        console.print(Text(row.text))
    console.print(Text(f"Page: {page.absolute()}"), soft_wrap=True)
