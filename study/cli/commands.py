"""The command `fairverdict`: one word for each program of the project."""

import sys
from collections.abc import Sequence
from importlib import import_module

from study import __version__
from study.errors import say_error, unknown

# A command is a module whose main(arguments) returns an exit status. It is imported only if it is asked for.
COMMANDS = {
    "run": ("study.run", "tune networks with the same budget, retrain the best over seeds, and compare them"),
    "predict": ("study.predict.__main__", "predict the classes of images with a network that a study trained"),
    "export": ("study.export.__main__", "write a trained network as an ONNX file, with a model card"),
    "report": ("analysis.report.__main__", "rebuild the report of a study from its folder"),
    "notebook": ("analysis.notebook", "run the notebook of results on a study"),
    "compare": ("analysis.compare.__main__", "set studies of the same images side by side"),
    "track": ("study.track.__main__", "show a study in TensorBoard, MLflow or Weights & Biases"),
    "list": ("study.list.__main__", "list studies, and the checkpoints in a storage that none of them claims"),
    "completion": ("study.cli.completion", "print a script that completes this command in bash or zsh"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status."""
    command, *rest = (sys.argv[1:] if arguments is None else arguments) or [""]
    if command in ("-h", "--help"):
        print("usage: fairverdict COMMAND ...\n")
        for name, (_, purpose) in COMMANDS.items():
            print(f"  {name:<12}{purpose}")
        print("\n`fairverdict COMMAND --help` lists a command's flags; `fairverdict --version` prints the version.")
        return 0
    if command == "--version":
        print(f"fairverdict {__version__}")
        return 0
    if command not in COMMANDS:
        say_error(f"error: {unknown('command', command, COMMANDS)}")
        return 2
    return int(import_module(COMMANDS[command][0]).main(rest))


if __name__ == "__main__":
    sys.exit(main())
