"""Colours, markers and safe text of the figures.

- A colour and a marker mean a network, in every figure. Other things are grey.
- A filled marker means tuned, an open marker means baseline.
- Dashes mean training, a solid line means validation. Dots are lines of reference.

The colours differ for colour-blind readers (CIELAB distance of at least 17 under simulated protanopia, deuteranopia and
tritanopia), and have a contrast of at least 3 on white and on #16191d.
"""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap, to_hex, to_rgb
from matplotlib.lines import Line2D

from analysis.figures.drawing.fonts import families

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#5b753a", "#ce00ef")
MARKERS = ("o", "s", "^", "D", "v", "P")
DASHED, DOTTED = (0, (4, 2)), (0, (1, 2))
# Colours that a dark page replaces (`files.THEME`).
INK, FAINT, GRID, PAPER = "#222222", "#6b6b6b", "#e4e4e4", "#ffffff"
RIGHT, WRONG = "#00664b", "#a84300"
# Colours on a cell of a matrix, which stay as they are on a dark page.
ON_LIGHT, ON_DARK, CELL = "#111111", "#fefefe", "#fdfdfd"

STYLE: dict[Any, Any] = {
    "axes.edgecolor": FAINT,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titley": 1.0,  # the default place; Matplotlib would search for it, which takes a tenth of a report's time
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlecolor": INK,
    "axes.facecolor": "none",
    "figure.constrained_layout.use": True,
    "figure.facecolor": PAPER,
    "font.family": families(),
    "font.size": 8.5,  # at least 8.5 points at the size the page shows, so nothing is drawn smaller
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.2,
    "text.color": INK,
    "text.hinting": "none",
    "svg.fonttype": "none",  # text stays text: small, searchable, and in the reader's fonts
    "svg.hashsalt": "study",  # the same figure gives the same bytes
    "xtick.color": FAINT,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 8.5,
    "ytick.color": FAINT,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 8.5,
}


def look(index: int) -> tuple[str, str]:
    """Return the colour and the marker of the network at this place in the order of the study."""
    return COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]


def face(colour: str, variant: str) -> str:
    """Return the inner colour of a marker: filled if tuned, open if baseline."""
    return colour if variant == "tuned" else PAPER


def shades(colour: str) -> Colormap:
    """Return a colour map from almost white over a colour to a darker one."""
    return LinearSegmentedColormap.from_list("shades", [CELL, colour, _darker(colour)])


def between(low: str, high: str) -> Colormap:
    """Return a colour map from one colour over almost white to another."""
    return LinearSegmentedColormap.from_list("between", [_darker(low), low, CELL, high, _darker(high)])


def readable_on(background: Any) -> str:
    """Return the colour of text, almost black or almost white, that has more contrast on a background."""
    channels = np.array(to_rgb(background[:3]))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    # Black and white have the same contrast on a luminance of 0.18.
    return ON_LIGHT if linear @ (0.2126, 0.7152, 0.0722) > 0.18 else ON_DARK


def label(text: str, width: int = 22) -> str:
    """Make text safe for a figure: printable, cut in the middle to `width` characters, no `$` read as mathematics."""
    shown = printable(text)
    if len(shown) > width:
        shown = shown[: width // 2].rstrip() + "…" + shown[len(shown) - (width - 1) // 2 :].lstrip()
    return shown.replace("$", r"\$")


def printable(text: str) -> str:
    """Return text in which a replacement character stands for each character that cannot be printed."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def say(ax: Axes, text: str) -> None:
    """Write a remark in the middle of a panel that has nothing to draw."""
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=FAINT)


def key(text: str, **style: Any) -> Line2D:
    """Return the entry of a legend, grey unless told otherwise: a marker, or a line if a line style is given."""
    return Line2D([], [], label=text, **{"color": FAINT, "linestyle": "", **style})


def _darker(colour: str) -> str:
    return to_hex(tuple(0.6 * channel for channel in to_rgb(colour)))  # type: ignore[arg-type]
