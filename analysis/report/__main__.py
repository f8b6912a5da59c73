"""The command line of `python -m analysis.report DIR`: rebuilds the report of a study from its folder alone."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from analysis.report.build import build_report
from analysis.results.errors import UnusableStudy
from analysis.results.files import DamagedFile
from analysis.results.study_folder import StudyFolder
from study.errors import BadInput


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m analysis.report", description="Rebuild the report of a study.")
    parser.add_argument("folder", metavar="DIR", type=Path, help="the folder of the study")
    try:
        print(build_report(StudyFolder.open(parser.parse_args(arguments).folder)))
    except (BadInput, UnusableStudy) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (DamagedFile, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
