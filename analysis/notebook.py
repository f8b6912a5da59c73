"""Runs analysis/results.ipynb on a study and keeps its outputs: `python -m analysis.notebook [STUDY]`.

`--output analysis/results.ipynb` renews the notebook itself. The notebook needs the packages of the extra `notebook`.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from analysis.command import typed_command
from analysis.paths import user_path
from analysis.results.errors import UnusableStudy

NOTEBOOK = Path(__file__).with_name("results.ipynb")
_PACKAGES = ("ipykernel", "nbclient")


def run_notebook(path: Path, directory: Path) -> Any:
    """Run the notebook at `path` in `directory` and return it with its outputs. The file stays as it is.

    The outputs hold no times and no versions, so the same study gives the same notebook.

    Raises:
        nbclient.exceptions.CellExecutionError: if a cell fails.
    """
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
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
    parser = argparse.ArgumentParser(
        prog=typed_command("analysis.notebook"), description="Run the notebook of results on a study."
    )
    parser.add_argument(
        "study", metavar="STUDY", nargs="?", type=user_path, help="its folder (default: the newest study in results)"
    )
    parser.add_argument(
        "--output", metavar="FILE", type=user_path, help="where to save it (default: report/results.ipynb of the study)"
    )
    options = parser.parse_args(arguments)
    if missing := [package for package in _PACKAGES if find_spec(package) is None]:
        print(f"error: the notebook needs {' and '.join(missing)}: pip install {' '.join(missing)}", file=sys.stderr)
        return 2

    import nbformat  # here, because --help need not wait for pandas, and the packages may be absent
    from nbclient.exceptions import CellExecutionError

    from analysis.results.files import DamagedFile, write_text
    from analysis.results.study_folder import StudyFolder

    try:
        study = StudyFolder.open(options.study) if options.study else StudyFolder.newest(Path("results"))
        os.environ["STUDY"] = str(study.path.resolve())
        # In the folder of the study no file of the user's hides a module.
        notebook = run_notebook(NOTEBOOK, study.path)
    except UnusableStudy as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except DamagedFile as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except CellExecutionError as error:
        print(f"error: the notebook stopped: {error.ename}: {error.evalue}", file=sys.stderr)
        return 1
    output = options.output or study.report / "results.ipynb"
    try:
        write_text(output, nbformat.writes(notebook) + "\n")
    except OSError as error:
        print(f"error: {output} cannot be written ({error.strerror}): choose another --output", file=sys.stderr)
        return 2
    print(output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
