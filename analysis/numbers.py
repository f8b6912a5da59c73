"""How numbers and lists are written wherever people read them. A value that is not known is a dash."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

DASH = "\N{EN DASH}"
# At most 12 digits, because more are not read.
_EXACT = 1e12
_SI = (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3))


def number(value: Any, form: str = "") -> str:
    """Write a number by a format specification, with a true minus sign; text, true and false stay as they are.

    Without a specification, a number has three significant digits, or all the digits before its decimal point.
    """
    if isinstance(value, str | bool | np.bool_):
        return str(value)
    if pd.isna(value):
        return DASH
    form = form or (",.0f" if 999.5 <= abs(value) < _EXACT else ",.3g")
    return format(value, form).replace("-", "\N{MINUS SIGN}")


def percent(value: Any, digits: int = 1) -> str:
    """Write a fraction in percent, without the sign."""
    return DASH if pd.isna(value) else number(100 * value, f".{digits}f")


def points(value: Any) -> str:
    """Write a difference of fractions in percentage points, with its sign and two decimals."""
    return DASH if pd.isna(value) else number(100 * value, "+.2f")


def p_value(value: Any) -> str:
    """Write a p value with three decimals."""
    return "<0.001" if not pd.isna(value) and value < 0.001 else number(value, ".3f")


def si(value: Any) -> str:
    """Write a count with three significant digits and an SI prefix."""
    if pd.isna(value):
        return DASH
    prefix, unit = next(((prefix, unit) for prefix, unit in _SI if value >= unit), ("", 1))
    return f"{value / unit:.3g} {prefix}".strip()


def listed(items: Sequence[Any]) -> str:
    """Write a list in words: "a, b and c"."""
    words = [str(item) for item in items]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def plural(amount: int, noun: str) -> str:
    """Write how many there are: "1 trial", "2,000 trials"."""
    return f"{amount:,} {noun}{'s' * (amount != 1)}"


def share(part: int, whole: int) -> str:
    """Write a part of a whole: "3 of 4 (75 %)"."""
    return f"{part} of {whole} ({percent(part / whole, 0)} %)"


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Write rows of cells in aligned columns, a line each. A cell with a line break or another control is quoted."""
    from rich.cells import cell_len  # here, because most modules align nothing

    shown = [[cell if cell.isprintable() else repr(cell) for cell in row] for row in rows]
    n_columns = max(map(len, shown))
    widths = [max(cell_len(row[column]) for row in shown if column < len(row)) for column in range(n_columns)]
    return "\n".join(
        "  ".join(cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=False)).rstrip()
        for row in shown
    )
