"""Runs analysis/results.ipynb from top to bottom and keeps its outputs: `python -m analysis.notebook [STUDY]`."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from analysis.results.errors import UnusableStudy
from analysis.results.files import write_text
from analysis.results.study_folder import StudyFolder

NOTEBOOK = Path(__file__).parents[1] / "results.ipynb"


def run_notebook(path: Path, directory: Path) -> nbformat.NotebookNode:
    """Run the notebook at `path` in `directory` and return it with its outputs. The file stays as it is.

    The outputs hold no times and no versions, so the same study gives the same notebook.

    Raises:
        nbclient.exceptions.CellExecutionError: if a cell fails.
    """
    notebook: nbformat.NotebookNode = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=300,
        record_timing=False,
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(directory)}},
    ).execute()
    notebook.metadata.language_info = {"name": "python"}
    return notebook


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m analysis.notebook", description="Run the notebook of results.")
    parser.add_argument("study", metavar="STUDY", nargs="?", type=Path, help="its folder (default: the newest study)")
    parser.add_argument(
        "--output", metavar="FILE", type=Path, default=NOTEBOOK, help="where to save it (default: in place)"
    )
    options = parser.parse_args(arguments)
    study = options.study
    try:
        if study is not None:
            os.environ["STUDY"] = str(StudyFolder.open(study).path.resolve())
        notebook = run_notebook(NOTEBOOK, Path.cwd())
    except UnusableStudy as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except CellExecutionError as error:
        print(f"error: the notebook stopped: {error.ename}: {error.evalue}", file=sys.stderr)
        return 1
    try:
        write_text(options.output, nbformat.writes(notebook) + "\n")
    except OSError as error:
        print(f"error: {options.output} cannot be written ({error.strerror}): choose another --output", file=sys.stderr)
        return 2
    print(options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
