"""Errors that end a study with one line instead of a traceback."""

import sys
from contextlib import suppress


class BadInput(Exception):
    """Says in one line why the user's input cannot be used, and what to do."""


class StudyFailed(Exception):
    """Says in one line why the study cannot be finished."""


class StorageFailed(StudyFailed):
    """Says in one line which file of a run cannot be kept. It does not count as a failure of the run."""


def one_line(error: BaseException) -> str:
    """Returns an error's message as one line, or the error's type if it has no message."""
    return " ".join(str(error).split()) or type(error).__name__


def say_error(line: str) -> None:
    """Print a line to the standard error stream. Does nothing if nobody reads the stream."""
    with suppress(BrokenPipeError):
        print(line, file=sys.stderr)
