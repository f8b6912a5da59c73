"""What a figure shows, read back from it."""

import xml.etree.ElementTree as ElementTree

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.drawing import render

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
