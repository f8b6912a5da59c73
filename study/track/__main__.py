"""`python -m study.track DIR --to TRACKER`: give a tracker all that it lacks of a study."""

import argparse
import sys
from collections.abc import Sequence

from analysis.command import typed_command
from analysis.paths import user_path
from analysis.results.errors import UnusableStudy
from study.errors import BadInput, say_error
from study.settings.check import CHOICES

_DESCRIPTION = """\
Give TensorBoard, MLflow or Weights & Biases all that it lacks of a study: its networks, trials and final runs, the
verdict and the report. What the tracker has already is not written again.
"""
_URI = "the folder, tracking URI or server (default: where a study with --track writes)"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Return 2 for bad input, 1 if a file is damaged or the tracker fails, else 0."""
    parser = argparse.ArgumentParser(prog=typed_command("study.track"), description=_DESCRIPTION)
    parser.add_argument("folder", metavar="DIR", type=user_path, help="the folder of the study")
    parser.add_argument("--to", choices=CHOICES["track"], required=True, help="the tracker")
    parser.add_argument("--uri", help=_URI)
    parser.add_argument("--follow", action="store_true", help=argparse.SUPPRESS)  # how `study.run` starts it
    options = parser.parse_args(arguments)
    from analysis.results.study_folder import StudyFolder  # here, because --help need not wait for pandas
    from study.storage.lock import is_held
    from study.track.feed import Feed, follow, reason_of
    from study.track.runs import runs_of
    from study.track.tracker import TITLES, check_packages, open_tracker

    try:
        folder = StudyFolder.open(options.folder)
        check_packages([options.to])
        if options.follow:
            return follow(folder, options.to)
        if is_held(folder.path):
            raise BadInput(f"{folder.path} is at work: wait until the study has ended, or begin it with --track")
    except (BadInput, UnusableStudy) as error:
        say_error(f"error: {error}")
        return 2
    try:
        runs = runs_of(folder, is_live=False)
        tracker = open_tracker(options.to, folder, options.uri)
        Feed(tracker).give(runs)
        tracker.close()
    except KeyboardInterrupt:
        say_error("interrupted")
        return 130
    except Exception as error:  # a tracker's package may raise anything
        say_error(f"error: {TITLES[options.to]} is behind: {reason_of(error)}")
        return 1
    print(f"{TITLES[options.to]} has {folder.path}: {tracker.where}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
