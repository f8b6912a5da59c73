"""Programs as real processes: started as a user starts them, watched from outside, and ended with the test."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import numpy as np
import pandas as pd
import psutil

# Two networks of a few thousand weights, which a user's file adds. Their epochs take milliseconds.
OWN_NETWORKS = (str(Path(__file__).parent / "programs" / "own_networks.py"),)
# One trial at a time makes the search repeatable, so that a disturbed study can be compared with one left alone.
BUDGET = ("--dataset", "digits", "--train-size", "100", "--trials", "2", "--max-epochs", "3", "--seeds", "2")
BUDGET = (*BUDGET, "--concurrency", "1", "--confirm", "0")
# If this environment variable is "fp32", tests train as on a machine without fast bfloat16.
PRECISION = "FAIRVERDICT_TEST_PRECISION"
BUDGET = (*BUDGET, "--precision", os.environ.get(PRECISION, "auto"))
SMALL = (*BUDGET, "--archs", "tiny", "small")
# A program that takes longer than this hangs. No machine is so slow.
HANGS_AFTER = 1100.0
TEMPORARY = Path("/tmp")
# The environment variable that tells tests/programs/own_networks.py of a gate.
GATE = "FAIRVERDICT_TEST_GATE"
_MARK = "FAIRVERDICT_TEST"


def _mind_signals() -> None:
    """Let a program get the signals that these tests ignore if they run in the background."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


class Program:
    """A Python program and all processes that it starts, which inherit a mark in their environment.

    Args:
        arguments: of the interpreter.
        cwd: the folder to start in.
    """

    def __init__(self, arguments: Sequence[str], cwd: Path) -> None:
        self._mark = uuid4().hex
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "COLUMNS": "80", _MARK: self._mark},
            preexec_fn=_mind_signals,
        )
        assert self.process.stdin is not None and self.process.stdout is not None and self.process.stderr is not None
        self.stdin, self.stdout, self.stderr = self.process.stdin, self.process.stdout, self.process.stderr

    def finish(self, typed: str | None = None) -> subprocess.CompletedProcess[str]:
        """Wait for its end."""
        out, err = self.process.communicate(typed, timeout=HANGS_AFTER)
        return subprocess.CompletedProcess(self.process.args, self.process.returncode, out, err)

    def wait_for(self, condition: Callable[[], object]) -> None:
        """Wait until the condition holds while the program runs."""
        deadline = time.monotonic() + HANGS_AFTER
        while not condition():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < deadline, "it hangs"
            time.sleep(0.02)

    def kill(self) -> str:
        """Kill the first process alone, as `kill -9` does. Return what it had printed."""
        self.process.kill()
        return self.process.communicate()[0]

    def processes(self) -> list[psutil.Process]:
        """List everything of it that lives, the first process included."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def workers(self, name: str) -> list[psutil.Process]:
        """List its processes whose command line holds the name, for example Ray's workers."""
        return [process for process in self.processes() if name in " ".join(_command_line(process))]

    def wait_until_gone(self) -> None:
        """Wait until none of its processes is left."""
        deadline = time.monotonic() + HANGS_AFTER
        while left := self.processes():
            assert time.monotonic() < deadline, left
            time.sleep(0.05)

    def session_directories(self) -> list[Path]:
        """List the temporary folders that its Ray uses."""
        return list(TEMPORARY.glob(f"fairverdict-{self.process.pid}-*"))

    def end(self) -> None:
        """End whatever is left of it, in whatever state: processes, pipes and Ray's folders."""
        self.process.kill()
        while left := self.processes():
            for process in left:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(left, timeout=1)
        self.process.wait()
        for pipe in (self.stdin, self.stdout, self.stderr):
            with suppress(BrokenPipeError):  # a line that was typed and never read
                pipe.close()
        for directory in self.session_directories():
            shutil.rmtree(directory)

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            is_marked = process.environ().get(_MARK) == self._mark
            return (is_marked or self._is_agent(process)) and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False

    def _is_agent(self, process: psutil.Process) -> bool:
        """Return whether a process is an agent of its Ray, which writes its title over a part of its environment."""
        folder = str(TEMPORARY / f"fairverdict-{self.process.pid}-")
        is_agent = re.fullmatch(r"ray::\w+Agent", "".join(_command_line(process)))
        return bool(is_agent) and any(file.path.startswith(folder) for file in process.open_files())


class Programs:
    """Starts programs and ends all of them, however the test ended."""

    def __init__(self) -> None:
        self._started: list[Program] = []

    def start(self, *arguments: str, cwd: Path) -> Program:
        """Start a Python program with these arguments of the interpreter."""
        program = Program(arguments, cwd)
        self._started.append(program)
        return program

    def study(self, arguments: Sequence[str], cwd: Path, program: Sequence[str] = OWN_NETWORKS) -> Program:
        """Start a study that knows the networks of OWN_NETWORKS, or another program's."""
        return self.start(*program, *arguments, cwd=cwd)

    def run_study(
        self, arguments: Sequence[str], cwd: Path, program: Sequence[str] = OWN_NETWORKS
    ) -> subprocess.CompletedProcess[str]:
        """Run a study to its end."""
        return self.study(arguments, cwd, program).finish()

    def end(self) -> None:
        """End every program."""
        while self._started:
            self._started.pop().end()


class Gate:
    """Holds the training of the tiny networks at every step, so that a test decides how far a study comes.

    Args:
        folder: does not exist yet; tests/programs/own_networks.py is told of it in the environment variable GATE.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._empty_since: float | None = None

    def let_train_until(self, study: Program, condition: Callable[[], object]) -> None:
        """Let single steps of training pass until the condition holds."""
        study.wait_for(lambda: condition() or self._let_one_pass())

    def open(self) -> None:
        """Let all training go on freely."""
        shutil.rmtree(self._folder)

    def _let_one_pass(self) -> None:
        """Put a ticket into the folder if the last one was taken a while ago: its step may have met the condition."""
        if any(self._folder.iterdir()):
            self._empty_since = None
            return
        self._empty_since = self._empty_since or time.monotonic()
        if time.monotonic() - self._empty_since > 0.3:
            (self._folder / "ticket").touch()
            self._empty_since = None


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def assert_same_results(one: Path, other: Path, *, is_same_order: bool = True) -> None:
    """Assert that the tables of both study folders, times aside, and every prediction are equal to the bit.

    Args:
        is_same_order: False if a trial was trained again, so that its epochs arrived later in one of the studies.
    """
    for name in ("trials.csv", "history.csv"):
        tables = [pd.read_csv(path / name).drop(columns="seconds") for path in (one, other)]
        if name == "history.csv" and not is_same_order:
            tables = [table.sort_values(["trial_id", "epoch"], ignore_index=True) for table in tables]
        pd.testing.assert_frame_equal(*tables, check_exact=True)
    predictions = sorted(path.relative_to(one) for path in one.glob("final/*/*/predictions.npz"))
    assert predictions == sorted(path.relative_to(other) for path in other.glob("final/*/*/predictions.npz"))
    assert predictions
    for path in predictions:
        assert np.array_equal(np.load(one / path)["logits"], np.load(other / path)["logits"])
