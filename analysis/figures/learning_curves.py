"""Figures of learning curves, as pure functions from tables to matplotlib figures.

`columns` is 2 for a page and 1 for a phone.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.drawing.axes import epoch_axis, panels, share_limits
from analysis.figures.drawing.files import hover
from analysis.figures.drawing.style import DASHED, INK, PAPER, STYLE, key, label, look, say
from analysis.figures.search.trials import trial_title


@mpl.rc_context(STYLE)
def final_curves(histories: Mapping[str, Sequence[pd.DataFrame]], places: Sequence[int], columns: int = 2) -> Figure:
    """Draw loss and accuracy of final runs against epoch: a row with axes of its own for each group.

    A seed is a faint line. A strong line is the mean of the runs still training, if these are at least half.

    Args:
        histories: for each group's title a table a seed: epoch, train_loss, val_loss, and in [0, 1] val_accuracy and
            train_accuracy. A study of an older version has no train_accuracy.
        places: the place of each group's network in the order of the study.
        columns: 2 for a page, 1 for a phone.
    """
    figure, axes = panels(2 * len(histories), columns, height=2.1)
    nothing = pd.Series(dtype=float)
    for index, (title, tables) in enumerate(histories.items()):
        loss, accuracy = axes[2 * index], axes[2 * index + 1]
        colour, _ = look(places[index])
        _runs(loss, tables, "train_loss", 1, colour, DASHED)
        _runs(loss, tables, "val_loss", 1, colour, "-")
        measured = [table for table in tables if table.get("train_accuracy", nothing).notna().any()]
        if measured:
            _runs(accuracy, measured, "train_accuracy", 100, colour, DASHED)
        _runs(accuracy, tables, "val_accuracy", 100, colour, "-")
        of_accuracy = "accuracy (%)" if measured else "validation accuracy (%)"
        for ax, unit in ((loss, "cross-entropy (nats)"), (accuracy, of_accuracy)):
            ax.set_title(label(title, 30))
            epoch_axis(ax, unit)
        share_limits([loss], log=True)
        share_limits([accuracy])
    figure.legend(
        handles=[
            key("training", color=INK, linestyle=DASHED, linewidth=1.8),
            key("validation", color=INK, linestyle="-", linewidth=1.8),
            key("one seed", color=INK, linestyle="-", linewidth=0.7, alpha=0.5),
        ],
        loc="outside lower center",
        ncols=3,
    )
    return figure


@mpl.rc_context(STYLE)
def search_curves(
    history: pd.DataFrame,
    trials: pd.DataFrame,
    architectures: Mapping[str, str],
    chosen: Mapping[str, str] | None = None,
    columns: int = 2,
) -> Figure:
    """Draw validation accuracy against epoch: a panel for each network, a line for each trial.

    Args:
        history: a row an epoch of a trial: trial_id, epoch, val_accuracy in [0, 1]. May be empty.
        trials: a row a trial: trial_id, arch, status, is_baseline. May be empty.
        architectures: name to title, a panel each.
        chosen: the trial_id to stress, by network.
    """
    figure, axes = panels(len(architectures), columns, height=2.6)
    curves = {str(name): curve for name, curve in history.groupby("trial_id")} if len(history) else {}
    nothing = pd.DataFrame({"epoch": [], "val_accuracy": []})
    for index, (ax, (arch, title)) in enumerate(zip(axes, architectures.items(), strict=False)):
        colour, shape = look(index)
        ax.set_title(label(title, 30))
        of_arch = trials[trials["arch"] == arch] if len(trials) else trials
        for trial in of_arch.to_dict("records"):
            curve = curves.get(trial["trial_id"], nothing)
            curve = curve[np.isfinite(curve["val_accuracy"])]
            x, y = curve["epoch"].to_numpy(), 100 * curve["val_accuracy"].to_numpy()
            marker = {"PRUNED": "x", "DIVERGED": "v", "FAILED": "v"}.get(trial["status"], "." if len(x) == 1 else "")
            (line,) = ax.plot(x, y, color=colour, alpha=0.45, linewidth=0.8)
            ax.plot(x[-1:], y[-1:], color=colour, marker=marker, markersize=4.5, alpha=0.9, linestyle="")
            marked: dict[str, Any] = {"color": colour, "marker": shape, "markevery": [len(x) - 1] if len(x) else []}
            if trial["is_baseline"]:
                (line,) = ax.plot(x, y, linewidth=1.6, zorder=3, markersize=9, mfc=PAPER, **marked)
            if trial["trial_id"] == (chosen or {}).get(arch):
                (line,) = ax.plot(x, y, linewidth=2.4, zorder=4, markersize=5.5, **marked)
            hover(line, trial_title(trial))
        epoch_axis(ax, "validation accuracy (%)")
        if not any(len(line.get_xdata()) for line in ax.lines):  # type: ignore[arg-type]
            say(ax, "no scores" if len(of_arch) else "no trials")
            ax.set_xticks([])
    share_limits(axes)
    figure.legend(
        handles=[
            key("baseline", marker="o", mfc=PAPER, markersize=9, linestyle="-", linewidth=1.6),
            key("configuration chosen", marker="o", markersize=5.5, linestyle="-", linewidth=2.4),
            key("trial", linestyle="-", linewidth=0.8),
            key("stopped at a rung", marker="x"),
            key("diverged or failed", marker="v"),
        ],
        loc="outside lower center",
        ncols=3 if columns > 1 else 2,
    )
    return figure


def _runs(ax: Axes, tables: Sequence[pd.DataFrame], column: str, scale: float, colour: str, style: Any) -> None:
    """Draw one quantity of several runs, faint, and the mean of the runs that are still training."""
    curves = [table.set_index("epoch")[column].astype(float) * scale for table in tables if len(table)]
    # A logarithmic axis cannot show 0, and no axis can show a number that is not finite.
    curves = [curve.where(np.isfinite(curve) & ((curve > 0) | (scale != 1))) for curve in curves]
    for curve in curves:
        ax.plot(curve.index, curve, color=colour, linestyle=style, linewidth=0.7, alpha=0.35)
    if curves:
        wide = pd.concat(curves, axis=1).sort_index()
        mean = wide.mean(axis=1)[2 * wide.notna().sum(axis=1) >= len(curves)]
        marker = "o" if len(mean) == 1 else ""  # one epoch makes no line
        ax.plot(mean.index, mean, color=colour, linestyle=style, linewidth=1.8, marker=marker, markersize=4)
    else:
        say(ax, "no runs")
