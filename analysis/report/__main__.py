"""Rebuilds the report of a study from its folder alone: `python -m analysis.report [DIR] [--open]`."""

import argparse
import errno
import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.command import typed_command
from analysis.paths import user_path
from analysis.results.errors import UnusableStudy

if TYPE_CHECKING:
    from analysis.results.study_folder import StudyFolder


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(
        prog=typed_command("analysis.report"), description="Rebuild the report of a study."
    )
    parser.add_argument(
        "folder", metavar="DIR", nargs="?", type=user_path, help="the folder of the study (default: the newest study)"
    )
    parser.add_argument(
        "--results-dir",
        metavar="DIR",
        type=user_path,
        default=Path("results"),
        help="where studies are (default: results)",
    )
    parser.add_argument(
        "--output",
        metavar="DIR",
        type=user_path,
        help="write the report and best.json there, and nothing into the study",
    )
    parser.add_argument("--open", action="store_true", help="open the report in the browser")
    options = parser.parse_args(arguments)

    from analysis.report.build import build_report  # here, because --help need not wait for pandas
    from analysis.results.files import DamagedFile
    from analysis.results.study_folder import StudyFolder

    try:
        folder = StudyFolder.open(options.folder) if options.folder else _newest(options.results_dir)
        report = build_report(StudyFolder(folder.path, options.output))
    except UnusableStudy as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (DamagedFile, OSError) as error:
        is_read_only = isinstance(error, OSError) and error.errno in (errno.EROFS, errno.EACCES, errno.EPERM)
        advice = ": write the report elsewhere with --output DIR" if is_read_only else ""
        print(f"error: {error}{advice}", file=sys.stderr)
        return 1
    print(report)
    if options.open and not webbrowser.open(report.absolute().as_uri()):
        print(f"error: no browser was found: open {report} yourself", file=sys.stderr)
        return 1
    return 0


def _newest(results_dir: Path) -> "StudyFolder":
    """Return the newest study, and say which one it is and why."""
    from analysis.results.study_folder import StudyFolder

    folder = StudyFolder.newest(results_dir)
    print(f"{folder.path} is the newest study: its last session began at {folder.worked_on()}.", flush=True)
    return folder


if __name__ == "__main__":
    sys.exit(main())
