"""Sets studies of the same images side by side: `python -m analysis.compare DIR DIR ... [--output DIR]`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from analysis.command import typed_command
from analysis.paths import user_path
from analysis.results.errors import UnusableStudy


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Return 2 if the studies cannot be compared, 1 if a file is damaged, else 0."""
    parser = argparse.ArgumentParser(
        prog=typed_command("analysis.compare"),
        description="Set studies of the same images side by side, and compare their networks on paired final runs.",
    )
    parser.add_argument("folders", metavar="DIR", nargs="+", type=user_path, help="the folders of the studies")
    parser.add_argument(
        "--output",
        metavar="DIR",
        type=user_path,
        default=Path("comparison"),
        help="the folder for comparison.html, networks.csv, differences.csv and, if studies differ in their --seed"
        " alone, repeats.csv (default: comparison)",
    )
    options = parser.parse_args(arguments)

    from analysis.results.files import DamagedFile  # here, because --help need not wait for pandas

    try:
        _compare(options.folders, options.output)
    except UnusableStudy as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (DamagedFile, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _compare(paths: Sequence[Path], output: Path) -> None:
    """Print the tables, and write the page and the CSV files."""
    from rich.console import Console
    from rich.text import Text

    from analysis.compare import tables
    from analysis.compare.page import comparison_page, terminal_table
    from analysis.compare.repeats import repeated_searches
    from analysis.compare.studies import compare_studies, read_studies
    from analysis.results.files import write_csv, write_text

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


if __name__ == "__main__":
    sys.exit(main())
