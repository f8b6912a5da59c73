"""The figures of a study: pure functions from tables and arrays to matplotlib figures.

`columns` is 2 for a page and 1 for a phone.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.drawing import (
    COLOURS,
    FAINT,
    INK,
    MARKERS,
    RIGHT,
    STYLE,
    WRONG,
    epoch_axis,
    label,
    panels,
    say,
    share_limits,
    width,
)

_DASHED = (0, (4, 2))


@mpl.rc_context(STYLE)
def search_curves(
    history: pd.DataFrame,
    trials: pd.DataFrame,
    architectures: Mapping[str, str],
    chosen: Mapping[str, str] | None = None,
    columns: int = 2,
) -> Figure:
    """Validation accuracy against epoch, a panel an architecture, a line a trial.

    Args:
        history: a row an epoch of a trial: trial_id, epoch, val_accuracy in [0, 1]. May be empty.
        trials: a row a trial: trial_id, arch, status, is_baseline. May be empty.
        architectures: name to title, one panel each.
        chosen: the trial_id to stress, by architecture.
    """
    figure, axes = panels(len(architectures), columns, height=2.6)
    curves = {str(name): curve for name, curve in history.groupby("trial_id")} if len(history) else {}
    nothing = pd.DataFrame({"epoch": [], "val_accuracy": []})
    for index, (ax, (arch, title)) in enumerate(zip(axes, architectures.items(), strict=False)):
        colour, stressed = COLOURS[index % len(COLOURS)], (chosen or {}).get(arch)
        ax.set_title(label(title, 36))
        of_arch = trials[trials["arch"] == arch] if len(trials) else trials
        for trial in of_arch.to_dict("records"):
            curve = curves.get(trial["trial_id"], nothing)
            curve = curve[np.isfinite(curve["val_accuracy"])]
            x, y = curve["epoch"].to_numpy(), 100 * curve["val_accuracy"].to_numpy()
            marker = {"PRUNED": "x", "DIVERGED": "v", "FAILED": "v"}.get(trial["status"], "")
            ax.plot(x, y, color=colour, alpha=0.45, linewidth=0.8)
            ax.plot(x[-1:], y[-1:], color=colour, marker=marker, markersize=4.5, alpha=0.9, linestyle="")
            if trial["is_baseline"]:
                ax.plot(x, y, color="black", linestyle=_DASHED, linewidth=1.5, zorder=4)
            if trial["trial_id"] == stressed:
                ax.plot(x, y, color=colour, linewidth=2.4, zorder=3)
        if not len(of_arch):
            say(ax, "no trials")
        epoch_axis(ax, "validation accuracy (%)")
    share_limits(axes)
    figure.legend(
        handles=[
            Line2D([], [], color="black", linestyle=_DASHED, linewidth=1.5, label="baseline"),
            Line2D([], [], color=FAINT, linewidth=2.4, label="configuration chosen"),
            Line2D([], [], color=FAINT, linewidth=0.8, label="trial"),
            Line2D([], [], color=FAINT, marker="x", linestyle="", label="stopped at a rung"),
            Line2D([], [], color=FAINT, marker="v", linestyle="", label="diverged or failed"),
        ],
        loc="outside lower center",
        ncols=5 if columns > 1 else 2,
    )
    return figure


@mpl.rc_context(STYLE)
def final_curves(histories: Mapping[str, Sequence[pd.DataFrame]], columns: int = 2) -> Figure:
    """Loss and validation accuracy against epoch of final runs, two panels a group.

    A seed is a faint line; the mean is drawn as far as at least half of the runs were still training, and is theirs.

    Args:
        histories: for each group's title a table a seed: epoch, train_loss, val_loss, val_accuracy in [0, 1].
    """
    figure, axes = panels(2 * len(histories), columns, height=2.1)
    for index, (title, tables) in enumerate(histories.items()):
        loss, accuracy = axes[2 * index], axes[2 * index + 1]
        _runs(loss, tables, "train_loss", 1, COLOURS[0], _DASHED)
        _runs(loss, tables, "val_loss", 1, COLOURS[1], "-")
        _runs(accuracy, tables, "val_accuracy", 100, COLOURS[1], "-")
        for ax, unit in ((loss, "cross-entropy (nats)"), (accuracy, "validation accuracy (%)")):
            ax.set_title(label(title, 36))
            epoch_axis(ax, unit)
    share_limits(axes[0::2], log=True)
    share_limits(axes[1::2])
    figure.legend(
        handles=[
            Line2D([], [], color=COLOURS[0], linestyle=_DASHED, linewidth=1.8, label="training"),
            Line2D([], [], color=COLOURS[1], linewidth=1.8, label="validation"),
            Line2D([], [], color=FAINT, linewidth=0.7, label="one seed"),
        ],
        loc="outside lower center",
        ncols=3,
    )
    return figure


@mpl.rc_context(STYLE)
def confusion_matrix(predictions: np.ndarray, labels: np.ndarray, classes: Sequence[str], title: str = "") -> Figure:
    """Share of each true class (row, so that rows sum to 1) that was taken for each class, mean over seeds.

    Args:
        predictions: predicted classes, int64 [seeds, n_test].
        labels: true classes, int64 [n_test]; the row of a class that does not occur stays empty.
        classes: their names. Up to 12 have their shares in the cells in percent, up to 40 their names on the axes.
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
            colour = "white" if share > 0.55 else INK if share >= 0.01 else FAINT
            ax.text(column, row, text, ha="center", va="center", color=colour, fontsize=6.5 if n > 8 else 8)
    return figure


@mpl.rc_context(STYLE)
def accuracy_by_group(groups: Mapping[str, Mapping[str, Any]], columns: int = 2) -> Figure:
    """Test accuracy: every seed as an open point, the mean as a filled one, its 95 % interval as a bar.

    Args:
        groups: those of summary.json: each with title, arch and accuracy {mean, ci95, values} in [0, 1]; a mean or
            limits that are None are left out.
    """
    figure = Figure(figsize=(width(columns), 0.8 + 0.42 * max(1, len(groups))))
    ax = figure.subplots()
    order = {arch: index for index, arch in enumerate(dict.fromkeys(group["arch"] for group in groups.values()))}
    for row, group in enumerate(groups.values()):
        index = order[group["arch"]]
        colour, marker = COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]
        accuracy = {key: 100 * np.array(group["accuracy"][key], dtype=float) for key in ("mean", "ci95", "values")}
        values = np.atleast_1d(accuracy["values"])
        ax.plot(values, np.full(len(values), row + 0.2), marker, mfc="none", color=colour, markersize=5, alpha=0.8)
        ax.plot(accuracy["mean"], row - 0.1, marker, color=colour, markersize=7, markeredgecolor="white", zorder=3)
        if np.isfinite(accuracy["ci95"]).all() and accuracy["ci95"].shape == (2,):
            ax.plot(accuracy["ci95"], [row - 0.1] * 2, color=colour, linewidth=2.2, solid_capstyle="butt")
    ax.set_yticks(range(len(groups)), [label(group["title"], 34) for group in groups.values()])
    ax.set_ylim(max(1, len(groups)) - 0.5, -0.5)
    ax.set_xlabel("test accuracy (%)")
    ax.tick_params(axis="y", length=0)
    ax.grid(False, axis="y")
    if not groups:
        say(ax, "no final runs")
    return figure


@mpl.rc_context(STYLE)
def sample_predictions(
    images: np.ndarray,
    truths: Sequence[str],
    said: Mapping[str, Sequence[tuple[str, float]]],
    columns: int = 2,
) -> Figure:
    """Test images, each with its true class and what every network takes it for, and how surely.

    Args:
        images: uint8 [k, height, width, 3].
        truths: true class names [k].
        said: for each network's title its class name and probability in [0, 1] for each image [k].
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


def _runs(ax: Axes, tables: Sequence[pd.DataFrame], column: str, scale: float, colour: str, style: Any) -> None:
    """Draws one quantity of several runs, faint, and the mean of those that are still training."""
    curves = [table.set_index("epoch")[column].astype(float) * scale for table in tables if len(table)]
    # A loss of 0 has no place on a logarithmic axis, nor one that is not finite on any.
    curves = [curve.where(np.isfinite(curve) & ((curve > 0) | (scale != 1))) for curve in curves]
    for curve in curves:
        ax.plot(curve.index, curve, color=colour, linestyle=style, linewidth=0.7, alpha=0.35)
    if curves:
        wide = pd.concat(curves, axis=1).sort_index()
        mean = wide.mean(axis=1)[2 * wide.notna().sum(axis=1) >= len(curves)]
        ax.plot(mean.index, mean, color=colour, linestyle=style, linewidth=1.8)
    else:
        say(ax, "no runs")
