"""A file of the current folder that hides a package is named before anything is imported in its place."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
RUN = ("-m", "study.run")
# As the command `fairverdict` starts: the current folder is not on Python's path, but it is on the path of the workers.
COMMAND = ("-P", "-m", "study.cli.commands", "run")


@pytest.mark.parametrize(
    ("command", "name", "package"),
    [
        (RUN, "models.py", "models"),
        (RUN, "analysis.py", "analysis"),
        (RUN, "numpy.py", "numpy"),
        (COMMAND, "models/__init__.py", "models"),
        (COMMAND, "study.py", "study"),
        (COMMAND, "ray.py", "ray"),
    ],
)
def test_it_is_named(command: tuple[str, ...], name: str, package: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("raise SystemExit('the file of the user runs')\n")
    done = subprocess.run(
        [sys.executable, *command, "--preset", "quick", "--dry-run"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    advice = "rename it, or start the study in another folder"
    line = f"error: {tmp_path.resolve() / name} hides the package {package!r}: {advice}\n"
    assert (done.returncode, done.stderr, done.stdout) == (2, line, "")
