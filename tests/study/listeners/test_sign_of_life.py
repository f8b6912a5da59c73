"""A real pseudo-terminal and a real notebook kernel: a sign of life, and one display."""

import os
import pty
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[3]
# A user takes a program that shows nothing for longer to have hung.
SILENT_SECONDS = 2.0
# It waits in compiled code, as a driver does that waits for Ray.
BUSY = """
import time
from study.listeners.progress import Progress
from study.listeners.screen import Screen
from study.listeners.work import Row

with Progress(Screen()) as progress:
    progress.do("Starting Ray")
    time.sleep(2.5)
    progress.begin("Search", [Row("AlexNet", 3, {"running": 1})])
    time.sleep(1.2)
    progress.finish([Row("AlexNet", 3, {"complete": 3})])
    progress.say("the last line")
"""


@pytest.mark.slow
def test_a_terminal_shows_a_sign_of_life_while_the_study_waits() -> None:
    leader, follower = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "80", "LINES": "40"}
    with subprocess.Popen([sys.executable, "-c", BUSY], stdout=follower, stderr=follower, env=environment) as process:
        os.close(follower)
        shown, times = b"", []
        while True:
            try:
                part = os.read(leader, 65536)
            except OSError:  # how the end of a terminal reads
                break
            times.append(time.monotonic())
            shown += part
    os.close(leader)
    assert process.returncode == 0
    assert max(later - earlier for earlier, later in pairwise(times)) <= SILENT_SECONDS
    text = shown.decode()
    assert "Starting Ray, 1 s so far" in text and "Starting Ray, 2 s so far" in text
    assert "Search, 3 s so far" in text
    assert text.rindex("Search: done in 1 s") < text.rindex("the last line")
    assert "so far" not in text[text.rindex("the last line") :].rpartition("\x1b[2K")[2], "the spinner is gone"


AT_ONCE = BUSY.replace("time.sleep", "float")
PLAIN = [
    "Starting Ray",
    "Search, 0 s so far: AlexNet 0/3 (1 running), 0 epochs",
    "Search: AlexNet 3/3 (3 complete), 0 epochs",
    "Search: done in 0 s",
    "the last line",
]


@pytest.mark.parametrize("said", [{}, {"FORCE_COLOR": "1"}, {"TTY_COMPATIBLE": "1", "TTY_INTERACTIVE": "1"}])
def test_without_a_terminal_there_is_a_line_for_each_step(said: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", AT_ONCE],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **said},
    )
    assert done.stdout.splitlines() == PLAIN


def test_a_terminal_that_cannot_move_its_cursor_has_a_line_for_each_step() -> None:
    leader, follower = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "dumb"}
    command = [sys.executable, "-c", AT_ONCE]
    done = subprocess.run(command, stdout=follower, stderr=follower, env=environment, check=True)
    assert done.returncode == 0
    assert os.read(leader, 65536).decode().splitlines() == PLAIN
    os.close(follower)
    os.close(leader)


@pytest.mark.slow
def test_a_notebook_has_one_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(BUSY.replace("sleep(2.5)", "sleep(1)"))])
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    (output,) = notebook.cells[0].outputs
    assert output.output_type == "display_data"
    assert output.data["text/plain"].splitlines() == [
        "Search: AlexNet 3/3 (3 complete), 0 epochs",
        "Search: done in 1 s",
        "the last line",
    ]
