"""A file of the current folder that hides a module is named before anything is imported in its place.

tests/test_wheel.py has such files beside every command.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from study.run import main

ROOT = Path(__file__).parents[3]
RUN = ("-m", "study.run")
# As the command `fairverdict` starts: the current folder is not on Python's path, but it is on the path of the workers.
COMMAND = ("-P", "-m", "study.cli.commands", "run")


@pytest.mark.parametrize(
    ("command", "name", "module"),
    [
        (RUN, "models.py", "models"),
        (RUN, "analysis.py", "analysis"),
        (RUN, "numpy.py", "numpy"),
        (COMMAND, "ray.py", "ray"),
    ],
)
def test_a_file_that_hides_a_package_is_named(command: tuple[str, ...], name: str, module: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("raise SystemExit('the file of the user runs')\n")
    done = _planned(command, tmp_path)
    assert (done.returncode, done.stderr, done.stdout) == (2, _line(tmp_path / name, module), "")


def test_on_a_cluster_a_file_that_hides_a_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "models.py").touch()
    monkeypatch.chdir(tmp_path)
    assert main(["--preset", "quick", "--dry-run", "--address", "auto"]) == 2
    assert capsys.readouterr().err == _line(tmp_path / "models.py", "models")


@pytest.mark.parametrize("command", [RUN, pytest.param(COMMAND, marks=pytest.mark.slow)])
def test_a_file_that_hides_a_module_of_python_is_named(command: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "numbers.py").write_text("numbers = [1, 2]\n")
    (tmp_path / "webbrowser.py").touch()  # no study imports it
    done = _planned(command, tmp_path)
    assert (done.returncode, done.stderr) == (2, _line(tmp_path / "numbers.py", "numbers"))


def _planned(command: tuple[str, ...], cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command, "--preset", "quick", "--dry-run"],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def _line(path: Path, module: str) -> str:
    return f"error: {path.resolve()} hides the module {module!r}: rename it, or start the study in another folder\n"
