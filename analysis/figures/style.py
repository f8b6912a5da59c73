"""The style of the figures, safe text, panels and axes, and files that have the same bytes each time.

Colour-blind readers can tell the colours apart (Okabe and Ito, 2008). Markers and line styles repeat the colours, so
that a grey print can be read.
"""

import io
import warnings
from collections.abc import Sequence
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator, MaxNLocator, NullLocator

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P")
DASHED = (0, (4, 2))
# One line style a network, so that lines can be told apart without their colours.
LINES: tuple[Any, ...] = ("-", DASHED, (0, (1, 1)), (0, (6, 1.5, 1, 1.5)), (0, (8, 3)), (0, (2, 3)))
INK, FAINT = "#222222", "#737373"
RIGHT, WRONG = "#00664b", "#a84300"

STYLE: dict[Any, Any] = {
    "axes.edgecolor": "#666666",
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titley": 1.0,  # the default place; Matplotlib would search for it, which takes a tenth of a report's time
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "figure.constrained_layout.use": True,
    "font.size": 8.5,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.2,
    "svg.fonttype": "none",  # text stays text: small, searchable, and in the reader's fonts
    "svg.hashsalt": "study",  # the same figure gives the same bytes
    "xtick.color": "#444444",
    "ytick.color": "#444444",
}


def look(index: int) -> tuple[str, str]:
    """Return the colour and the marker of the network at this place in the order of the study."""
    return COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]


def label(text: str, width: int = 22) -> str:
    """Make text safe for a figure: printable, cut in the middle to `width` characters, no `$` read as mathematics."""
    shown = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    if len(shown) > width:
        shown = shown[: width // 2].rstrip() + "…" + shown[len(shown) - (width - 1) // 2 :].lstrip()
    return shown.replace("$", r"\$")


def render(figure: Figure, kind: Literal["svg", "png"]) -> bytes:
    """Return the figure as a file, PNG at 150 dots an inch. The same figure gives the same bytes.

    The first call lays the figure out. Later calls keep that layout.
    """
    buffer = io.BytesIO()
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        # Matplotlib's font may lack the script of a class name. An SVG shows it in the reader's font.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        # savefig would draw everything twice.
        figure.set_dpi(150)
        if kind == "svg":
            FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
        else:
            FigureCanvasAgg(figure).print_png(buffer)
    figure.set_layout_engine("none")
    return buffer.getvalue()


def width(columns: int) -> float:
    """Return the width of a figure in inches, on a page (2 columns) or a phone (1)."""
    return 8.5 if columns > 1 else 3.9


def panels(count: int, columns: int, height: float) -> tuple[Figure, list[Axes]]:
    """Make a figure of `count` panels, each `height` inches high, at most `columns` side by side."""
    across = max(1, min(columns, count))
    rows = max(1, -(-count // across))
    figure = Figure(figsize=(width(columns), rows * height + 0.35))
    axes = list(figure.subplots(rows, across, squeeze=False).ravel())
    for ax in axes[count:]:
        ax.set_axis_off()
    return figure, axes[:count]


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
            ax.set_yscale("log")
            decades = np.log10(high / low)
            ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 2.5 else (1,), numticks=10))
            ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            ax.yaxis.set_minor_locator(NullLocator())
            ax.set_ylim(low / pad, high * pad)
        else:
            ax.set_ylim(low - pad, high + pad)


def log_axis(ax: Axes, values: Sequence[float]) -> None:
    """Make the x axis logarithmic with few ticks, from somewhat below these positive values to somewhat above."""
    low, high = min(values), max(values)
    ax.set_xscale("log")
    ax.set_xlim(low / max(1.6, (high / low) ** 0.15), high * max(1.6, (high / low) ** 0.15))
    few = high / low > 10
    if high / low < 2:
        ax.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    else:
        ax.xaxis.set_major_locator(LogLocator(subs=(1,) if few else (1, 2, 5), numticks=5 if few else 12))
    ax.xaxis.set_major_formatter(EngFormatter(sep="") if high >= 1000 else FuncFormatter(lambda x, _: f"{x:g}"))
    ax.xaxis.set_minor_locator(NullLocator())


def say(ax: Axes, text: str) -> None:
    """Write a remark in the middle of a panel that has nothing to draw."""
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=FAINT)
