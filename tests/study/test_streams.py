"""Standard output and error that are lost: real pipes, pseudo-terminals, full devices and closed descriptors."""

import fcntl
import io
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from study.streams import lasting_streams, loss_of
from tests.processes import HANGS_AFTER

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
# It says by a file that it went on, because nothing else is left to say it with.
WRITER = """
import sys
from pathlib import Path
from study.listeners.screen import Screen
from study.streams import lasting_streams

with lasting_streams():
    screen = Screen()
    screen.study_log.open(Path("study.log"))
    sys.stdin.readline()
    for number in range(3):
        screen.say(f"line {number}")
        screen.warn(f"warning {number}")
    screen.study_log.close()
    Path("end").touch()
"""


def _piped() -> tuple[int, int]:
    reader, writer = os.pipe()
    return reader, writer


def _full() -> tuple[int, int]:
    return os.open(os.devnull, os.O_RDONLY), os.open("/dev/full", os.O_WRONLY)


@pytest.mark.parametrize(
    ("opened", "reason"),
    [(_piped, "Broken pipe"), (pty.openpty, "Input/output error"), (_full, "No space left on device")],
    ids=["pipe", "terminal", "disk"],
)
def test_a_lost_stream_ends_nothing_and_the_log_has_every_line(
    opened: Callable[[], tuple[int, int]], reason: str, tmp_path: Path
) -> None:
    reader, writer = opened()
    with subprocess.Popen(
        [sys.executable, "-c", WRITER],
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=writer,
        stderr=writer,
    ) as process:
        os.close(writer)
        os.close(reader)
        process.communicate(b"now\n", timeout=HANGS_AFTER)
    assert process.returncode == 0
    assert (tmp_path / "end").exists()
    lines = [line[20:] for line in (tmp_path / "study.log").read_text().splitlines()]
    assert [line for line in lines if "lost" in line] == [
        f"standard output is lost ({reason}); study.log has every line"
    ]
    assert [line for line in lines if "lost" not in line] == [
        f"{kind} {number}" for number in range(3) for kind in ("line", "warning")
    ]


def test_only_standard_output_is_lost_and_the_error_stream_says_so(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", WRITER],
            cwd=tmp_path, env=ENVIRONMENT, input="now\n", stdout=full, stderr=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
    assert done.stderr.splitlines() == [
        "standard output is lost (No space left on device); study.log has every line",
        *(f"warning {number}" for number in range(3)),
    ]


CLOSED = """
import os, sys
from study.streams import lasting_streams

assert (sys.stdin, sys.stdout, sys.stderr) == (None, None, None)
with lasting_streams():
    print("a line", flush=True)
    print("an error", file=sys.stderr, flush=True)
    os.write(1, b"bytes")
    with open("own", "w") as file:
        assert file.fileno() > 2
assert (sys.stdout, sys.stderr) == (None, None)
open("end", "w").close()
"""


def test_closed_descriptors_lead_nowhere(tmp_path: Path) -> None:
    command = ["sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-', sys.executable, "-c", CLOSED]
    assert subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, check=False).returncode == 0
    assert (tmp_path / "end").exists()
    assert (tmp_path / "own").read_text() == ""


MUCH = """
from study.streams import lasting_streams
with lasting_streams():
    for number in range(30_000):
        print(f"line {number}")
"""


def test_a_stream_that_does_not_block_gets_every_line() -> None:
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETFL, fcntl.fcntl(writer, fcntl.F_GETFL) | os.O_NONBLOCK)
    with subprocess.Popen(
        [sys.executable, "-c", MUCH], env=ENVIRONMENT, stdout=writer, stderr=subprocess.PIPE
    ) as process:
        os.close(writer)
        with open(reader) as read:
            assert read.read().splitlines() == [f"line {number}" for number in range(30_000)]
    assert process.returncode == 0


def test_streams_without_a_descriptor_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    memory, notebook = io.TextIOWrapper(io.BytesIO()), io.StringIO()
    monkeypatch.setattr(sys, "stdout", memory)
    monkeypatch.setattr(sys, "stderr", notebook)
    with lasting_streams():
        assert (sys.stdout, sys.stderr) == (memory, notebook)
        assert loss_of(sys.stdout) is None
    assert (sys.stdout, sys.stderr) == (memory, notebook)
