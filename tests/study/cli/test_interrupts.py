"""Two signals to a process whose main thread cannot look at them, and a process that goes on after its study."""

import os
import pty
import signal
import subprocess
import sys
import time
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
STOPPING = "stopping; Ctrl-C again stops at once\n"
# A key derivation is compiled code that lets other threads run, and takes no notice of signals.
BUSY = """
import hashlib
from study.cli.interrupts import Interrupts

with Interrupts(lambda: "parting") as interrupts:
    interrupts.listen()
    try:
        print("ready", flush=True)
        hashlib.pbkdf2_hmac("sha256", b"", b"", 60_000_000)
    except KeyboardInterrupt:
        print("in order", flush=True)
"""


def _start(program: str, cwd: Path = ROOT) -> "subprocess.Popen[str]":
    """Start a program and wait until it says that it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline() == "ready\n", process.stderr.read()
    return process


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_a_process_that_has_not_seen_the_first(second: signal.Signals) -> None:
    process = _start(BUSY)
    assert process.stderr is not None
    time.sleep(0.2)
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.stderr.readline() == STOPPING, "although the main thread is busy"
    process.send_signal(second)
    out, err = process.communicate(timeout=120)
    assert time.monotonic() - begun < 5
    assert (process.returncode, out, err) == (130, "", "parting\n")


def test_nobody_who_reads_the_line_is_needed() -> None:
    process = _start(BUSY)
    assert process.stdout is not None and process.stderr is not None
    with process.stdout:
        process.stderr.close()
        for _ in range(2):
            time.sleep(0.2)
            process.send_signal(signal.SIGINT)
        assert process.wait(timeout=120) == 130


def test_the_first_signal_is_an_exception() -> None:
    process = _start(BUSY.replace("60_000_000", "1_000_000"))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out, err) == (0, "in order\n", STOPPING)


LIVE = """
import time
from rich.console import Console
from rich.live import Live
from study.cli.interrupts import Interrupts

with Interrupts(lambda: "parting") as interrupts, Live("first\\nlast", console=Console(), refresh_per_second=20):
    interrupts.listen()
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        time.sleep(0.5)
"""


def test_the_answer_stands_above_a_live_table() -> None:
    reader, terminal = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", LIVE], cwd=ROOT, stdout=terminal, stderr=terminal)
    os.close(terminal)
    shown = ""
    while "last" not in shown:
        shown += os.read(reader, 1000).decode()
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 0
    while True:
        try:
            shown += os.read(reader, 1000).decode()
        except OSError:  # a terminal without a process ends so
            break
    os.close(reader)
    above, _, below = shown.partition(STOPPING.replace("\n", "\r\n"))
    assert above.endswith("first\r\nlast\r\x1b[2K\x1b[1A\x1b[2K"), "the table is erased first"
    assert "first\r\nlast" in below, "and drawn again below"


# The test sends a signal for each line that says so. torch and Ray put more into the environment.
EMBEDDED = """
import os
import signal
import threading
import time

from study.run import main
from study.workflow import carry_out as carry_out

def state():
    wakeup = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(wakeup)
    threads = {f"thread {thread.name}" for thread in threading.enumerate()}
    environment = {f"{name}={value}" for name, value in os.environ.items()}
    return {signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM), wakeup} | threads | environment

def interrupted_twice():
    for _ in range(2):
        try:
            print("ready", flush=True)
            time.sleep(60)
        except KeyboardInterrupt:
            print("caught", flush=True)

before = state()
assert [main(["--trails", "3"]), main(["--dataset", "nowhere"])] == [2, 2]
assert state() == before, state() ^ before
interrupted_twice()
"""
STUDY = """
assert main(["--dataset", "digits", "--train-size", "150", "--baseline", "--archs", "mobilenet", "--max-epochs", "1",
             "--seeds", "1", "--confirm", "0"]) == 0
left = state() ^ before
assert all(str(one).startswith("thread ") for one in left) and "thread interrupts" not in left, left
interrupted_twice()
"""


@pytest.mark.parametrize("program", [EMBEDDED, EMBEDDED + STUDY], ids=["errors", "a study"])
def test_a_process_that_goes_on_has_its_signals_back(program: str, tmp_path: Path) -> None:
    process = _start(program, tmp_path)
    assert process.stdout is not None
    said = []
    for line in chain(["ready\n"], process.stdout):
        if line == "ready\n":
            time.sleep(0.1)
            process.send_signal(signal.SIGINT)
        said.append(line)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert said.count("caught\n") == 2 + 2 * (STUDY in program)


IN_A_THREAD = """
import threading
import time
from study.cli.interrupts import Interrupts

def use():
    with Interrupts(lambda: "parting") as interrupts:
        interrupts.listen()
        print("ready", flush=True)
        time.sleep(60)

thread = threading.Thread(target=use, daemon=True)
thread.start()
try:
    thread.join()
except KeyboardInterrupt:
    print("caught")
"""


def test_in_another_thread_the_signals_stay_as_they_are() -> None:
    process = _start(IN_A_THREAD)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (out, err) == ("caught\n", "")


INTERACTIVE = """
import sys
import time
sys.ps1 = "In : "  # as a notebook sets it
from study.cli.interrupts import Interrupts

with Interrupts(lambda: "parting") as interrupts:
    for listens in (False, True, True):
        if listens:
            interrupts.listen()
        try:
            print("ready", flush=True)
            time.sleep(60)
        except KeyboardInterrupt:
            print("caught", flush=True)
"""


def test_an_interactive_session_is_never_ended() -> None:
    process = _start(INTERACTIVE)
    assert process.stdout is not None
    for _ in range(3):
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "caught\n"
        process.stdout.readline()
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, STOPPING)
