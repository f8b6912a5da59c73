"""Figures of the search: pure functions from tables to matplotlib figures.

`columns` is 2 for a page and 1 for a phone. `architectures` maps the networks' names to titles, in the study's order.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations, product
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.figures.drawing.axes import epoch_axis, log_scale, panels, share_limits
from analysis.figures.drawing.files import hover
from analysis.figures.drawing.style import DOTTED, FAINT, INK, STYLE, key, label, look, say
from analysis.numbers import number, percent
from analysis.statistics.search_progress import BestScores

# How a trial ended, and its marker in the search space and among the trial lengths.
_ENDS = {
    "COMPLETE": ("reached the cap", "o", "o"),
    "STOPPED_EARLY": ("out of patience", "o", "d"),
    "PRUNED": ("stopped at a rung", "X", "x"),
    "DIVERGED": ("diverged", "v", "v"),
    "FAILED": ("failed", "v", "v"),
}
_LABELS = {"lr": "learning rate", "val_accuracy": "validation accuracy"}
_SCORE = {"low": 0.0, "high": 1.0, "log": False}
# Grey, because colours mean networks. The higher the score, the darker, but never as dark as a dark page.
_SHADES = LinearSegmentedColormap.from_list("scores", ["#f2f2f2", "#454545"])


def trial_title(trial: Mapping[Any, Any], names: Iterable[str] = ()) -> str:
    """Describe a trial in a line: these hyperparameters of it, its score, and how it ended."""
    values = [f"{_LABELS.get(name, name)} {number(trial[name])}" for name in names]
    if not pd.isna(trial["val_accuracy"]):
        values.append(f"validation accuracy {percent(trial['val_accuracy'], 2)} %")
    epochs = int(trial["epochs"])
    values.append(f"{_ENDS[trial['status']][0]} after {epochs} epoch{'s' if epochs != 1 else ''}")
    return f"{trial['trial_id']}: {', '.join(values)}"


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
    shades = ScalarMappable(Normalize(low, high if high > low else low + 1), _SHADES)
    for ax, ((arch, title), pair) in zip(axes, product(architectures.items(), pairs), strict=True):
        ring: dict[str, Any] = {"mfc": "none", "mec": look([*architectures].index(arch))[0], "markersize": 12}
        of_arch = trials[trials["arch"] == arch] if len(trials) else trials
        for trial in of_arch.to_dict("records"):
            at, score = [[_position(trial[name], space.get(name, _SCORE))] for name in pair], trial["val_accuracy"]
            face = "none" if pd.isna(score) else shades.to_rgba(100 * score)
            style: dict[str, Any] = {"mfc": face, "mec": INK, "mew": 0.6, "linestyle": "", "clip_on": False}
            (point,) = ax.plot(*at, marker=_ENDS[trial["status"]][1], markersize=6.5, zorder=3, **style)
            hover(point, trial_title(trial, space))
            if trial["is_baseline"]:
                ax.plot(*at, "s", mew=1.6, clip_on=False, **ring)
            if trial["trial_id"] == (chosen or {}).get(arch):
                ax.plot(*at, "o", mew=1.6, clip_on=False, **ring)
        if not len(of_arch):
            say(ax, "no trials")
        ax.set_title(label(title, 30))
        for which, name in zip("xy", pair, strict=True):
            _scale_axis(ax, which, name, space.get(name, _SCORE))
    if axes:
        side = "right" if columns > 1 else "bottom"
        figure.colorbar(shades, ax=axes, label="validation accuracy (%)", location=side, aspect=30)
    plain: dict[str, Any] = {"color": INK, "mfc": "none"}
    figure.legend(
        handles=[
            key("baseline", marker="s", markersize=10, **plain),
            key("configuration chosen", marker="o", markersize=10, **plain),
            key("ended by itself", marker="o", **plain),
            key("stopped at a rung", marker="X", **plain),
            key("diverged or failed", marker="v", **plain),
        ],
        loc="outside lower center",
        ncols=3 if columns > 1 else 2,
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
        log_scale(ax, which, low * (low / high) ** 0.04, high * (high / low) ** 0.04)
    else:
        margin = 0.05 * (scale["high"] - scale["low"])
        set_limits(scale["low"] - margin, scale["high"] + margin)


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
        ax.set_title(label(title, 30))
        for epoch in rungs:
            ax.axvline(epoch, color=FAINT, linestyle=DOTTED, linewidth=1.2)
        of_arch = trials[trials["arch"] == arch] if len(trials) else trials
        for row, trial in enumerate(of_arch.to_dict("records")):
            (line,) = ax.plot([0, trial["epochs"]], [row, row], color=colour, linewidth=1.1, alpha=0.7)
            marker = _ENDS[trial["status"]][2]
            (end,) = ax.plot([trial["epochs"]], [row], marker, color=colour, markersize=4.5, clip_on=False)
            for shape in (line, end):
                hover(shape, trial_title(trial))
            if trial["is_baseline"]:
                ax.plot([trial["epochs"]], [row], "s", mfc="none", mec=colour, markersize=9, clip_on=False)
        if not len(of_arch):
            say(ax, "no trials")
        epoch_axis(ax, "trial")
        ax.set_xlim(0, 1.02 * furthest)
        ax.set_ylim(max(1, len(of_arch)) - 0.4, -0.6)
        ax.yaxis.set_major_locator(MaxNLocator(nbins="auto", steps=[1, 2, 5, 10], integer=True))
        ax.grid(False)
    rung = [
        key("rung", linestyle=DOTTED, linewidth=1.2),
        key("stopped at a rung", marker="x"),
    ]
    figure.legend(
        handles=[
            key("baseline", marker="s", mfc="none", markersize=9),
            key("reached the cap", marker="o", markersize=4.5),
            key("out of patience", marker="d", markersize=4.5),
            *(rung if rungs else []),
            key("diverged or failed", marker="v"),
        ],
        loc="outside lower center",
        ncols=3 if columns > 1 else 2,
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
        colour, marker = look(index)
        style: dict[str, Any] = {"color": colour, "linewidth": 1.8, "marker": marker, "markersize": 4.5}
        for ax, values in zip(axes, (best.by_trials, best.by_epochs), strict=True):
            marked: dict[str, Any] = {"drawstyle": "steps-post", "markevery": max(1, len(values) // 6)}
            (line,) = ax.plot(np.arange(1, len(values) + 1), 100 * values, **style, **marked)
            if len(values):
                hover(line, f"{title}: {number(100 * values[-1], '.2f')} % in the end")
        axes[0].plot(np.arange(1, len(best.expected) + 1), 100 * best.expected, color=colour, alpha=0.5, linewidth=1)
        handles.append(key(label(title, 36), linestyle="-", **style))
    for ax, spent in zip(axes, ("trials ended", "epochs trained"), strict=True):
        epoch_axis(ax, "best validation accuracy (%)")
        ax.set_xlabel(spent)
        if not curves:
            say(ax, "no trials")
    share_limits(axes)
    independent = "as if trials were independent,\npruned ones at their last score"
    handles.append(key(independent, linestyle="-", linewidth=1))
    figure.legend(handles=handles, loc="outside lower center", ncols=2 if columns > 1 else 1)
    return figure
