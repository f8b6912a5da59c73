"""The progress of a study on the screen: a live table on a terminal, else plain lines."""

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

PLAIN_LINE_EVERY_SECONDS = 10.0
# A plain line names every row if there are at most this many, else only the rows with running units.
MOST_ROWS_A_LINE = 2


@dataclass
class Row:
    """Holds the progress of one line of work.

    Attributes:
        title: shown first, such as "AlexNet".
        planned: number of trials or runs planned, the units of the row.
        states: number of units by state, such as `{"running": 1, "pruned": 2}`. Units in `running` are not done.
        accuracy: in [0, 1] so far, if there is any.
        score: name of the accuracy, such as "best" or "mean".
        epochs: epochs trained so far.
        seconds: seconds of training spent so far.
        under_way: the part of `seconds` in units that run.
        replayed: the part of `seconds` that a checkpoint held. It was spent before this stage.
    """

    title: str
    planned: int
    states: dict[str, int] = field(default_factory=dict)
    accuracy: float | None = None
    score: str = "best"
    epochs: int = 0
    seconds: float = 0.0
    under_way: float = 0.0
    replayed: float = 0.0

    @property
    def done(self) -> int:
        return sum(count for state, count in self.states.items() if state != "running")


class Screen(Console):
    """Writes to standard output. If its reader leaves, as `head` does, the study goes on and shows nothing more."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        # The interpreter flushes its buffer when it ends, which would break the pipe again.
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())


class Progress:
    """Shows the rows of the stage that is under way. Use as a context manager.

    Args:
        console: draws a live table if it is a terminal.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._stage = ""
        self._started = 0.0
        self._already_done: dict[str, float] = {}
        self._last_line = 0.0

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = Live(console=self._console, refresh_per_second=4)
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, message: str) -> None:
        """Print a line that stays."""
        self._console.print(message, highlight=False, markup=False, emoji=False, soft_wrap=True)

    def begin(self, stage: str, rows: Sequence[Row]) -> None:
        """Begin a stage. Seconds that the rows have spent already do not count for the time left."""
        self._stage = stage
        self._started = time.monotonic()
        self._already_done = {row.title: row.seconds for row in rows}
        self._last_line = float("-inf")
        self.update(rows)

    def update(self, rows: Sequence[Row]) -> None:
        """Show the rows as they stand now."""
        left = self._seconds_left(rows)
        if self._live is not None:
            self._live.update(Group(Text(f"{self._stage}{_left(left)}", style="bold"), _table(rows)))
        elif time.monotonic() - self._last_line >= PLAIN_LINE_EVERY_SECONDS:
            self._print_line(rows, left)

    def finish(self, rows: Sequence[Row]) -> None:
        """End the stage and keep its last state on the screen."""
        seconds = time.monotonic() - self._started
        if self._live is not None:
            self._live.update(Text(""), refresh=True)
            self._console.print(Group(Text(f"{self._stage}: done in {_duration(seconds)}", style="bold"), _table(rows)))
        else:
            for row in rows:
                self.say(f"{self._stage}: {_describe(row)}")
            self.say(f"{self._stage}: done in {_duration(seconds)}")

    def _print_line(self, rows: Sequence[Row], left: float | None) -> None:
        self._last_line = time.monotonic()
        running = [row for row in rows if row.states.get("running")]
        shown = [_describe(row) for row in rows]
        if len(rows) > MOST_ROWS_A_LINE and running:
            done, planned = (sum(getattr(row, count) for row in rows) for count in ("done", "planned"))
            shown = [f"{done}/{planned} done", *(_describe(row) for row in running)]
        self.say(f"{self._stage}{_left(left)}: {'; '.join(shown)}")

    def _seconds_left(self, rows: Sequence[Row]) -> float | None:
        """Divide the work left by the pace so far; None until every row with work left has some done."""
        spent = sum(row.seconds - row.replayed - self._already_done.get(row.title, 0.0) for row in rows)
        if spent <= 0 or any(row.done == 0 and row.planned > 0 for row in rows):
            return None
        work_left = sum(
            max(0.0, (row.planned - row.done) * (row.seconds - row.under_way) / row.done - row.under_way)
            for row in rows
            if row.done
        )
        return work_left * (time.monotonic() - self._started) / spent


def _table(rows: Sequence[Row]) -> Table:
    states = list(dict.fromkeys(state for row in rows for state in row.states))
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for name in ("done", *states, rows[0].score if rows else "", "epochs"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            row.title,
            f"{row.done}/{row.planned}",
            *(str(row.states.get(state, 0)) for state in states),
            "" if row.accuracy is None else f"{row.accuracy:.1%}",
            str(row.epochs),
        )
    return table


def _describe(row: Row) -> str:
    states = ", ".join(f"{count} {state}" for state, count in row.states.items() if count)
    accuracy = "" if row.accuracy is None else f", {row.score} {row.accuracy:.1%}"
    return (
        f"{row.title} {row.done}/{row.planned}"
        + (f" ({states})" if states else "")
        + f"{accuracy}, {row.epochs} epochs"
    )


def _left(seconds: float | None) -> str:
    return "" if seconds is None else f", about {_duration(seconds)} left"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
