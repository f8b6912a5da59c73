"""The first second of a command: help and typing errors come before torch and Ray, and Ctrl-C is in order."""

import functools
import gc
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from study.run import main

ROOT = Path(__file__).parents[3]
# At most this many seconds of processor time, because a user waits for it. torch and Ray take 2 s and more.
LIMIT = 0.6


def _ended(*arguments: str) -> tuple[subprocess.CompletedProcess[str], float]:
    """Run Python to its end. Return the process and the seconds of processor time that it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@functools.cache
def _compile(module: str) -> None:
    """Compile the bytecode of a program if nobody has."""
    _ended("-m", module, "--version")


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["study.run", "--help"], 0, "--max-epochs"),
        (["study.run", "--version"], 0, "fairverdict 0.1.0"),
        (["study.run", "--trails", "3"], 2, "did you mean --trials?"),
        (["study.run", "--trials", "0"], 2, "--trials must be at least 1, not 0"),
        (["study.cli.commands", "--help"], 0, "report"),
        (["study.cli.commands", "--version"], 0, "fairverdict 0.1.0"),
        (["study.cli.commands", "run", "--help"], 0, "--max-epochs"),
        (["study.cli.commands", "run", "--trails", "3"], 2, "--trails"),
        (["study.cli.commands", "ruun"], 2, "there is no command 'ruun': did you mean run?"),
        (["study.cli.commands", "report", "--help"], 0, "DIR"),
        (["study.cli.commands", "completion", "bash"], 0, "--max-epochs"),
        (["study.cli.commands", "completion", "fish"], 2, "there is no shell 'fish': choose from bash, zsh"),
        (["study.predict", "--help"], 0, "--networks FILE"),
        (["study.cli.commands", "predict", "--help"], 0, "--run NAME"),
        (["study.cli.commands"], 2, "choose from run, predict, export"),
    ],
)
def test_help_and_typing_errors_come_at_once(arguments: list[str], status: int, words: str) -> None:
    _compile(arguments[0])
    done, seconds = _ended("-m", *arguments)
    assert (done.returncode, done.stderr if status == 0 else done.stdout) == (status, "")
    assert words in (done.stdout or done.stderr)
    assert len(done.stderr.splitlines()) == (1 if status else 0)
    assert seconds <= LIMIT


@pytest.mark.parametrize("place", ["argument", "folder"])
def test_an_ascii_locale_is_named_if_a_name_is_not_ascii(place: str, tmp_path: Path) -> None:
    folder = tmp_path / "größe"
    folder.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LC_ALL": "POSIX", "PYTHONUTF8": "0"}
    arguments, cwd = (["--name", "größe"], tmp_path) if place == "argument" else ([], folder)
    done = subprocess.run(
        [sys.executable, "-m", "study.run", *arguments],
        cwd=cwd, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2
    assert line.endswith("is UTF-8, but this locale means ascii: set PYTHONUTF8=1")


def test_a_folder_that_is_not_text_or_gone_is_a_line(tmp_path: Path) -> None:
    for name, command, words in (
        (b"gr\xf6sse", "", "is not text in UTF-8: rename it, or work in another"),
        (b"gone", 'rmdir "$PWD"; ', "the current folder was removed: change into a folder that exists"),
    ):
        folder = os.path.join(os.fsencode(tmp_path), name)
        os.mkdir(folder)
        done = subprocess.run(
            ["sh", "-c", f'{command}"$0" -m study.run --preset quick', sys.executable],
            cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 2
        assert done.stderr.startswith("error: ") and done.stderr.endswith(f"{words}\n")


@pytest.mark.slow
def test_a_command_is_the_program_it_names(tmp_path: Path) -> None:
    ways = (["study.cli.commands", "report"], ["analysis.report"])
    first, second = (_ended("-m", *way, str(tmp_path))[0] for way in ways)
    assert (first.returncode, first.stderr) == (second.returncode, second.stderr)
    assert "is not a study" in first.stderr


@pytest.mark.parametrize(
    ("number", "module"),
    [
        (signal.SIGINT, "argparse"),
        (signal.SIGTERM, "argparse"),
        (signal.SIGINT, "numpy"),
        (signal.SIGTERM, "torch"),
        pytest.param(signal.SIGINT, "ray", marks=pytest.mark.slow),
    ],
)
def test_an_interrupt_during_the_imports_is_one_line(number: signal.Signals, module: str, tmp_path: Path) -> None:
    # With -X importtime Python prints a line as each module has been imported.
    command = [sys.executable, "-X", "importtime", "-m", "study.run", "--preset", "quick"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.rpartition("|")[2].strip().partition(".")[0] == module:
                break
        else:
            pytest.fail(f"{module} is not imported")
        process.send_signal(number)
        rest = process.stderr.read()
    said = [line for line in rest.splitlines() if not line.startswith("import time:")]
    assert (process.returncode, said) == (130, ["interrupted before the study began"])
    assert list(tmp_path.iterdir()) == []


class Importing:
    """Stands for a module that takes long to import. It notes whether garbage is collected meanwhile."""

    def __init__(self) -> None:
        self.collects: list[bool] = []

    @property
    def carry_out(self) -> Callable[..., int]:
        self.collects.append(gc.isenabled())
        return lambda *arguments, **options: 0


def test_no_garbage_is_collected_while_a_study_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    importing = Importing()
    monkeypatch.setitem(sys.modules, "study.workflow", importing)
    assert main(["--dataset", "digits", "--results-dir", str(tmp_path)]) == 0
    assert importing.collects == [False]
    assert gc.isenabled()
