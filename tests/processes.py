"""Studies as real processes: started as a user starts them, and watched from outside."""

import os
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from uuid import uuid4

import numpy as np
import pandas as pd
import psutil

# One trial at a time makes the search repeatable, so that a disturbed study can be compared with one left alone.
SMALL = ["--dataset", "digits", "--train-size", "100", "--trials", "2", "--max-epochs", "3", "--seeds", "2"]
SMALL = [*SMALL, "--concurrency", "1", "--confirm", "0"]
_MARK = "NETVERDICT_TEST"
TEMPORARY = Path("/tmp")


class Study:
    """One `python -m study.run` and all processes that it starts, which inherit a mark in their environment.

    Where nobody holds it any more, after a test that failed, the driver is killed, and its Ray goes with it.
    """

    def __init__(self, arguments: Sequence[str], cwd: Path, program: Sequence[str] = ("-m", "study.run")) -> None:
        self._mark = uuid4().hex
        self.process = subprocess.Popen(
            [sys.executable, *program, *arguments],
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "COLUMNS": "80", _MARK: self._mark},
        )
        weakref.finalize(self, _end, self.process)

    def finish(self, timeout: float = 280) -> subprocess.CompletedProcess[str]:
        """Waits for its end."""
        out, err = self.process.communicate(timeout=timeout)
        return subprocess.CompletedProcess(self.process.args, self.process.returncode, out, err)

    def wait_for(self, condition: Callable[[], object], timeout: float = 180) -> None:
        """Waits until the condition holds, the study being under way."""
        deadline = time.monotonic() + timeout
        while not condition():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def kill(self) -> str:
        """kill -9 of the driver alone. Returns what it had printed."""
        self.process.kill()
        return self.process.communicate()[0]

    def processes(self) -> list[psutil.Process]:
        """Everything of it that lives, the driver included."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def workers(self, name: str) -> list[psutil.Process]:
        """Its Ray workers whose title holds the name."""
        return [process for process in self.processes() if name in " ".join(process.cmdline())]

    def wait_until_gone(self, timeout: float) -> None:
        """Waits until none of its processes is left."""
        deadline = time.monotonic() + timeout
        while left := self.processes():
            assert time.monotonic() < deadline, left
            time.sleep(0.1)

    def session_directories(self) -> list[Path]:
        """Its temporary folders, which its Ray uses."""
        return list(TEMPORARY.glob(f"fairverdict-{self.process.pid}-*"))

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get(_MARK) == self._mark and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False


def _end(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.wait()  # as long as it is a zombie its Ray takes it to be alive


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


def run(arguments: Sequence[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Runs a study to its end."""
    return Study(arguments, cwd).finish()
