"""Shows the work of a stage as tables of fixed columns, or as plain lines."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from study.listeners.work import Row, Unit

# Rows of the table of running units that a terminal of this many lines cannot show are counted.
LINES_FOR_THE_REST = 16
FEWEST_ROWS = 3
# A plain line names every row if there are at most this many, else only the rows with running units.
MOST_ROWS_A_LINE = 2
FEW_SECONDS = 5.0


def tables(rows: Sequence[Row], ended: Sequence[Unit], lines: int) -> RenderableType:
    """Return the stage's rows, its running units, and the units that ended last.

    Args:
        lines: lines of the terminal.
    """
    running = [unit for row in rows for unit in row.running]
    parts: list[RenderableType] = [summary(rows)]
    if running:
        shown = running[: max(FEWEST_ROWS, lines - LINES_FOR_THE_REST - len(rows))]
        parts += [Text(), _running(shown)]
        if len(running) > len(shown):
            parts.append(Text(f"and {len(running) - len(shown)} more"))
    if ended:
        parts += [Text(), _ended(ended)]
    return Group(*parts)


def summary(rows: Sequence[Row]) -> Table:
    """Return a table with a row for each line of work."""
    states = list(dict.fromkeys(state for row in rows for state in row.states))
    table = _table("")
    score = rows[0].score if rows else ""
    for name in ("done", *(state.replace(" ", "\n") for state in states), _two_lines(score), "epochs"):
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


def in_a_line(rows: Sequence[Row]) -> str:
    """Return the rows as one plain line."""
    running = [row for row in rows if row.states.get("running")]
    shown = [describe(row) for row in rows]
    if len(rows) > MOST_ROWS_A_LINE and running:
        done, planned = (sum(getattr(row, count) for row in rows) for count in ("done", "planned"))
        shown = [f"{done}/{planned} done", *(describe(row) for row in running)]
    return "; ".join(shown)


def describe(row: Row) -> str:
    """Return one row in plain words."""
    states = ", ".join(f"{count} {state}" for state, count in row.states.items() if count)
    accuracy = "" if row.accuracy is None else f", {row.score} {row.accuracy:.1%}"
    return (
        f"{row.title} {row.done}/{row.planned}"
        + (f" ({states})" if states else "")
        + f"{accuracy}, {row.epochs} epochs"
    )


def duration(seconds: float) -> str:
    """Return a time in the unit that fits it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def about(seconds: float) -> str:
    """Return a time left, which is not known better than to 5 s."""
    return "a few seconds" if seconds < FEW_SECONDS else f"about {duration(seconds)}"


def _running(units: Sequence[Unit]) -> Table:
    names = list(dict.fromkeys(name for unit in units for name in unit.values))
    table = _table("running", least=20)
    for name, width in (*((name, 8) for name in names), ("epoch", 7), ("val.\nloss", 6)):
        table.add_column(name, justify="right", min_width=width)
    table.add_column("val.\naccuracy", justify="right", min_width=8)
    table.add_column("images/s", justify="right", min_width=8)
    for unit in units:
        table.add_row(
            unit.name,
            *(_value(unit.values.get(name, "")) for name in names),
            f"{unit.epoch}/{unit.max_epochs}",
            "" if unit.loss is None else f"{unit.loss:.3f}",
            "" if unit.accuracy is None else f"{unit.accuracy:.1%}",
            "" if unit.images_per_s is None else f"{unit.images_per_s:,.0f}",
        )
    return table


def _ended(units: Sequence[Unit]) -> Table:
    table = _table("ended last", least=20)
    table.add_column("epochs", justify="right", min_width=7)
    table.add_column("because")
    for unit in units:
        table.add_row(unit.name, str(unit.epoch), unit.end)
    return table


def _table(first: str, least: int = 0) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(first, min_width=least, no_wrap=True)
    return table


def _value(value: float | int | str) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _two_lines(heading: str) -> str:
    return "\n".join(part for part in heading.rpartition(" ")[::2] if part)
