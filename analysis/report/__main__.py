"""Rebuilds the report of a study from its folder alone: `python -m analysis.report DIR`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from analysis.results.errors import UnusableStudy


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m analysis.report", description="Rebuild the report of a study.")
    parser.add_argument("folder", metavar="DIR", type=Path, help="the folder of the study")
    folder = parser.parse_args(arguments).folder

    from analysis.report.build import build_report  # here, because --help need not wait for pandas
    from analysis.results.files import DamagedFile
    from analysis.results.study_folder import StudyFolder

    try:
        print(build_report(StudyFolder.open(folder)))
    except UnusableStudy as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (DamagedFile, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
