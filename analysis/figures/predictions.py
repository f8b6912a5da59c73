"""Figures of the predictions and of repeated pictures: pure functions from arrays to matplotlib figures.

`columns` is 2 for a page and 1 for a phone.
"""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from analysis.figures.drawing.axes import canvas, width
from analysis.figures.drawing.files import hover
from analysis.figures.drawing.style import FAINT, RIGHT, STYLE, WRONG, key, label, look
from analysis.numbers import percent

# At most 40 classes have a row. If there are more, the 15 lowest and the 15 highest have one.
_MOST_CLASSES, _EACH_END = 40, 15
_KINDS_OF_REPEATS = {
    "train and test": "in training and test",
    "within test": "twice in the test set",
    "two labels": "under two labels",
}
# Inches: an image, the title above a pair, a line of text, and the space below a pair.
_SIZE, _TITLE, _LINE, _SPACE = 1.3, 0.25, 11.5 / 72, 0.2


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


def shown_classes(scores: Sequence[np.ndarray]) -> list[int]:
    """Return the classes that `class_f1` shows, in its order.

    Args:
        scores: F1 of each network, float64 [seeds, n_classes]. With more than 40 classes, the 15 with the lowest and
            the 15 with the highest mean over networks are shown, lowest first.
    """
    means = _mean(np.array([_mean(values) for values in scores]))
    if len(means) <= _MOST_CLASSES:
        return list(range(len(means)))
    order = [int(row) for row in np.argsort(means, kind="stable") if np.isfinite(means[row])]
    return [*order[:_EACH_END], *order[_EACH_END:][-_EACH_END:]]


@mpl.rc_context(STYLE)
def class_f1(
    scores: Mapping[str, np.ndarray],
    intervals: Mapping[str, np.ndarray],
    classes: Sequence[str],
    places: Sequence[int],
    columns: int = 2,
) -> Figure:
    """Draw the F1 of each of the `shown_classes`: the mean over seeds as a point, its 95 % interval as a bar.

    Args:
        scores: F1 by the title of the network, in [0, 1], float64 [seeds, n_classes]; NaN if it is not defined.
        intervals: both limits by the title of the network, in [0, 1], float64 [2, n_classes]; NaN if not known.
        classes: names of the classes.
        places: the place of each network in the order of the study.
        columns: 2 for a page, 1 for a phone.
    """
    means = np.array([_mean(values) for values in scores.values()]).reshape(len(scores), len(classes))
    rows = shown_classes(list(scores.values()))
    heights = np.arange(len(rows), dtype=float)
    is_cut = len(classes) > _MOST_CLASSES
    if is_cut:
        heights[_EACH_END:] += 1
    figure = Figure(
        figsize=(width(columns), 1.1 + max(0.17 + 0.05 * (len(scores) > 2), 0.3 - 0.004 * len(rows)) * len(rows))
    )
    ax = figure.subplots()
    handles = []
    for index, title in enumerate(scores):
        colour, marker = look(places[index])
        # The networks share 0.5 of a row, one below the other.
        y = heights + 0.5 * (index + 0.5) / len(scores) - 0.25
        ax.hlines(y, *(100 * intervals[title][:, rows]), color=colour, linewidth=1.4, alpha=0.6)
        (points,) = ax.plot(100 * means[index, rows], y, marker, color=colour, markersize=4.5)
        known = [row for row in rows if np.isfinite(means[index, row])]
        hover(
            points, *(_f1_in_words(title, classes[row], means[index, row], intervals[title][:, row]) for row in known)
        )
        handles.append(key(label(title, 36), color=colour, marker=marker, markersize=4.5, linestyle="-", linewidth=1.4))
    ax.set_yticks(heights, [label(classes[row], 24 if columns > 1 else 14) for row in rows])
    ax.set_ylim(max([*heights, 0]) + 0.5, -0.5)
    if is_cut:
        hidden = len(classes) - len(rows)
        say_hidden = f"{hidden} classes between are not shown"
        ax.text(0.5, _EACH_END, say_hidden, transform=ax.get_yaxis_transform(), ha="center", va="center", color=FAINT)
    ax.set(xlabel="F1 (%)", ylabel="class")
    figure.legend(handles=handles, loc="outside lower center", ncols=2 if columns > 1 else 1)
    return figure


@mpl.rc_context(STYLE)
def sample_predictions(
    images: np.ndarray,
    truths: Sequence[str],
    said: Mapping[str, Sequence[tuple[str, float]]],
    files: Sequence[str] = (),
    columns: int = 2,
) -> Figure:
    """Draw test images, each with its true class and the answer and probability of every network.

    Args:
        images: uint8 [k, height, width, 3].
        truths: true class names [k].
        said: by the title of the network, a class name and a probability in [0, 1] for each image [k].
        files: the path of each image's file [k], if it has one. The figure shows its last part, and all on hover.
        columns: 2 for a page, 1 for a phone.
    """
    across, lines = 2 * columns, 2 * len(said) + bool(files)
    # Inches: an image, its title, and a line of text below it.
    size, title_height, line_height = 1.3, 0.25, 11.5 / 72
    row_height = size + title_height + line_height * lines + 0.15
    figure, ax = canvas(columns, row_height * max(1, -(-len(images) // across)))
    for index, (image, truth) in enumerate(zip(images, truths, strict=True)):
        centre, top = (index % across + 0.5) * width(columns) / across, index // across * row_height + title_height
        extent = (centre - size / 2, centre + size / 2, top + size, top)
        ax.imshow(image, interpolation="none", aspect="auto", extent=extent)
        ax.text(centre, top - 4 / 72, label(truth, 20), ha="center", fontsize=9, fontweight="bold")
        below: list[tuple[str, str]] = [(label(files[index].rsplit("/")[-1], 22), FAINT)] if files else []
        for title, answers in said.items():
            name, probability = answers[index]
            mark, colour = ("✓", RIGHT) if name == truth else ("✗", WRONG)
            below += [
                (f"{mark} {label(title, 20)}:", colour),
                (f"{label(name, 16)}, {100 * probability:.0f} %", colour),
            ]
        for line, (text, colour) in enumerate(below):
            y = top + size + 3 / 72 + line_height * line
            shown = ax.text(centre, y, text, ha="center", va="top", color=colour)
            if files and not line:
                hover(shown, files[index])
    return figure


@mpl.rc_context(STYLE)
def repeated_pictures(images: np.ndarray, rows: Sequence[tuple[str, str, str, str]], columns: int = 2) -> Figure:
    """Draw pairs of images that show the same picture, side by side with their names.

    Args:
        images: uint8 [k, 2, size, size, 3].
        rows: for each pair its kind, the names of both images, and how alike they are. The figure shows the last part
            of a name below its folders, and all of it on hover.
        columns: pairs side by side: 2 for a page, 1 for a phone.
    """
    height, pair_width = _TITLE + _SIZE + 2 * _LINE + _SPACE, width(columns) / columns
    figure, ax = canvas(columns, height * max(1, -(-len(rows) // columns)))
    for index, (pair, (kind, *names, likeness)) in enumerate(zip(images, rows, strict=True)):
        middle, top = (index % columns + 0.5) * pair_width, index // columns * height + _TITLE
        title = f"{_KINDS_OF_REPEATS.get(kind, kind)}, {likeness}"
        ax.text(middle, top - 4 / 72, label(title, 44), ha="center", fontsize=9, fontweight="bold")
        for side, (image, name) in enumerate(zip(pair, names, strict=True)):
            centre = middle + (side - 0.5) * pair_width / 2
            extent = (centre - _SIZE / 2, centre + _SIZE / 2, top + _SIZE, top)
            ax.imshow(image, interpolation="none", aspect="auto", extent=extent)
            for line, text in enumerate(name.rpartition("/")[::2]):
                y = top + _SIZE + 3 / 72 + line * _LINE
                hover(ax.text(centre, y, label(text, 22), ha="center", va="top", color=FAINT), name)
    return figure


def _f1_in_words(title: str, name: str, mean: float, limits: np.ndarray) -> str:
    interval = f" (95 % interval {' to '.join(map(percent, limits))} %)" if np.isfinite(limits).all() else ""
    return f"{title}, {name}: F1 {percent(mean)} %{interval}"


def _mean(values: np.ndarray) -> np.ndarray:
    """Return the mean over the first axis. NaN does not count; if all values are NaN, so is the mean."""
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(axis=0)
    mean: np.ndarray = np.divide(total, known.sum(axis=0), out=np.full(total.shape, np.nan), where=known.any(axis=0))
    return mean
