"""The page of a report: templates, and how numbers are written in them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from analysis.figures.catalogue import listed

_SI = (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3))
_MISSING = "\N{EN DASH}"
# Fewer test images than this do not carry a second decimal of a percentage.
_TWO_DECIMALS_FROM = 1000


def render_page(n_test: int, **shown: Any) -> str:
    """The HTML of report.html.

    Args:
        n_test: number of test images, which decides how many decimals a percentage has.
        shown: what the templates show, by the names that they use.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(_formats(2 if n_test >= _TWO_DECIMALS_FROM else 1), listed=listed)
    return environment.get_template("report.html.j2").render(**shown)


def _formats(digits: int) -> dict[str, Callable[..., str]]:
    """How values are written; whatever is missing is a dash."""

    def percent(value: Any) -> str:
        return _MISSING if pd.isna(value) else f"{100 * value:.{digits}f}"

    def accuracy(row: dict[str, Any]) -> str:
        deviation = "" if pd.isna(row["accuracy_sd"]) else f" ± {percent(row['accuracy_sd'])}"
        return percent(row["accuracy"]) + deviation

    def interval(limits: tuple[Any, Any]) -> str:
        low, high = limits
        return _MISSING if pd.isna(low) else f"[{percent(low)}, {percent(high)}]"

    def points(value: Any) -> str:
        return _MISSING if pd.isna(value) else f"{100 * value:+.2f}".replace("-", "\N{MINUS SIGN}")

    def p_value(value: Any) -> str:
        return _MISSING if pd.isna(value) else "<0.001" if value < 0.001 else f"{value:.3f}"

    def number(value: Any, form: str = ",.3g") -> str:
        return _MISSING if pd.isna(value) else format(value, form).replace("-", "\N{MINUS SIGN}")

    def si(value: Any) -> str:
        if pd.isna(value):
            return _MISSING
        prefix, unit = next(((prefix, unit) for prefix, unit in _SI if value >= unit), ("", 1))
        return f"{value / unit:.3g} {prefix}".strip()

    return {function.__name__: function for function in (percent, accuracy, interval, points, p_value, number, si)}
