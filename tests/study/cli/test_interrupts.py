"""Two signals to a process whose main thread cannot look at them, and a process that goes on after its study."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.pace import within
from tests.processes import BUDGET, HANGS_AFTER, OWN_NETWORKS, Program, Programs

ROOT = Path(__file__).parents[3]
STOPPING = "stopping; Ctrl-C again stops at once\n"
# A key derivation is compiled code that lets other threads run, and takes no notice of signals. The program stays until
# the test has sent every signal and closes its input.
PATIENT = """
import hashlib
import sys
from study.cli.interrupts import Interrupts

with Interrupts(lambda: "parting") as interrupts:
    interrupts.listen()
    try:
        print("ready", flush=True)
        hashlib.pbkdf2_hmac("sha256", b"", b"", 2_000_000)
        sys.stdin.read()
    except KeyboardInterrupt:
        print("in order", flush=True)
        sys.stdin.read()
"""
# The main thread is busy until every signal of a test has come.
BUSY = PATIENT.replace("2_000_000", "60_000_000")


def _start(programs: Programs, program: str, cwd: Path = ROOT) -> Program:
    """Start a program and wait until it says that it is ready."""
    started = programs.start("-c", program, cwd=cwd)
    assert started.stdout.readline() == "ready\n", started.stderr.read()
    return started


def _busy(programs: Programs, text: str = BUSY) -> Program:
    """Start BUSY, or a program that ends like it, and wait until its main thread is in compiled code."""
    program = _start(programs, text)
    process = psutil.Process(program.process.pid)
    ready = process.cpu_times().user
    program.wait_for(lambda: process.cpu_times().user > ready + 0.2)
    return program


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_a_process_that_has_not_seen_the_first(programs: Programs, second: signal.Signals) -> None:
    program = _busy(programs)
    with within(5):
        program.process.send_signal(signal.SIGINT)
        assert program.stderr.readline() == STOPPING, "although the main thread is busy"
        program.process.send_signal(second)
        done = program.finish()
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "parting\n")


def test_nobody_who_reads_the_line_is_needed(programs: Programs) -> None:
    program = _busy(programs)
    program.stderr.close()
    process = psutil.Process(program.process.pid)
    program.process.send_signal(signal.SIGINT)
    first = process.cpu_times().user
    program.wait_for(lambda: process.cpu_times().user > first + 0.2)  # two signals at once may arrive as one
    program.process.send_signal(signal.SIGINT)
    assert program.process.wait(HANGS_AFTER) == 130


def test_the_first_signal_is_an_exception(programs: Programs) -> None:
    program = _start(programs, PATIENT)
    program.process.send_signal(signal.SIGINT)
    done = program.finish()
    assert (done.returncode, done.stdout, done.stderr) == (0, "in order\n", STOPPING)


# Python drops an exception that a destructor raises, prints it, and goes on.
DROPPED = """
import os, signal, time
from study.cli.interrupts import Interrupts

class Interrupted:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)

class Faulty:
    def __del__(self):
        raise ValueError("of its own")

with Interrupts(lambda: "parting") as interrupts:
    interrupts.listen()
    interrupts.check()
    Faulty()
    try:
        Interrupted()
        print("went on", flush=True)
        interrupts.check()
    except KeyboardInterrupt:
        print("in order", flush=True)
"""


def test_a_signal_that_came_inside_a_destructor_is_neither_lost_nor_an_error_on_the_screen(programs: Programs) -> None:
    done = programs.start("-c", DROPPED, cwd=ROOT).finish()
    assert (done.returncode, done.stdout) == (0, "went on\nin order\n")
    assert done.stderr.count("Traceback") == 1, "another exception is printed as ever"
    assert done.stderr.endswith(f"ValueError: of its own\n{STOPPING}")


def test_a_terminal_that_closes_ends_a_study_in_order_however_often_it_says_so(programs: Programs) -> None:
    program = _start(programs, PATIENT)
    program.process.send_signal(signal.SIGHUP)
    assert program.stderr.readline() == STOPPING
    program.process.send_signal(signal.SIGHUP)
    done = program.finish()
    assert (done.returncode, done.stdout, done.stderr) == (0, "in order\n", "")


def test_nohup_is_heeded(programs: Programs) -> None:
    program = _busy(programs, f"import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n{BUSY}")
    program.process.send_signal(signal.SIGHUP)
    program.process.send_signal(signal.SIGTERM)
    assert program.stderr.readline() == STOPPING
    program.process.send_signal(signal.SIGTERM)
    assert program.finish().returncode == 130, "the second SIGTERM was the second signal, and SIGHUP none"


# It is a process group of its own, as a shell's job is, and its worker another one, as Ray's workers are.
SUSPENDED = """
import os
import signal
import subprocess
import sys
import time
from study.cli.interrupts import Interrupts

os.setpgid(0, 0)
with Interrupts(lambda: "parting") as interrupts:
    interrupts.listen()
    worker = subprocess.Popen([sys.executable, "-c", "while True: pass"], process_group=0)
    print("ready", flush=True)
    try:
        while True:
            time.sleep(0.1)
    except KeyboardInterrupt:
        worker.kill()
assert signal.getsignal(signal.SIGTSTP) == signal.SIG_DFL
"""


def test_workers_stop_with_ctrl_z_and_go_on_with_the_study(programs: Programs) -> None:
    program = _start(programs, SUSPENDED)
    study = psutil.Process(program.process.pid)
    (worker,) = study.children()
    stopped = [psutil.STATUS_STOPPED] * 2
    for _ in range(2):
        program.process.send_signal(signal.SIGTSTP)
        program.wait_for(lambda: [study.status(), worker.status()] == stopped)
        program.process.send_signal(signal.SIGCONT)
        program.wait_for(lambda: psutil.STATUS_STOPPED not in (study.status(), worker.status()))
    program.process.send_signal(signal.SIGINT)
    assert program.finish().returncode == 0


LIVE = """
import time
from rich.console import Console
from rich.live import Live
from study.cli.interrupts import Interrupts

with Interrupts(lambda: "parting") as interrupts:
    interrupts.listen()
    with Live("first\\nlast", console=Console(), refresh_per_second=20):
        try:
            time.sleep(600)
        except KeyboardInterrupt:
            time.sleep(0.5)
"""


def test_the_answer_stands_above_a_live_table() -> None:
    reader, terminal = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", LIVE], cwd=ROOT, stdout=terminal, stderr=terminal)
    os.close(terminal)
    shown = ""
    while shown.count("last") < 3:
        shown += os.read(reader, 1000).decode()
    process.send_signal(signal.SIGINT)
    assert process.wait(HANGS_AFTER) == 0
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
import gc
import os
import signal
import sys
import threading
import time

from study.run import main
from study.workflow import carry_out as carry_out

def state():
    wakeup = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(wakeup)
    threads = {f"thread {thread.name}" for thread in threading.enumerate()}
    environment = {f"{name}={value}" for name, value in os.environ.items()}
    handlers = {signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    of_sys = {sys.stdout, sys.stderr, sys.unraisablehook}
    return {*handlers, *of_sys, wakeup, f"collects {gc.isenabled()}"} | threads | environment

def interrupted_twice():
    for _ in range(2):
        try:
            print("ready", flush=True)
            time.sleep(600)
        except KeyboardInterrupt:
            print("caught", flush=True)

before = state()
assert [main(["--trails", "3"]), main(["--dataset", "nowhere"])] == [2, 2]
assert state() == before, state() ^ before
interrupted_twice()
"""
# The driver would take Ray for lost while it writes the report, if it still watched Ray.
STUDY = """
import own_networks
from types import SimpleNamespace
from study import workflow
from study.cluster.health import lifeline

def conclude_late(*arguments):
    time.sleep(4 * lifeline.LOST_AFTER_SECONDS)
    return conclude(*arguments)

sys.modules["analysis.figures.catalogue"] = SimpleNamespace(Picture=None, study_pictures=lambda *_: {})
lifeline.ASK_EVERY_SECONDS, lifeline.LOST_AFTER_SECONDS = 0.1, 0.5
conclude, workflow.conclude = workflow.conclude, conclude_late
assert main(sys.argv[1:]) == 0
left = state() ^ before
assert all(str(one).startswith("thread ") for one in left) and "thread interrupts" not in left, left
interrupted_twice()
"""


@pytest.mark.slow
def test_a_process_that_goes_on_has_its_signals_back_and_nobody_watches_the_ended_ray(
    programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{Path(OWN_NETWORKS[0]).parent}:{ROOT}")  # workers, too, import the networks
    words = [*BUDGET, "--baseline", "--archs", "tiny", "--max-epochs", "1", "--seeds", "1", "--name", "one"]
    started = programs.start("-c", EMBEDDED + STUDY, *words, cwd=tmp_path)
    said = []
    for line in started.stdout:
        if line == "ready\n":
            started.process.send_signal(signal.SIGINT)
        said.append(line)
    done = started.finish()
    assert done.returncode == 0, done.stderr
    assert said.count("caught\n") == 4
    assert (tmp_path / "results" / "one" / "report" / "report.html").exists()


IN_A_THREAD = """
import threading
import time
from study.cli.interrupts import Interrupts

listening = threading.Event()

def use():
    with Interrupts(lambda: "parting") as interrupts:
        interrupts.listen()
        listening.set()
        time.sleep(600)

thread = threading.Thread(target=use, daemon=True)
thread.start()
listening.wait()
try:
    print("ready", flush=True)
    thread.join()
except KeyboardInterrupt:
    print("caught")
"""


def test_in_another_thread_the_signals_stay_as_they_are(programs: Programs) -> None:
    program = _start(programs, IN_A_THREAD)
    program.process.send_signal(signal.SIGINT)
    done = program.finish()
    assert (done.stdout, done.stderr) == ("caught\n", "")


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
            time.sleep(600)
        except KeyboardInterrupt:
            print("caught", flush=True)
"""


def test_an_interactive_session_is_never_ended(programs: Programs) -> None:
    program = _start(programs, INTERACTIVE)
    for _ in range(3):
        program.process.send_signal(signal.SIGINT)
        assert program.stdout.readline() == "caught\n"
        program.stdout.readline()
    done = program.finish()
    assert (done.returncode, done.stderr) == (0, STOPPING)
