"""Figures of the predictions: pure functions from arrays to matplotlib figures.

`columns` is 2 for a page and 1 for a phone.
"""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.figures.style import FAINT, INK, RIGHT, STYLE, WRONG, label, look, width

# At most 40 classes, because more do not fit as rows; the hardest ones are shown.
_MOST_CLASSES = 40


@mpl.rc_context(STYLE)
def confusion_matrix(predictions: np.ndarray, labels: np.ndarray, classes: Sequence[str], title: str = "") -> Figure:
    """Draw the share of each true class (row) that got each class as the answer, as a mean over seeds; rows sum to 1.

    Args:
        predictions: predicted classes, int64 [seeds, n_test].
        labels: true classes, int64 [n_test]. The row of a class that does not occur stays empty.
        classes: names of the classes. Up to 12 classes have percentages in the cells, up to 40 have names on the axes.
        title: title of the figure.
    """
    n = len(classes)
    counts = np.zeros((n, n))
    np.add.at(counts, (np.broadcast_to(labels, predictions.shape), predictions), 1)
    total = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, total, out=np.full_like(counts, np.nan), where=total > 0)
    figure = Figure(figsize=(3.6, 3.7) if n <= 12 else (5.4, 4.8))
    ax = figure.subplots()
    image = ax.imshow(100 * shares, cmap="Blues", vmin=0, vmax=100, interpolation="nearest")
    ax.grid(False)
    figure.suptitle(label(title, 40), x=0.02, ha="left", fontsize=9, fontweight="bold")
    ax.set(xlabel="predicted class", ylabel="true class")
    if n <= 40:
        names, small = [label(name, 14) for name in classes], 7.5 if n <= 20 else 5.5
        ax.set_xticks(range(n), names, rotation=90 if max(map(len, names)) > 2 else 0, fontsize=small)
        ax.set_yticks(range(n), names, fontsize=small)
    else:
        ax.set(xlabel="number of the predicted class", ylabel="number of the true class")
    if n > 12:
        figure.colorbar(image, ax=ax, shrink=0.7, label="share of the true class (%)")
        return figure
    for (row, column), share in np.ndenumerate(shares):
        if share > 0:
            text = "<1" if share < 0.01 else ">99" if 0.99 < share < 1 else f"{100 * share:.0f}"
            colour = "white" if share > 0.67 else INK if share >= 0.01 else FAINT
            ax.text(column, row, text, ha="center", va="center", color=colour, fontsize=6.5 if n > 8 else 8)
    return figure


def f1_by_class(predictions: np.ndarray, labels: np.ndarray, n_classes: int) -> np.ndarray:
    """Return the F1 of each class in [0, 1], float64 [seeds, n_classes]; NaN for a class that does not occur.

    Args:
        predictions: predicted classes, int64 [seeds, n_test].
        labels: true classes, int64 [n_test].
    """
    occurs = np.bincount(labels, minlength=n_classes)
    scores = np.full((len(predictions), n_classes), np.nan)
    for run, said in enumerate(predictions):
        hits = np.bincount(labels[said == labels], minlength=n_classes)
        total = np.bincount(said, minlength=n_classes) + occurs
        np.divide(2 * hits, total, out=scores[run], where=occurs > 0)
    return scores


@mpl.rc_context(STYLE)
def class_f1(
    scores: Mapping[str, np.ndarray], classes: Sequence[str], places: Sequence[int], columns: int = 2
) -> Figure:
    """Draw the F1 of each class: the mean over seeds as a point, the range over seeds as a bar.

    Args:
        scores: F1 by the title of the network, in [0, 1], float64 [seeds, n_classes]; NaN if it is not defined.
        classes: names of the classes, a row each. If there are more than 40, the figure shows the 40 with the lowest
            mean over networks, lowest first.
        places: the place of each network in the order of the study.
        columns: 2 for a page, 1 for a phone.
    """
    means = np.array([_mean(values) for values in scores.values()]).reshape(len(scores), len(classes))
    rows = list(range(len(classes)))
    if len(classes) > _MOST_CLASSES:
        rows = np.argsort(_mean(means), kind="stable")[:_MOST_CLASSES].tolist()
    figure = Figure(figsize=(width(columns), 1.0 + max(0.17, min(0.3, 6 / len(rows))) * len(rows)))
    ax = figure.subplots()
    handles = []
    for index, (title, values) in enumerate(scores.items()):
        colour, marker = look(places[index])
        # The networks share 0.4 of a row, one below the other.
        y = np.arange(len(rows)) + 0.4 * (index + 0.5) / len(scores) - 0.2
        shown = 100 * values[:, rows]
        ax.hlines(y, shown.min(axis=0), shown.max(axis=0), color=colour, linewidth=1.4, alpha=0.6)
        ax.plot(100 * means[index, rows], y, marker, color=colour, markersize=5, markeredgecolor="white")
        handles.append(Line2D([], [], color=colour, marker=marker, markersize=5, linewidth=1.4, label=label(title, 36)))
    ax.set_yticks(range(len(rows)), [label(classes[row], 24) for row in rows])
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set(xlabel="F1 (%)", ylabel="class" if len(rows) == len(classes) else f"class ({len(rows)} hardest)")
    figure.legend(handles=handles, loc="outside lower center", ncols=2 if columns > 1 else 1)
    return figure


@mpl.rc_context(STYLE)
def sample_predictions(
    images: np.ndarray,
    truths: Sequence[str],
    said: Mapping[str, Sequence[tuple[str, float]]],
    columns: int = 2,
) -> Figure:
    """Draw test images, each with its true class and the answer and probability of every network.

    Args:
        images: uint8 [k, height, width, 3].
        truths: true class names [k].
        said: by the title of the network, a class name and a probability in [0, 1] for each image [k].
        columns: 2 for a page, 1 for a phone.
    """
    across = 2 * columns
    rows = max(1, -(-len(images) // across))
    figure = Figure(figsize=(width(columns), rows * (1.4 + 0.3 * len(said))))
    axes = figure.subplots(rows, across, squeeze=False).ravel()
    for ax in axes:
        ax.set_axis_off()
    for index, (ax, image, truth) in enumerate(zip(axes, images, truths, strict=False)):
        ax.imshow(image, interpolation="none")
        ax.set_title(label(truth, 18), loc="center", fontsize=8.5)
        for line, (title, answers) in enumerate(said.items()):
            name, probability = answers[index]
            right = name == truth
            text = f"{'✓' if right else '✗'} {label(title, 16)}:\n{label(name, 14)}, {100 * probability:.0f} %"
            style = {"ha": "center", "va": "top", "fontsize": 7, "color": RIGHT if right else WRONG}
            ax.annotate(text, (0.5, 0), (0, -3 - 21 * line), "axes fraction", "offset points", **style)
    return figure


def _mean(values: np.ndarray) -> np.ndarray:
    """Return the mean over the first axis. NaN does not count; if all values are NaN, so is the mean."""
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(axis=0)
    mean: np.ndarray = np.divide(total, known.sum(axis=0), out=np.full(total.shape, np.nan), where=known.any(axis=0))
    return mean
