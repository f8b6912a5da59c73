"""study.log: each line with its time, and the warnings that no terminal shows."""

import logging
import re
import warnings
from pathlib import Path

import pytest

from study.listeners.screen import Screen
from study.listeners.study_log import StudyLog


def _lines(path: Path) -> list[str]:
    """The lines without their times."""
    found = [re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d (.*)", line) for line in path.read_text().splitlines()]
    assert all(found)
    return [match[1] for match in found if match]


def test_lines_from_before_the_folder_come_first_and_a_resumed_study_appends(tmp_path: Path) -> None:
    for line in ("one", "two"):
        log = StudyLog()
        log.write(f"{line} before\n\n")
        log.open(tmp_path / "study.log")
        log.write(f"{line} after")
        log.close()
        log.write("too late for the file, and no error")
    assert _lines(tmp_path / "study.log") == ["one before", "one after", "two before", "two after"]


def test_what_is_printed_is_logged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen()
    screen.study_log.open(tmp_path / "study.log")
    screen.say("a line of [12] " + "x" * 200)
    screen.warn("a warning")
    screen.note("a note")
    screen.study_log.close()
    printed = capsys.readouterr()
    assert printed.out == "a line of [12] " + "x" * 200 + "\n"
    assert printed.err == "a warning\n"
    assert _lines(tmp_path / "study.log") == ["a line of [12] " + "x" * 200, "a warning", "a note"]


def test_warnings_of_python_are_logged_and_then_no_longer(tmp_path: Path) -> None:
    log, handlers, show = StudyLog(), list(logging.getLogger().handlers), warnings.showwarning
    log.open(tmp_path / "study.log")
    with log.warnings_of_python():
        logging.getLogger("a.library").warning("this is slow")
        logging.getLogger("a.library").info("this is not said")
        warnings.showwarning(RuntimeWarning("MPS does not work"), RuntimeWarning, "file.py", 1)
    log.close()
    assert _lines(tmp_path / "study.log") == [
        "warning: a.library: this is slow",
        "warning: RuntimeWarning: MPS does not work",
    ]
    assert (logging.getLogger().handlers, warnings.showwarning) == (handlers, show)
