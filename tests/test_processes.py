"""Tests that fail or hang leave nothing: no process, no pipe, no folder of Ray."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[1]

# Each of the first tests ends in the middle of what it does. The last must find nothing of them, and pass.
TESTS = """
import gc, json, os, signal
from pathlib import Path
import psutil
from tests.conftest import programs

LEFT = Path("left.jsonl")

DEAF = '''
import subprocess, sys, tempfile, os
tempfile.mkdtemp(prefix=f"fairverdict-{os.getpid()}-", dir="/tmp")
subprocess.Popen(["sh", "-c", "trap '' TERM INT HUP; echo deaf; sleep 600; sleep 600"], start_new_session=True).wait()
'''

def lives(pid):
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE

def begin(programs, cwd):
    program = programs.start("-c", DEAF, cwd=cwd)
    assert program.stdout.readline() == "deaf\\n"
    with LEFT.open("a") as file:
        pids = [process.pid for process in program.processes()]
        file.write(json.dumps([pids, list(map(str, program.session_directories()))]) + "\\n")
    return program

def test_fails(programs, tmp_path):
    begin(programs, tmp_path)
    assert False

def test_hangs(programs, tmp_path):
    program = begin(programs, tmp_path)
    signal.setitimer(signal.ITIMER_REAL, 0.3)  # pytest-timeout sets this timer, too
    program.wait_for(lambda: False)

def test_nothing_is_left():
    left = list(map(json.loads, LEFT.read_text().splitlines()))
    assert len(left) == 2
    for pids, folders in left:
        assert len(pids) >= 2 and folders
        assert not [pid for pid in pids if lives(pid)]
        assert not [folder for folder in folders if Path(folder).exists()]
    gc.collect()  # a pipe left open would be an error here
"""


@pytest.mark.slow
def test_what_a_failed_test_started_is_gone(tmp_path: Path) -> None:
    """tests/study/runs/test_ray_runs.py shows the same of a Ray."""
    (tmp_path / "test_failure.py").write_text(TESTS)
    options = [
        "-p",
        "no:cacheprovider",
        "-p",
        "no:randomly",
        "-c",
        str(ROOT / "pyproject.toml"),
        "--rootdir",
        ".",
        "--basetemp",
        "temporary",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "test_failure.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "2 failed, 1 passed" in done.stdout, done.stdout
    summary = done.stdout.rpartition("short test summary")[2]
    assert "::test_fails" in summary and "::test_hangs" in summary
    assert not [child for child in psutil.Process().children(recursive=True) if child.name() == "sleep"]
