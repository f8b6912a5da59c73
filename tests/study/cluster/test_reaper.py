"""What a driver started ends with it, however it ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import psutil
import pytest

from tests import pace
from tests.processes import HANGS_AFTER

ROOT = Path(__file__).parents[3]
DRIVER = """
import signal, subprocess, sys
from study.cluster.reaper import reaping
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which nohup has its programs ignore
before = subprocess.Popen(["sleep", "600"])
with reaping(sys.argv[1]):
    # Of a session of its own and deaf to polite requests, as what is hard to get rid of.
    shell = ["sh", "-c", "trap '' TERM INT HUP; sleep 600; sleep 600"]
    within = subprocess.Popen(shell, start_new_session=True)
    print(before.pid, within.pid, flush=True)
    sys.stdin.readline()
"""


class Driver(NamedTuple):
    """One under way, a process that it started before its session, and those of the session."""

    process: subprocess.Popen[str]
    before: psutil.Process
    within: list[psutil.Process]


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[Driver]:
    """Start a driver in a folder with modules of the same names, which its path does not have."""
    for name in ("study", "os"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the file of the user runs')")
    with subprocess.Popen(
        [sys.executable, "-P", "-c", DRIVER, uuid4().hex],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout
        before, within = (psutil.Process(int(pid)) for pid in process.stdout.readline().split())
        tree = [within]
        while len(tree) < 2:
            assert within.status() != psutil.STATUS_ZOMBIE, "the shell has ended"
            tree = [within, *within.children()]
        yield Driver(process, before, tree)
        process.kill()
    for left in (before, *tree):
        with suppress(psutil.NoSuchProcess):
            left.kill()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_driver_leaves_no_process(driver: Driver, number: signal.Signals) -> None:
    process, before, tree = driver
    with pace.within(5):
        os.kill(process.pid, number)
        assert process.wait(timeout=HANGS_AFTER) == -number
        assert psutil.wait_procs(tree, timeout=HANGS_AFTER)[1] == []
    assert before.is_running(), "it was not asked to end"


def test_a_terminal_that_ends_its_programs_does_not_end_the_reaper(driver: Driver) -> None:
    process, _, tree = driver
    with pace.within(5):
        os.killpg(process.pid, signal.SIGHUP)
        assert process.wait(timeout=HANGS_AFTER) == -signal.SIGHUP
        assert psutil.wait_procs(tree, timeout=HANGS_AFTER)[1] == []


def test_when_the_session_is_left_its_processes_are_gone(driver: Driver) -> None:
    process, before, tree = driver
    with pace.within(10):
        process.stdin.close()
        assert process.wait(timeout=HANGS_AFTER) == 0
    assert not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in tree)
    assert before.is_running()
