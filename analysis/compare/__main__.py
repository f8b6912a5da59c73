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

    from analysis.compare.build import build_comparison  # here, because --help need not wait for pandas
    from analysis.results.files import DamagedFile

    try:
        build_comparison(options.folders, options.output)
    except UnusableStudy as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (DamagedFile, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
