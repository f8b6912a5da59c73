"""Figures of a search's progress: pure functions from tables to matplotlib figures.

`columns` is 2 for a page and 1 for a phone. `architectures` maps the networks' names to titles, in the study's order.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.figures.drawing.axes import epoch_axis, panels, share_limits
from analysis.figures.drawing.files import hover
from analysis.figures.drawing.style import DOTTED, FAINT, STYLE, key, label, look, say
from analysis.figures.search.trials import ENDS, trial_title
from analysis.numbers import number
from analysis.statistics.search_progress import BestScores


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
            marker = ENDS[trial["status"]][2]
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
