"""Figures of the final runs: pure functions from tables to matplotlib figures.

`columns` is 2 for a page and 1 for a phone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from analysis.figures.style import (
    COLOURS,
    DASHED,
    FAINT,
    INK,
    STYLE,
    epoch_axis,
    label,
    log_axis,
    look,
    panels,
    say,
    share_limits,
    width,
)
from analysis.verdict.summary_json import GroupSummary


@dataclass(frozen=True)
class Paired:
    """Holds the differences in accuracy of one comparison, in [-1, 1].

    Attributes:
        sides: titles of A and of B. A difference is the accuracy of A minus the accuracy of B.
        by_seed: the difference of each pair of runs, by its seed.
        mean: the mean difference.
        interval: 95 % interval of the mean; None with one seed.
        margin: the difference that matters in practice.
    """

    sides: tuple[str, str]
    by_seed: Mapping[int, float]
    mean: float
    interval: tuple[float, float] | None
    margin: float


@mpl.rc_context(STYLE)
def accuracy_by_group(groups: Mapping[str, GroupSummary], order: Sequence[str], columns: int = 2) -> Figure:
    """Draw test accuracy: each seed as an open point, the mean as a filled point, its 95 % interval as a bar.

    Args:
        groups: the groups of summary.json. Limits that are None are left out.
        order: the names of the networks in the order of the study.
        columns: 2 for a page, 1 for a phone.
    """
    figure = Figure(figsize=(width(columns), 0.8 + 0.42 * max(1, len(groups))))
    ax = figure.subplots()
    for row, group in enumerate(groups.values()):
        colour, marker = look(order.index(group.arch))
        values, interval = (100 * np.array(part, float) for part in (group.accuracy.values, group.accuracy.ci95))
        ax.plot(values, np.full(len(values), row + 0.2), marker, mfc="none", color=colour, markersize=5, alpha=0.8)
        ax.plot(
            100 * group.accuracy.mean, row - 0.1, marker, color=colour, markersize=7, markeredgecolor="white", zorder=3
        )
        if np.isfinite(interval).all():
            ax.plot(interval, [row - 0.1] * 2, color=colour, linewidth=2.2, solid_capstyle="butt")
    ax.set_yticks(range(len(groups)), [label(group.title, 36) for group in groups.values()])
    ax.set_ylim(max(1, len(groups)) - 0.5, -0.5)
    ax.set_xlabel("test accuracy (%)")
    ax.tick_params(axis="y", length=0)
    ax.grid(False, axis="y")
    if not groups:
        say(ax, "no final runs")
    return figure


@mpl.rc_context(STYLE)
def paired_differences(comparisons: Sequence[Paired], columns: int = 2) -> Figure:
    """Draw the difference in test accuracy of each pair of runs, and the mean difference, a panel a comparison."""
    figure, axes = panels(len(comparisons), columns, height=2.4)
    for ax, paired in zip(axes, comparisons, strict=True):
        n, band = len(paired.by_seed), 100 * paired.margin
        ax.set_title("\n\N{MINUS SIGN} ".join(label(side, 44) for side in paired.sides), fontsize=8)
        ax.axhspan(-band, band, facecolor="#e9e9e9", edgecolor="#c4c4c4", linewidth=0.6, zorder=0)
        ax.axhline(0, color=INK, linewidth=0.8)
        ax.plot(range(n), [100 * value for value in paired.by_seed.values()], "o", mfc="none", color=COLOURS[0])
        ax.plot([n + 0.5], [100 * paired.mean], "D", color=INK, markersize=5.5)
        if paired.interval:
            ax.plot([n + 0.5] * 2, [100 * limit for limit in paired.interval], color=INK, linewidth=2)
        step = -(-n // (12 if columns > 1 else 9))
        # The last label would collide with the label of the mean.
        places = [place for place in range(0, n, step) if n + 0.5 - place >= step]
        ax.set_xticks([*places, n + 0.5], [*(str([*paired.by_seed][place]) for place in places), "mean"])
        ax.set_xlim(-0.7, n + 1.2)
        ax.grid(False, axis="x")
        ax.set(xlabel="seed", ylabel="percentage points")
    figure.legend(
        handles=[
            Line2D([], [], color=COLOURS[0], marker="o", mfc="none", linestyle="", label="one seed"),
            Line2D([], [], color=INK, marker="D", linewidth=2, markersize=5.5, label="mean and 95 % interval"),
            Patch(facecolor="#e9e9e9", edgecolor="#c4c4c4", label="too small to matter"),
        ],
        loc="outside lower center",
        ncols=3 if columns > 1 else 2,
    )
    return figure


@mpl.rc_context(STYLE)
def trade_offs(groups: Mapping[str, GroupSummary], order: Sequence[str], columns: int = 2) -> Figure:
    """Draw test accuracy against the cost of a prediction, a panel a kind of cost, with the Pareto front.

    Args:
        groups: the groups of summary.json. A cost that is None is left out.
        order: the names of the networks in the order of the study.
        columns: 2 for a page, 1 for a phone.
    """
    figure, axes = panels(3, 3 if columns > 1 else 1, height=2.6)
    costs: dict[str, list[Any]] = {
        "median latency (ms)": [group.latency_ms.p50 for group in groups.values()],
        "parameters": [group.parameters for group in groups.values()],
        "multiply-accumulates an image": [group.macs for group in groups.values()],
    }
    front_style: dict[str, Any] = {"color": INK, "lw": 1, "ls": DASHED, "marker": "o", "mfc": "none", "markersize": 12}
    handles = {}
    for ax, (unit, values) in zip(axes, costs.items(), strict=True):
        ax.set(xlabel=unit, ylabel="test accuracy (%)")
        known = [(cost, group) for cost, group in zip(values, groups.values(), strict=True) if cost]
        for cost, group in known:
            mean = 100 * group.accuracy.mean
            colour, marker = look(order.index(group.arch))
            low, high = (np.nan if limit is None else 100 * limit for limit in group.accuracy.ci95)
            ax.plot([cost, cost], [low, high], color=colour, marker="_", markersize=7, linewidth=1, alpha=0.7)
            face = colour if group.variant == "tuned" else "white"
            style: dict[str, Any] = {"marker": marker, "ls": "", "color": colour, "mfc": face, "markersize": 7}
            ax.plot([cost], [mean], zorder=3, **style)
            handles[group.title] = Line2D([], [], label=label(group.title, 36), **style)
        front = pareto_front([(cost, group.accuracy.mean) for cost, group in known])
        x, y = [known[index][0] for index in front], [100 * known[index][1].accuracy.mean for index in front]
        ax.plot(x, y, zorder=2, **front_style)
        if known:
            log_axis(ax, [cost for cost, _ in known])
        else:
            say(ax, "not measured")
            ax.set(xticks=[], yticks=[])
    handles["front"] = Line2D([], [], label="Pareto front", **front_style)
    figure.legend(handles=list(handles.values()), loc="outside lower center", ncols=3 if columns > 1 else 1)
    return figure


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the Pareto front of points (cost, value): the points that no other point beats.

    A point beats another if it is at least as good in both cost and value, and better in one.

    Returns:
        The positions of the points by ascending cost. If points are equal, only the first counts.
    """
    front: list[int] = []
    for index in sorted(range(len(points)), key=lambda index: (points[index][0], -points[index][1])):
        if not front or points[index][1] > points[front[-1]][1]:
            front.append(index)
    return front


@mpl.rc_context(STYLE)
def final_curves(histories: Mapping[str, Sequence[pd.DataFrame]], columns: int = 2) -> Figure:
    """Draw loss and validation accuracy of final runs against epoch, two panels a group.

    A seed is a faint line. A strong line is the mean of the runs still training, if these are at least half.

    Args:
        histories: for each group's title a table a seed: epoch, train_loss, val_loss, val_accuracy in [0, 1].
    """
    figure, axes = panels(2 * len(histories), columns, height=2.1)
    for index, (title, tables) in enumerate(histories.items()):
        loss, accuracy = axes[2 * index], axes[2 * index + 1]
        _runs(loss, tables, "train_loss", 1, COLOURS[0], DASHED)
        _runs(loss, tables, "val_loss", 1, COLOURS[1], "-")
        _runs(accuracy, tables, "val_accuracy", 100, COLOURS[1], "-")
        for ax, unit in ((loss, "cross-entropy (nats)"), (accuracy, "validation accuracy (%)")):
            ax.set_title(label(title, 36))
            epoch_axis(ax, unit)
    share_limits(axes[0::2], log=True)
    share_limits(axes[1::2])
    figure.legend(
        handles=[
            Line2D([], [], color=COLOURS[0], linestyle=DASHED, linewidth=1.8, label="training"),
            Line2D([], [], color=COLOURS[1], linewidth=1.8, label="validation"),
            Line2D([], [], color=FAINT, linewidth=0.7, label="one seed"),
        ],
        loc="outside lower center",
        ncols=3,
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
