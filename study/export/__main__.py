"""`python -m study.export DIR`: write a network that a study trained as an ONNX file, with a model card."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from analysis.command import typed_command
from analysis.paths import user_path
from analysis.results.errors import UnusableStudy
from study.errors import BadInput, StudyFailed, say_error

_EXAMPLES = """\
examples:
  %(prog)s results/pets
  %(prog)s results/pets --run mobilenet-tuned/seed-3 --output small.onnx --softmax
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Return 2 for bad input, 1 if a file is damaged or the ONNX file is wrong, else 0."""
    options = _parser().parse_args(arguments)
    from analysis.results.files import DamagedFile  # here, because --help need not wait for pandas

    try:
        _export(options)
    except (BadInput, UnusableStudy) as error:
        say_error(f"error: {error}")
        return 2
    except (DamagedFile, StudyFailed) as error:
        say_error(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say_error("interrupted")
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=typed_command("study.export"),
        description="Write a network that a study trained as an ONNX file, with a model card beside it.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", metavar="DIR", type=user_path, help="the folder of the study")
    parser.add_argument("--run", metavar="NAME", help="the final run whose network is written (default: the winner's)")
    parser.add_argument(
        "--output", metavar="FILE", type=user_path, help="the file (default: winner.onnx, or NAME.onnx, in the study)"
    )
    parser.add_argument("--softmax", action="store_true", help="return probabilities instead of logits")
    parser.add_argument(
        "--networks", metavar="FILE", type=Path, help="the Python file that registers the networks of a study of yours"
    )
    return parser


def _export(options: argparse.Namespace) -> None:
    from analysis.results.study_folder import StudyFolder
    from models.onnx_network import missing_packages

    folder = StudyFolder.open(options.folder)
    if missing := missing_packages():
        raise BadInput(f"an export needs {', '.join(missing)}: pip install {' '.join(missing)}")

    from analysis.verdict.shipping.exported import WINNER
    from study.export.model_card import write_card
    from study.export.onnx_file import write_onnx
    from study.predict.predictor import load_predictor, register_networks

    if options.networks is not None:
        register_networks(options.networks)
    predictor = load_predictor(folder, options.run)
    if predictor.warning is not None:
        say_error(f"warning: {predictor.warning}")
    name = WINNER if options.run is None else f"{predictor.run.replace('/', '-')}.onnx"
    file = write_onnx(folder, predictor, options.output or folder.path / name, softmax=options.softmax)
    card = write_card(folder, predictor, file)
    print(f"{file.path}  {predictor.arch}, from the final run {predictor.run} of {folder.path}")
    for agreement in file.agreements:
        print(agreement.sentence)
    print(card)


if __name__ == "__main__":
    sys.exit(main())
