"""Figures of the networks' mistakes: pure functions from arrays to matplotlib figures.

`columns` is 2 for a page and 1 for a phone. A matrix of counts has a row a true class and a column a predicted class.
"""

from collections.abc import Callable, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from analysis.figures.drawing.axes import width
from analysis.figures.drawing.files import hover
from analysis.figures.drawing.style import FAINT, STYLE, between, label, readable_on, say, shades
from analysis.numbers import number

# At most 12 classes have numbers in the cells, because the cells of more are too small.
_MOST_CELLS = 12
# At most 40 classes have a matrix on a page, and 20 on a phone, because the names of more do not fit beside it.
_MOST_ROWS = {2: 40, 1: 20}
# At most 20 confusions are listed in place of a matrix.
_MOST_LISTED = 20


def mean_counts(predictions: np.ndarray, labels: np.ndarray, n_classes: int) -> np.ndarray:
    """Return the number of test images of each true class that got each class as the answer, as a mean over seeds.

    Args:
        predictions: predicted classes, int64 [seeds, n_test].
        labels: true classes, int64 [n_test].
        n_classes: number of classes.

    Returns:
        float64 [n_classes, n_classes].
    """
    counts = np.zeros((n_classes, n_classes))
    np.add.at(counts, (np.broadcast_to(labels, predictions.shape), predictions), 1)
    return counts / len(predictions)


@mpl.rc_context(STYLE)
def confusion_matrix(counts: np.ndarray, classes: Sequence[str], title: str, colour: str, columns: int = 2) -> Figure:
    """Draw the share of each true class that got each class as the answer. The shares of a row add up to 100 %.

    Up to 12 classes have percentages in the cells, and on a page the numbers of images below. If there are more classes
    than rows fit, the figure lists the largest confusions.

    Args:
        counts: a result of `mean_counts`. The row of a class that does not occur stays empty.
        classes: names of the classes.
        title: name of the group.
        colour: colour of the network.
        columns: 2 for a page, 1 for a phone.
    """
    shares = _shares(counts)
    if len(classes) > _MOST_ROWS[columns]:
        return _largest(shares, counts, classes, title, (colour, colour), columns)
    figure = _matrix(shares, (0, 100), shades(colour), classes, title, columns)
    if len(classes) <= _MOST_CELLS:
        _write_cells(figure, shares, counts, _share, _count, columns)
    else:
        _add_bar(figure, (0, 100), shades(colour), "share of the true class (%)")
    return figure


@mpl.rc_context(STYLE)
def confusion_difference(
    counts: tuple[np.ndarray, np.ndarray],
    classes: Sequence[str],
    titles: tuple[str, str],
    colours: tuple[str, str],
    columns: int = 2,
) -> Figure:
    """Draw the shares of A's confusion matrix minus the shares of B's, in percentage points.

    A cell off the diagonal has the colour of the network that makes the mistake more often. A cell on the diagonal has
    the colour of the network that is right more often.

    Args:
        counts: results of `mean_counts` for A and B.
        classes: names of the classes.
        titles: names of the groups A and B.
        colours: colours of the networks A and B.
        columns: 2 for a page, 1 for a phone.
    """
    difference, images = _shares(counts[0]) - _shares(counts[1]), counts[0] - counts[1]
    title = "\n\N{MINUS SIGN} ".join(titles)
    if len(classes) > _MOST_ROWS[columns]:
        figure = _largest(difference, images, classes, title, colours, columns)
    else:
        furthest = max(1.0, float(np.nanmax(np.abs(difference), initial=0)))
        limits, colour_map = (-furthest, furthest), between(colours[1], colours[0])
        figure = _matrix(difference, limits, colour_map, classes, title, columns)
        if len(classes) <= _MOST_CELLS:
            _write_cells(figure, difference, images, _points, lambda value: number(value, "+.1f"), columns)
        else:
            _add_bar(figure, limits, colour_map, "percentage points")
    handles = [
        Patch(color=colour, label=f"more often {label(title, 36)}")
        for title, colour in zip(titles, colours, strict=True)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=columns)
    return figure


def _shares(counts: np.ndarray) -> np.ndarray:
    """Return the percentages of each row, float64 [n, n]; NaN in a row without images."""
    total = counts.sum(axis=1, keepdims=True)
    shares: np.ndarray = np.divide(100 * counts, total, out=np.full_like(counts, np.nan), where=total > 0)
    return shares


def _matrix(
    values: np.ndarray,
    limits: tuple[float, float],
    colours: Colormap,
    classes: Sequence[str],
    title: str,
    columns: int,
) -> Figure:
    n = len(classes)
    row = (0.34 if columns > 1 else 0.25) if n <= _MOST_CELLS else 0.15
    names = [label(name, 16 if columns > 1 else 10) for name in classes]
    is_long = max(map(len, names)) > 2
    figure = Figure(figsize=(width(columns), max(1.2, row * n) + 1.0 + 0.075 * is_long * max(map(len, names))))
    ax = figure.subplots()
    ax.imshow(values, cmap=colours, vmin=limits[0], vmax=limits[1], interpolation="none", aspect="auto")
    ax.grid(False)
    shown = "\n".join(label(line, 60 if columns > 1 else 34) for line in title.split("\n"))
    figure.suptitle(shown, x=0.02, ha="left", fontsize=9, fontweight="bold")
    ax.set(xlabel="predicted class", ylabel="true class")
    ax.set_xticks(range(n), names, rotation=90 if is_long else 0)
    ax.set_yticks(range(n), names)
    ax.tick_params(length=0)
    return figure


def _add_bar(figure: Figure, limits: tuple[float, float], colours: Colormap, unit: str) -> None:
    figure.colorbar(ScalarMappable(Normalize(*limits), colours), ax=figure.axes[0], shrink=0.7, label=unit)


def _write_cells(
    figure: Figure,
    shares: np.ndarray,
    counts: np.ndarray,
    write_share: Callable[[float, int], str],
    write_count: Callable[[float], str],
    columns: int,
) -> None:
    """Write the share into each cell of a matrix, and on a page the number of images below."""
    (ax,) = figure.axes
    colours = ax.images[0].to_rgba(shares)
    for row, column in np.argwhere(counts):
        if text := write_share(float(shares[row, column]), columns):
            text = f"{text}\n{write_count(counts[row, column])}" if columns > 1 else text
            style: dict[str, Any] = {"ha": "center", "va": "center", "linespacing": 1.0, "in_layout": False}
            ax.text(column, row, text, color=readable_on(colours[row, column]), **style)


def _share(share: float, columns: int) -> str:
    text = "<1" if share < 1 else ">99" if 99 < share < 100 else f"{share:.0f}"
    return f"{text} %" if columns > 1 else text.replace(">99", "99")


def _count(count: float) -> str:
    return number(count, ".0f" if count >= 10 or count == round(count) else ".1f")


def _points(difference: float, columns: int) -> str:
    """Write a difference with its sign, or nothing if it would be rounded to 0."""
    digits = 1 if columns > 1 else 0
    return number(difference, f"+.{digits}f") if round(abs(difference), digits) else ""


def _largest(
    values: np.ndarray,
    counts: np.ndarray,
    classes: Sequence[str],
    title: str,
    colours: tuple[str, str],
    columns: int,
) -> Figure:
    """Draw the confusions of largest absolute value as bars, the first colour above 0 and the second below."""
    mistakes = np.where(np.eye(len(classes), dtype=bool) | np.isnan(values), 0.0, values)
    order = np.argsort(-np.abs(mistakes), axis=None, kind="stable")[:_MOST_LISTED]
    pairs = [divmod(int(place), len(classes)) for place in order if mistakes.flat[place]]
    figure = Figure(figsize=(width(columns), 1.3 + 0.2 * max(3, len(pairs))))
    ax = figure.subplots()
    heading = f"{title}\nthe {len(pairs)} largest confusions of {len(classes)} classes"
    shown = "\n".join(label(line, 60 if columns > 1 else 40) for line in heading.split("\n"))
    figure.suptitle(shown, x=0.02, ha="left", fontsize=9, fontweight="bold")
    is_signed = min((mistakes[pair] for pair in pairs), default=0) < 0
    unit = "percentage points" if is_signed else "share of the true class (%)"
    size = 20 if columns > 1 else 11
    for row, pair in enumerate(pairs):
        value, images = mistakes[pair], counts[pair]
        (bar,) = ax.barh([row], [value], color=colours[int(value < 0)], height=0.7)
        text = number(value, "+.1f" if is_signed else ".1f")
        shown_images = number(images, "+.1f" if is_signed else ".1f")
        hover(bar, f"{classes[pair[0]]}, taken for {classes[pair[1]]}: {text} ({shown_images} images)")
        text = f"{text} ({shown_images})" if columns > 1 else text
        # To the right of the bar, or to the right of 0 if the bar goes to the left.
        ax.annotate(text, (max(value, 0), row), (3, 0), textcoords="offset points", va="center", color=FAINT)
    ax.set_yticks(range(len(pairs)), [" → ".join(label(classes[place], size) for place in pair) for pair in pairs])
    ax.set_ylim(max(3, len(pairs)) - 0.5, -0.5)
    ax.set(xlabel=f"{unit}, in brackets images" if columns > 1 else unit, ylabel="true class → answer")
    ax.margins(x=0.2)
    ax.grid(False, axis="y")
    ax.set_axisbelow(True)
    if not pairs:
        say(ax, "no mistakes")
        ax.set(xticks=[], yticks=[])
    return figure
