"""Panels and axes of the figures, with ticks that can be read."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from matplotlib.transforms import Bbox

from analysis.numbers import si


def width(columns: int) -> float:
    """Return the width of a figure in inches: 7.2 on a page (2 columns), 3.7 on a phone (1).

    7.2 inches fit into a printed A4 page, and 3.7 inches into a screen 390 pixels wide, so neither shrinks the text.
    """
    return 7.2 if columns > 1 else 3.7


def canvas(columns: int, height: float) -> tuple[Figure, Axes]:
    """Make a figure of this height in inches with one panel, whose coordinates are inches from the upper left corner.

    A panel for each picture in it would take longer to draw.
    """
    figure = Figure(figsize=(width(columns), height))
    figure.set_layout_engine("none")
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set_axis_off()
    ax.set(xlim=(0, figure.get_figwidth()), ylim=(figure.get_figheight(), 0), autoscale_on=False)
    return figure, ax


def panels(count: int, columns: int, height: float, across: int | None = None) -> tuple[Figure, list[Axes]]:
    """Make a figure of `count` panels, each `height` inches high, at most `across` side by side.

    Args:
        count: the number of panels.
        columns: 2 for a page, 1 for a phone, which gives the width.
        height: the height of a panel in inches.
        across: panels side by side; as many as `columns` if None.
    """
    across = max(1, min(across or columns, count))
    rows = max(1, -(-count // across))
    figure = Figure(figsize=(width(columns), rows * height + 0.35))
    axes = list(figure.subplots(rows, across, squeeze=False, subplot_kw={"axes_class": _Panel}).ravel())
    for ax in axes[count:]:
        ax.set_axis_off()
    return figure, axes[:count]


class _Panel(Axes):
    """Measures its labels once per set of ticks. The layout engine asks twice, which takes a tenth of a figure's time.

    The space that labels take around a panel does not depend on the size of the panel, except through the ticks.
    """

    def get_tightbbox(self, *arguments: Any, **named: Any) -> Bbox | None:
        ticks = (self.xaxis.get_majorticklocs().tolist(), self.yaxis.get_majorticklocs().tolist())
        inner = np.array(self.bbox.extents)
        if getattr(self, "_measured", None) != ticks:
            self._measured = ticks
            outer = super().get_tightbbox(*arguments, **named)
            self._around = None if outer is None else outer.extents - inner
        return None if self._around is None else Bbox.from_extents(*(inner + self._around))


def epoch_axis(ax: Axes, unit: str) -> None:
    """Label a panel of some quantity against epochs, which are whole numbers."""
    ax.set(xlabel="epoch", ylabel=unit)
    ax.xaxis.set_major_locator(MaxNLocator(nbins="auto", steps=[1, 2, 5, 10], integer=True))


def share_limits(axes: Sequence[Axes], log: bool = False) -> None:
    """Give panels of one quantity the same y limits. A few values far above the rest do not stretch them.

    With `log` the axes become logarithmic; everything drawn must be positive. Panels without data stay as they are.
    """
    drawn = [np.asarray(line.get_ydata(), dtype=float) for ax in axes for line in ax.lines]
    values = np.concatenate(drawn) if drawn else np.empty(0)
    values = values[np.isfinite(values)]
    if not len(values):
        return
    low, high = values.min(), min(values.max(), 10 * np.percentile(values, 95))
    pad = (high / low) ** 0.05 * 1.01 if log else 0.05 * (high - low) + 0.1
    for ax in axes:
        if log:
            log_scale(ax, "y", low / pad, high * pad)
        else:
            ax.set_ylim(low - pad, high + pad)


def cost_axis(ax: Axes, values: Sequence[float]) -> None:
    """Make the x axis logarithmic, from somewhat below these positive values to somewhat above."""
    low, high = min(values), max(values)
    pad = max(1.6, (high / low) ** 0.15)
    log_scale(ax, "x", low / pad, high * pad, most=4)


def log_scale(ax: Axes, which: str, low: float, high: float, most: int = 6) -> None:
    """Make the x or y axis logarithmic, with these limits and a few labelled ticks."""
    axis: Any = getattr(ax, f"{which}axis")
    ax.set(**{f"{which}scale": "log", f"{which}lim": (low, high)})
    axis.set_major_locator(FixedLocator(log_ticks(low, high, most)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: si(value)))
    axis.set_minor_locator(NullLocator())


def log_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Return the ticks of a logarithmic axis: at least 2, at most `most`, also within less than a decade.

    Args:
        low: lower limit, above 0.
        high: upper limit, above `low`.
        most: at most this number of ticks, at least 4.
    """
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1,), (1, 3), (1, 2, 5)):
        # A power of ten from text is exact: 10.0**-5 is not 1e-05.
        ticks = [tick for n in exponents for digit in digits if low <= (tick := float(f"{digit}e{n}")) <= high]
        if len(ticks) >= 3:
            return ticks[:: -(-len(ticks) // most)]
    linear = MaxNLocator(min(most, 4), steps=[1, 2, 5, 10], min_n_ticks=3).tick_values(low, high)
    return [float(tick) for tick in linear if low <= tick <= high]
