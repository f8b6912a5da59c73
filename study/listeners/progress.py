"""The progress of a study: a live table on a terminal or in a notebook, else plain lines."""

import io
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from study.listeners.display import about, describe, duration, in_a_line, summary, tables
from study.listeners.screen import COLUMNS, Screen
from study.listeners.work import Pace, Row, Unit, seconds_left
from study.plan.estimate import Forecast

PLAIN_LINE_EVERY_SECONDS = 10.0
# The log has a line at least this often while a terminal shows a table, because a table leaves no trace.
LOG_LINE_EVERY_SECONDS = 60.0
# Plain output has a line at least this often though nothing changes, because a silent study looks as if it hung.
HEARTBEAT_EVERY_SECONDS = 60.0
# A notebook is updated at most this often, because each update goes over the network to a browser.
NOTEBOOK_EVERY_SECONDS = 1.0
ENDED_SHOWN = 3


class Progress:
    """Shows what a study is doing. Use as a context manager.

    Args:
        screen: draws a live table if it is a terminal.
        quiet: True shows nothing, and writes the log alone.
    """

    def __init__(self, screen: Screen, quiet: bool = False) -> None:
        self.screen = screen
        self.quiet = quiet
        self._live: Live | None = None
        self._spinner = Spinner("dots")
        self._begun = time.monotonic()
        self._doing = "Starting"
        self._stages: Sequence[str] = ()
        self._forecast: Forecast | None = None
        self._stage = ""
        self._rows: Sequence[Row] = ()
        self._left = ""
        self._ended: tuple[Unit, ...] = ()
        self._whole_epochs: dict[str, list[int]] = defaultdict(list)
        self._started = 0.0
        self._working_since: float | None = None
        self._already_done: dict[str, float] = {}
        self._last_line = 0.0
        self._last_notebook = 0.0

    def __enter__(self) -> Self:
        if self.screen.draws_live and not self.quiet:
            # An error stream that is not the terminal keeps its lines.
            self._live = Live(
                get_renderable=self._render,
                console=self.screen,
                refresh_per_second=4,
                transient=True,
                redirect_stderr=sys.stderr.isatty(),
            )
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Take the live table away; lines that are printed later are the last ones."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        if self.screen.notebook is not None:
            self.screen.notebook.show_below("")

    def say(self, message: str) -> None:
        """Print a line that stays."""
        (self.screen.note if self.quiet else self.screen.say)(message)

    def do(self, what: str, stage: str = "") -> None:
        """Say what the study is doing outside of a stage with rows.

        Args:
            what: such as "Starting Ray".
            stage: name of the stage, if it is one.
        """
        self.show(what, stage)
        (self.screen.say if self._is_plain else self.screen.note)(self._doing)

    def show(self, what: str, stage: str = "") -> None:
        """Show on a terminal or in a notebook what the study is doing for a moment. Plain output has no line of it."""
        self._stage, self._rows, self._doing = "", (), what + self._number(stage)
        self._show_in_notebook()

    def expect(self, stages: Sequence[str], forecast: Forecast | None) -> None:
        """Take up the stages of the study in their order, and the time that they are expected to take."""
        self._stages, self._forecast = stages, forecast

    def begin(self, stage: str, rows: Sequence[Row]) -> None:
        """Begin a stage. Seconds that the rows have spent already do not count for the time left."""
        self._stage = stage
        self._started = time.monotonic()
        self._already_done = {row.title: row.seconds for row in rows}
        self._ended = ()
        self._working_since = None
        self._last_line = self._last_notebook = float("-inf")
        self.update(rows)

    def end(self, unit: Unit) -> None:
        """Take note of a trial or run that has ended."""
        self._ended = (*self._ended, unit)[-ENDED_SHOWN:]
        if unit.is_whole:
            self._whole_epochs[unit.arch].append(unit.epoch)
        self.screen.note(f"{unit.name} ended after {unit.epoch} epochs: {unit.end}")

    def update(self, rows: Sequence[Row]) -> None:
        """Show the rows as they stand now."""
        # Copies, because a thread draws them while the study changes its own.
        self._rows = [replace(row, states=dict(row.states)) for row in rows]
        self._learn(rows)
        self._left = self._time_left()
        every = PLAIN_LINE_EVERY_SECONDS if self._is_plain else LOG_LINE_EVERY_SECONDS
        if time.monotonic() - self._last_line >= every:
            self._last_line = time.monotonic()
            heading = ", ".join(filter(None, (self._heading(), self._left)))
            line = f"{heading}: {in_a_line(rows)}"
            (self.screen.say if self._is_plain else self.screen.note)(line)
        if time.monotonic() - self._last_notebook >= NOTEBOOK_EVERY_SECONDS:
            self._show_in_notebook()

    def beat(self) -> None:
        """Show the rows again if nothing has changed for a while. Call it about once a second."""
        if self._stage and time.monotonic() - self._last_line >= HEARTBEAT_EVERY_SECONDS:
            self.update(self._rows)

    def finish(self, rows: Sequence[Row]) -> None:
        """End the stage and keep its last state on the screen."""
        done = f"{self._stage}: done in {duration(time.monotonic() - self._started)}"
        if self._live is not None:
            self.screen.print(Group(Text(done, style="bold"), summary(rows)))
        else:
            for row in rows:
                self.say(f"{self._stage}: {describe(row)}")
            self.say(done)
        self.show("Preparing the next stage")

    @property
    def _is_plain(self) -> bool:
        return self._live is None and self.screen.notebook is None and not self.quiet

    def _learn(self, rows: Sequence[Row]) -> None:
        """Tell the forecast the mean cost of an epoch and the mean length of a run, by network."""
        if self._forecast is None:
            return
        for arch in {row.arch for row in rows}:
            epochs = sum(row.epochs for row in rows if row.arch == arch)
            whole = self._whole_epochs[arch]
            if epochs:
                seconds = sum(row.seconds for row in rows if row.arch == arch)
                self._forecast.learn(arch, seconds / epochs, sum(whole) / len(whole) if whole else None)

    def _heading(self) -> str:
        """Return the stage, its number, and the time so far."""
        so_far = duration(time.monotonic() - self._begun)
        return f"{self._stage}{self._number(self._stage)}, {so_far} so far"

    def _number(self, stage: str) -> str:
        return f" (stage {self._stages.index(stage) + 1} of {len(self._stages)})" if stage in self._stages else ""

    def _time_left(self) -> str:
        spent = sum(row.seconds - row.replayed - self._already_done.get(row.title, 0.0) for row in self._rows)
        forecast = self._forecast
        if spent <= 0 and forecast is None:
            return ""
        pace = self._pace(spent)

        def expected(arch: str) -> float | None:
            return None if forecast is None else forecast.run_seconds(self._stage, arch)

        left = seconds_left(self._rows, pace, expected)
        if left is None:
            return ""
        if forecast is None:
            return f"{about(left)} left"
        after = forecast.seconds_after(self._stage, pace.factor)
        return f"{about(left)} left, {about(left + after)} left of the study"

    def _pace(self, spent: float) -> Pace:
        """Return the pace of the stage; with a forecast, only since the first workers reported, as they start slowly.

        Args:
            spent: seconds of training in this stage.
        """
        now = time.monotonic()
        if self._forecast is None:
            return Pace(now - self._started, spent, 1)
        if spent > 0 and self._working_since is None:
            self._working_since = now - spent / self._forecast.concurrency
        return Pace(now - (self._working_since or now), spent, self._forecast.concurrency)

    def _render(self) -> RenderableType:
        """Return what the terminal shows; it is asked 4 times a second, so that the time goes on."""
        if not self._stage:
            self._spinner.text = Text(f"{self._doing}, {duration(time.monotonic() - self._begun)} so far")
            return self._spinner
        self._spinner.text = Text(self._heading(), style="bold")
        return Group(self._spinner, Text(self._left), tables(self._rows, self._ended, self.screen.height))

    def _show_in_notebook(self) -> None:
        if self.screen.notebook is None or self.quiet:
            return
        self._last_notebook = time.monotonic()
        drawn = io.StringIO()
        Console(file=drawn, width=COLUMNS, force_jupyter=False).print(self._render())
        self.screen.notebook.show_below(drawn.getvalue())
