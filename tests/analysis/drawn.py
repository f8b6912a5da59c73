"""What a figure shows, read back from it."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text

from analysis.figures.drawing.files import render

# Names that a class or a network may have.
ODD = [
    "$a$",
    "a $ b",
    "<script>alert(1)</script>",
    "猫",
    "a\x00b\n",
    "a very long class name, " * 5,
    r"\frac{",
    "x_1^2",
]


def texts(figure: Figure) -> list[str]:
    """What a reader of the SVG reads; parsing it also shows that it is well-formed."""
    return ["".join(element.itertext()).strip() for element in ElementTree.fromstring(render(figure, "svg")).iter()]


def curves(ax: Axes) -> list[tuple[list[float], list[float]]]:
    return [(list(line.get_xdata()), list(line.get_ydata())) for line in ax.lines]  # type: ignore[arg-type]


def visible(axis: Axis) -> list[Text]:
    """The labels of those ticks that lie within the axis."""
    low, high = sorted(axis.get_view_interval())
    return [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]


def overlaps(labels: Sequence[Text]) -> list[tuple[str, str]]:
    """Neighbouring labels that are printed over each other, once the figure is drawn."""
    return [
        (one.get_text(), other.get_text())
        for one, other in pairwise(labels)
        if one.get_window_extent().overlaps(other.get_window_extent())
    ]
