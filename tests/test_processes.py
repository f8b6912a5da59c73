"""A test that fails or hangs leaves nothing: no process, no pipe, no folder of Ray."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[1]

# The first test of each file ends in the middle of what it does. The second must find nothing of it, and pass.
BEGIN = """
import gc, json, os, signal
from pathlib import Path
import psutil, pytest
from tests.conftest import programs

LEFT = Path("left.json")

DEAF = '''
import subprocess, sys, tempfile, os
tempfile.mkdtemp(prefix=f"fairverdict-{os.getpid()}-", dir="/tmp")
subprocess.Popen(["sh", "-c", "trap '' TERM INT HUP; echo deaf; sleep 600; sleep 600"], start_new_session=True).wait()
'''
SESSION = '''
import sys
from study.cluster.session import ray_session
with ray_session(None):
    print("up", flush=True)
    sys.stdin.read()
'''

def lives(pid):
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE

def keep(program):
    LEFT.write_text(json.dumps([[p.pid for p in program.processes()], list(map(str, program.session_directories()))]))

def test_nothing_is_left():
    pids, folders = json.loads(LEFT.read_text())
    assert len(pids) >= 2 and folders
    assert not [pid for pid in pids if lives(pid)]
    assert not [folder for folder in folders if Path(folder).exists()]
    gc.collect()  # a pipe left open would be an error here
"""
DEAF = """
def test_in_the_middle(programs, tmp_path):
    program = programs.start("-c", DEAF, cwd=tmp_path)
    assert program.stdout.readline() == "deaf\\n"
    keep(program)
"""
RAY = """
def test_in_the_middle(programs, tmp_path):
    program = programs.start("-c", SESSION, cwd=tmp_path)
    assert program.stdout.readline() == "up\\n"
    assert program.workers("raylet")
    keep(program)
"""
# pytest-timeout sets this timer, too.
HANGS = "    signal.setitimer(signal.ITIMER_REAL, 0.3)\n    program.wait_for(lambda: False)\n"
FAILS = "    assert False\n"


@pytest.mark.parametrize(
    ("test", "ending"),
    [
        pytest.param(DEAF, FAILS, id="fails", marks=pytest.mark.slow),
        pytest.param(DEAF, HANGS, id="hangs", marks=pytest.mark.slow),
        pytest.param(RAY, FAILS, id="fails with Ray", marks=pytest.mark.slow),
    ],
)
def test_what_a_failed_test_started_is_gone(test: str, ending: str, tmp_path: Path) -> None:
    first, _, second = BEGIN.partition("def test_nothing_is_left")
    (tmp_path / "test_failure.py").write_text(first + test + ending + "\n\ndef test_nothing_is_left" + second)
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
    assert "1 failed, 1 passed" in done.stdout, done.stdout
    assert "test_in_the_middle" in done.stdout.rpartition("short test summary")[2]
    assert not [child for child in psutil.Process().children(recursive=True) if child.name() == "sleep"]
