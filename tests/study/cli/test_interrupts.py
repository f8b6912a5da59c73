"""What two signals do to a process whose main thread cannot look at them."""

import signal
import subprocess
import sys
import time

import pytest

# A key derivation is compiled code that lets other threads run, and takes no notice of signals.
BUSY = """
import hashlib
from study.cli.interrupts import Interrupts

Interrupts(lambda: "parting").listen()
try:
    print("ready", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 60_000_000)
except KeyboardInterrupt:
    print("in order", flush=True)
"""


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_a_process_that_has_not_seen_the_first(second: signal.Signals) -> None:
    process = subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    begun = time.monotonic()
    process.send_signal(second)
    out, err = process.communicate(timeout=120)
    assert time.monotonic() - begun < 5
    assert (process.returncode, out, err) == (130, "", "parting\n")


def test_nobody_who_reads_the_line_is_needed() -> None:
    process = subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stderr is not None
    with process.stdout as out, process.stderr as err:
        assert out.readline() == "ready\n"
        err.close()
        for _ in range(2):
            time.sleep(0.2)
            process.send_signal(signal.SIGINT)
        assert process.wait(timeout=120) == 130


def test_the_first_signal_is_an_exception() -> None:
    program = BUSY.replace("60_000_000", "1_000_000")
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out, err) == (0, "in order\n", "")
