"""Errors that end a study with one line instead of a traceback."""

import sys
from collections.abc import Iterable
from contextlib import suppress


class BadInput(Exception):
    """Says in one line why the user's input cannot be used, and what to do."""


class StudyFailed(Exception):
    """Says in one line why the study cannot be finished."""


class Superseded(StudyFailed):
    """Says in one line that a newer driver works on the study, which this driver must leave."""


class UnfitNode(StudyFailed):
    """Says in one line why a node cannot make runs. It does not count as a failure of a run.

    Args:
        line: the reason.
        node: Ray's id of the node; None if this process found out on its own machine.
    """

    def __init__(self, line: str, node: str | None = None) -> None:
        super().__init__(line)
        self.node = node


class StorageFailed(UnfitNode):
    """Says in one line which file of a run cannot be kept."""


class OtherCode(UnfitNode):
    """Says in one line how the code of a node differs from the code of this process."""


def one_line(error: BaseException) -> str:
    """Returns an error's message as one line, or the error's type if it has no message."""
    return " ".join(str(error).split()) or type(error).__name__


def say_error(line: str) -> None:
    """Print a line to the standard error stream. Does nothing if the stream cannot be written."""
    with suppress(OSError):
        print(line, file=sys.stderr)


def unknown(kind: str, word: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return the line for a word that is unknown, with the known word that is most like it.

    Args:
        kind: names what the word stands for, such as "network".
        otherwise: the advice if no known word is like it; the known words by default.
    """
    from difflib import get_close_matches  # here, because most runs need no advice

    known = list(known)
    alike = get_close_matches(word.lower(), known, n=1, cutoff=0.7)
    advice = f"did you mean {alike[0]}?" if alike else otherwise or f"choose from {', '.join(known)}"
    return f"there is no {kind} {word!r}: {advice}"
