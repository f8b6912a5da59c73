"""Standard output: a terminal, a notebook or plain lines. Every line goes to the study's log, too."""

import io
from typing import Any

from rich.console import Console
from rich.control import Control

from study.cli.endings import say_error
from study.listeners.study_log import StudyLog
from study.streams import loss_of

# The log and a notebook have lines of at most this many columns, as wide tables need.
COLUMNS = 100


class Screen(Console):
    """Writes to standard output. If that is lost, the log says so and the study goes on.

    In a notebook all lines are in one display, which each line updates.

    Attributes:
        study_log: keeps every line.
        notebook: the display in a notebook; None elsewhere.
    """

    def __init__(self, **options: Any) -> None:
        notebook = Notebook() if Console().is_jupyter else None
        super().__init__(**(options if notebook is None else _plain(notebook)))
        self.notebook = notebook
        self.study_log = StudyLog()
        self._copy = Console(**_plain(_LineFile(self.study_log)))
        self._loss: OSError | None = None

    @property
    def draws_live(self) -> bool:
        """Return whether a table can be drawn again and again. FORCE_COLOR makes no terminal of a log."""
        return self.is_interactive and self.file.isatty()

    def print(self, *objects: Any, **options: Any) -> None:
        """Print on the screen and in the log."""
        super().print(*objects, **options)
        if self._loss is None and (loss := loss_of(self.file)) is not None:
            self._loss = loss
            # A reader that leaves, as `head` does, wants no more lines.
            say = self.note if isinstance(loss, BrokenPipeError) else self.warn
            say(f"standard output is lost ({loss.strerror}); study.log has every line")
        if not all(isinstance(thing, Control) for thing in objects):
            self._copy.print(*objects, **options)

    def say(self, line: str) -> None:
        """Print a line as it is."""
        self.print(line, **_AS_IT_IS)

    def note(self, line: str) -> None:
        """Write a line into the log alone."""
        self._copy.print(line, **_AS_IT_IS)

    def warn(self, line: str) -> None:
        """Print a line to the standard error stream, and in the log."""
        say_error(line)
        self.note(line)


_AS_IT_IS: dict[str, Any] = {"highlight": False, "markup": False, "emoji": False, "soft_wrap": True}


def _plain(file: io.TextIOBase) -> dict[str, Any]:
    """Return the options of a console that writes plain lines of COLUMNS columns to a file."""
    return {"file": file, "width": COLUMNS, "color_system": None, "force_terminal": False, "force_jupyter": False}


class _LineFile(io.TextIOBase):
    """Hands what is written to it to the log."""

    def __init__(self, log: StudyLog) -> None:
        self._log = log

    def write(self, text: str) -> int:
        self._log.write(text)
        return len(text)


class Notebook(io.TextIOBase):
    """Shows all that is written to it, and below it the lines of the moment, in one display of a notebook."""

    def __init__(self) -> None:
        from IPython.display import display

        self._written = ""
        self._below = ""
        self._handle: Any = display({"text/plain": ""}, raw=True, display_id=True)

    def write(self, text: str) -> int:
        self._written += text
        self._show()
        return len(text)

    def show_below(self, text: str) -> None:
        """Show this text below all that was written; it replaces the text that was there."""
        self._below = text
        self._show()

    def _show(self) -> None:
        self._handle.update({"text/plain": self._written + self._below}, raw=True)
