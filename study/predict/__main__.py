"""`python -m study.predict DIR IMAGE ...`: predict the classes of images with a network that a study trained."""

import argparse
import io
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.command import typed_command
from analysis.results.errors import UnusableStudy
from study.errors import BadInput, say_error

if TYPE_CHECKING:
    import numpy as np

    from study.predict.predictor import Predictor

_EXAMPLES = """\
examples:
  %(prog)s results/pets photo.jpg
  %(prog)s results/pets photos "more/**/*.webp" --json
  %(prog)s results/pets photo.jpg --run mobilenet-tuned/seed-3
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Return 2 if an image or other input cannot be used, 1 if the study is damaged, else 0."""
    options = _parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    from analysis.results.files import DamagedFile  # here, because --help need not wait for pandas

    try:
        return _predict(options)
    except (BadInput, UnusableStudy) as error:
        say_error(f"error: {error}")
        return 2
    except DamagedFile as error:
        say_error(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say_error("interrupted")
        return 130
    except BrokenPipeError:  # nobody reads on, as in `... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=typed_command("study.predict"),
        description="Predict the classes of images with a network that a study trained.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", metavar="DIR", type=Path, help="the folder of the study")
    parser.add_argument("images", metavar="IMAGE", nargs="+", help="image files, folders of them, or patterns")
    parser.add_argument("--run", metavar="NAME", help="the final run whose network predicts (default: the winner's)")
    parser.add_argument("--top", metavar="N", type=int, default=3, help="classes to show of an image (default: 3)")
    parser.add_argument("--json", action="store_true", help="print JSON, with all logits")
    parser.add_argument(
        "--networks", metavar="FILE", type=Path, help="the Python file that registers the networks of a study of yours"
    )
    return parser


def _predict(options: argparse.Namespace) -> int:
    import numpy as np

    from analysis.results.study_folder import StudyFolder
    from study.data.decoding import describe_unreadable
    from study.predict.files import find_images, read_images
    from study.predict.predictor import load_predictor, probabilities, register_networks

    if options.top < 1:
        raise BadInput(f"--top must be at least 1, not {options.top}")
    folder = StudyFolder.open(options.folder)
    if options.networks is not None:
        register_networks(options.networks)
    predictor = load_predictor(folder, options.run)
    if predictor.warning is not None:
        say_error(f"warning: {predictor.warning}")
    paths, faults = find_images(options.images)

    pixels, unread = read_images(paths, predictor.bit_depth, predictor.image_size)
    faults |= unread
    rows: list[dict[str, Any]] = []
    if pixels:
        logits = predictor.logits(np.stack(list(pixels.values())))
        rows = [
            _row(path, values, shares, predictor.classes, options.top)
            for path, values, shares in zip(pixels, logits, probabilities(logits), strict=True)
        ]
    if options.json:
        print(_json(predictor, rows, faults))
    elif rows:
        say_error(f"The network is {predictor.arch}, from the final run {predictor.run} of {folder.path}.")
        print(_table(rows))
    sys.stdout.flush()
    if faults:
        say_error(f"error: {describe_unreadable(faults, len(paths) + len(faults.keys() - set(paths)))}")
    return 2 if faults else 0


def _row(
    path: str, logits: "np.ndarray", probabilities: "np.ndarray", classes: Sequence[str], top: int
) -> dict[str, Any]:
    best = (-probabilities).argsort(kind="stable")[:top]
    return {
        "file": path,
        "classes": [{"class": classes[label], "probability": float(probabilities[label])} for label in best],
        "logits": logits.tolist(),
    }


def _json(predictor: "Predictor", rows: Sequence[dict[str, Any]], faults: dict[str, str]) -> str:
    from analysis.results.files import without_nan

    content = {
        "run": predictor.run,
        "network": predictor.arch,
        "classes": predictor.classes,
        "images": rows,
        "unreadable": [{"file": path, "reason": reason} for path, reason in faults.items()],
    }
    return json.dumps(without_nan(content), indent=2, allow_nan=False)


def _table(rows: Sequence[dict[str, Any]]) -> str:
    """Return a line for each image: its path and its most probable classes, in columns."""
    from analysis.numbers import columns  # here, because --help need not wait for pandas

    lines = [
        [row["file"], *(f"{entry['class']} {entry['probability']:.1%}" for entry in row["classes"])] for row in rows
    ]
    return columns([["image", "class", "next"][: max(map(len, lines))], *lines])


if __name__ == "__main__":
    sys.exit(main())
