"""Figures of the search: pure functions from tables to matplotlib figures.

`columns` is 2 for a page and 1 for a phone. `architectures` maps the networks' names to titles, in the study's order.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations, product
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from analysis.figures.style import (
    COLOURS,
    DASHED,
    FAINT,
    INK,
    LINES,
    STYLE,
    epoch_axis,
    label,
    look,
    panels,
    say,
    share_limits,
)
from analysis.statistics.search_progress import BestScores

# The markers of trials that did not end by themselves.
_ENDS = {"PRUNED": "X", "DIVERGED": "v", "FAILED": "v"}
_LABELS = {"lr": "learning rate", "val_accuracy": "validation accuracy"}
_SCORE = {"low": 0.0, "high": 1.0, "log": False}


@mpl.rc_context(STYLE)
def search_space(
    trials: pd.DataFrame,
    architectures: Mapping[str, str],
    space: Mapping[str, Mapping[str, Any]],
    chosen: Mapping[str, str] | None = None,
    columns: int = 2,
) -> Figure:
    """Draw every trial, coloured by its score: a panel for each network and pair of hyperparameters.

    Args:
        trials: a row a trial: trial_id, arch, status, val_accuracy in [0, 1], is_baseline, and the hyperparameters.
        space: for each hyperparameter `low`, `high` and `log` of its range, or its `choices`. The pair of a single
            hyperparameter is the score.
        chosen: the trial_id of the tuned configuration, by network.
    """
    pairs = list(combinations(space, 2)) or [(name, "val_accuracy") for name in space]
    figure, axes = panels(len(architectures) * len(pairs), columns, height=2.7)
    scores = 100 * trials["val_accuracy"].dropna().to_numpy(float) if len(trials) else np.empty(0)
    low, high = (scores.min(), scores.max()) if len(scores) else (0.0, 100.0)
    shades = ScalarMappable(Normalize(low, high if high > low else low + 1), "cividis_r")
    for ax, ((arch, title), pair) in zip(axes, product(architectures.items(), pairs), strict=True):
        of_arch = trials[trials["arch"] == arch] if len(trials) else trials
        for trial in of_arch.to_dict("records"):
            at, score = [[_position(trial[name], space.get(name, _SCORE))] for name in pair], trial["val_accuracy"]
            face = "none" if pd.isna(score) else shades.to_rgba(100 * score)
            style: dict[str, Any] = {"mfc": face, "mec": INK, "mew": 0.6, "linestyle": "", "clip_on": False}
            ax.plot(*at, marker=_ENDS.get(trial["status"], "o"), markersize=6.5, zorder=3, **style)
            if trial["is_baseline"]:
                ax.plot(*at, "s", mfc="none", mec=INK, mew=1.1, markersize=12, clip_on=False)
            if trial["trial_id"] == (chosen or {}).get(arch):
                ax.plot(*at, "o", mfc="none", mec=COLOURS[1], mew=1.6, markersize=12, clip_on=False)
        if not len(of_arch):
            say(ax, "no trials")
        ax.set_title(label(title, 36))
        for which, name in zip("xy", pair, strict=True):
            _scale_axis(ax, which, name, space.get(name, _SCORE))
    if axes:
        side = "right" if columns > 1 else "bottom"
        figure.colorbar(shades, ax=axes, label="validation accuracy (%)", location=side, aspect=30)
    plain: dict[str, Any] = {"linestyle": "", "mfc": "none", "mec": INK}
    figure.legend(
        handles=[
            Line2D([], [], marker="s", markersize=10, label="baseline", **plain),
            Line2D([], [], marker="o", markersize=10, **plain | {"mec": COLOURS[1]}, label="configuration chosen"),
            Line2D([], [], marker="o", label="ended by itself", **plain),
            Line2D([], [], marker="X", label="stopped at a rung", **plain),
            Line2D([], [], marker="v", label="diverged or failed", **plain),
        ],
        loc="outside lower center",
        ncols=5 if columns > 1 else 2,
    )
    return figure


def _position(value: Any, scale: Mapping[str, Any]) -> float:
    """Return where a value stands on its axis: a number at itself, a choice at its place in the list."""
    if "choices" not in scale:
        return float(value)
    # A table may give a number back as another type than study.json.
    return next(place for place, choice in enumerate(scale["choices"]) if value == choice or str(value) == str(choice))


def _scale_axis(ax: Axes, which: str, name: str, scale: Mapping[str, Any]) -> None:
    """Label the x or y axis with a hyperparameter, and make it hold the hyperparameter's range."""
    axis, set_limits = getattr(ax, f"{which}axis"), getattr(ax, f"set_{which}lim")
    ax.set(**{f"{which}label": label(_LABELS.get(name, name), 24)})
    if "choices" in scale:
        axis.set_ticks(range(len(scale["choices"])), [label(str(choice), 12) for choice in scale["choices"]])
        set_limits(-0.5, len(scale["choices"]) - 0.5)
    elif scale["log"]:
        low, high = scale["low"], scale["high"]
        ax.set(**{f"{which}scale": "log"})
        set_limits(low * (low / high) ** 0.04, high * (high / low) ** 0.04)
        axis.set_major_locator(LogLocator(subs=(1, 3)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_locator(NullLocator())
    else:
        margin = 0.05 * (scale["high"] - scale["low"])
        set_limits(scale["low"] - margin, scale["high"] + margin)


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
        colour, stressed = COLOURS[index % len(COLOURS)], (chosen or {}).get(arch)
        ax.set_title(label(title, 36))
        of_arch = trials[trials["arch"] == arch] if len(trials) else trials
        for trial in of_arch.to_dict("records"):
            curve = curves.get(trial["trial_id"], nothing)
            curve = curve[np.isfinite(curve["val_accuracy"])]
            x, y = curve["epoch"].to_numpy(), 100 * curve["val_accuracy"].to_numpy()
            marker = {"PRUNED": "x", "DIVERGED": "v", "FAILED": "v"}.get(trial["status"], "." if len(x) == 1 else "")
            ax.plot(x, y, color=colour, alpha=0.45, linewidth=0.8)
            ax.plot(x[-1:], y[-1:], color=colour, marker=marker, markersize=4.5, alpha=0.9, linestyle="")
            if trial["is_baseline"]:
                ax.plot(x, y, color="black", linestyle=DASHED, linewidth=1.5, zorder=4)
            if trial["trial_id"] == stressed:
                ax.plot(x, y, color=colour, linewidth=2.4, zorder=3)
        epoch_axis(ax, "validation accuracy (%)")
        if not any(len(line.get_xdata()) for line in ax.lines):  # type: ignore[arg-type]
            say(ax, "no scores" if len(of_arch) else "no trials")
            ax.set_xticks([])
    share_limits(axes)
    figure.legend(
        handles=[
            Line2D([], [], color="black", linestyle=DASHED, linewidth=1.5, label="baseline"),
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
def trial_lengths(
    trials: pd.DataFrame, architectures: Mapping[str, str], rungs: Sequence[int], columns: int = 2
) -> Figure:
    """Draw how far every trial came, and the rungs that could stop it: a panel for each network, a line for each trial.

    Args:
        trials: a row a trial: arch, status, epochs, is_baseline.
        rungs: the epochs of the rungs.
    """
    most = max((int((trials["arch"] == arch).sum()) for arch in architectures if len(trials)), default=0)
    furthest = max([1, *rungs, *(trials["epochs"] if len(trials) else [])])
    figure, axes = panels(len(architectures), columns, height=1.2 + min(6.0, 0.11 * most))
    for index, (ax, (arch, title)) in enumerate(zip(axes, architectures.items(), strict=True)):
        colour, _ = look(index)
        ax.set_title(label(title, 36))
        for epoch in rungs:
            ax.axvline(epoch, color=FAINT, linestyle=DASHED, linewidth=1)
        of_arch = trials[trials["arch"] == arch] if len(trials) else trials
        for row, trial in enumerate(of_arch.to_dict("records")):
            marker = {"PRUNED": "x", "DIVERGED": "v", "FAILED": "v", "STOPPED_EARLY": "d"}.get(trial["status"], "o")
            shade = "black" if trial["is_baseline"] else colour
            ax.plot([0, trial["epochs"]], [row, row], color=shade, linewidth=1.1, alpha=0.7)
            ax.plot([trial["epochs"]], [row], marker, color=shade, markersize=4.5, clip_on=False)
        if not len(of_arch):
            say(ax, "no trials")
        epoch_axis(ax, "trial")
        ax.set_xlim(0, 1.02 * furthest)
        ax.set_ylim(max(1, len(of_arch)) - 0.4, -0.6)
        ax.yaxis.set_major_locator(MaxNLocator(nbins="auto", steps=[1, 2, 5, 10], integer=True))
        ax.grid(False)
    rung = [
        Line2D([], [], color=FAINT, linestyle=DASHED, label="rung"),
        Line2D([], [], color=FAINT, marker="x", linestyle="", label="stopped at a rung"),
    ]
    figure.legend(
        handles=[
            Line2D([], [], color="black", label="baseline"),
            Line2D([], [], color=FAINT, marker="o", linestyle="", markersize=4.5, label="reached the cap"),
            Line2D([], [], color=FAINT, marker="d", linestyle="", markersize=4.5, label="out of patience"),
            *(rung if rungs else []),
            Line2D([], [], color=FAINT, marker="v", linestyle="", label="diverged or failed"),
        ],
        loc="outside lower center",
        ncols=6 if columns > 1 else 2,
    )
    return figure


@mpl.rc_context(STYLE)
def best_score_against_budget(curves: Mapping[str, BestScores], columns: int = 2) -> Figure:
    """Draw the best validation accuracy against trials, beside that many independent trials, and against epochs.

    Args:
        curves: the best scores, by the title of the network.
    """
    figure, axes = panels(2, columns, height=2.6)
    handles = []
    for index, (title, best) in enumerate(curves.items()):
        style: dict[str, Any] = {"color": look(index)[0], "linestyle": LINES[index % len(LINES)]}
        for ax, values in zip(axes, (best.by_trials, best.by_epochs), strict=True):
            ax.plot(np.arange(1, len(values) + 1), 100 * values, drawstyle="steps-post", linewidth=1.8, **style)
        axes[0].plot(np.arange(1, len(best.expected) + 1), 100 * best.expected, alpha=0.45, linewidth=1, **style)
        handles.append(Line2D([], [], label=label(title, 36), linewidth=1.8, **style))
    for ax, spent in zip(axes, ("trials ended", "epochs trained"), strict=True):
        epoch_axis(ax, "best validation accuracy (%)")
        ax.set_xlabel(spent)
        if not curves:
            say(ax, "no trials")
    share_limits(axes)
    independent = "as if trials were independent,\npruned ones at their last score"
    handles.append(Line2D([], [], color=FAINT, alpha=0.7, linewidth=1, label=independent))
    figure.legend(handles=handles, loc="outside lower center", ncols=3 if columns > 1 else 1)
    return figure
