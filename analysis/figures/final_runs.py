"""Figures of the final runs: pure functions from tables to matplotlib figures.

`columns` is 2 for a page and 1 for a phone.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from analysis.figures.drawing.axes import cost_axis, panels, width
from analysis.figures.drawing.files import hover
from analysis.figures.drawing.style import FAINT, GRID, INK, PAPER, STYLE, face, key, label, look, say
from analysis.figures.pareto import pareto_front
from analysis.numbers import percent, points, si
from analysis.verdict.summary_json import GroupSummary


@dataclass(frozen=True)
class Paired:
    """Holds the differences in accuracy of one comparison, in [-1, 1].

    Attributes:
        sides: titles of A and of B. A difference is the accuracy of A minus the accuracy of B.
        by_seed: the difference of each pair of runs, by its seed.
        mean: the mean difference.
        interval: interval of the mean; None with one seed.
        margin: the difference that matters in practice.
        level: level of the interval.
    """

    sides: tuple[str, str]
    by_seed: Mapping[int, float]
    mean: float
    interval: tuple[float, float] | None
    margin: float
    level: str = "95 %"


@mpl.rc_context(STYLE)
def accuracy_by_group(groups: Mapping[str, GroupSummary], order: Sequence[str], columns: int = 2) -> Figure:
    """Draw test accuracy: each seed as a small point, the mean as a large one, its 95 % interval as a bar.

    Args:
        groups: the groups of summary.json. Limits that are None are left out.
        order: the names of the networks in the order of the study.
        columns: 2 for a page, 1 for a phone.
    """
    figure = Figure(figsize=(width(columns), 1.1 + 0.42 * max(1, len(groups))))
    ax = figure.subplots()
    for row, group in enumerate(groups.values()):
        colour, marker = look(order.index(group.arch))
        values, interval = (100 * np.array(part, float) for part in (group.accuracy.values, group.accuracy.ci95))
        (seeds,) = ax.plot(values, np.full(len(values), row + 0.25), marker, color=colour, markersize=3.5, alpha=0.6)
        seeds.set_markeredgewidth(0)
        named = zip(group.seeds, group.accuracy.values, strict=True)
        hover(seeds, *(f"{group.title}, seed {seed}: {percent(value, 2)} %" for seed, value in named))
        mean: dict[str, Any] = {"color": colour, "mfc": face(colour, group.variant), "markersize": 7.5, "zorder": 3}
        (point,) = ax.plot([100 * group.accuracy.mean], [row - 0.1], marker, **mean)
        limits = f" (95 % interval {interval[0]:.2f} to {interval[1]:.2f} %)" if np.isfinite(interval).all() else ""
        hover(point, f"{group.title}, mean: {percent(group.accuracy.mean, 2)} %{limits}")
        if limits:
            ax.plot(interval, [row - 0.1] * 2, color=colour, linewidth=2.2, solid_capstyle="butt")
    ax.set_yticks(range(len(groups)), [label(group.title, 36 if columns > 1 else 22) for group in groups.values()])
    ax.set_ylim(max(1, len(groups)) - 0.5, -0.5)
    ax.set_xlabel("test accuracy (%)")
    ax.tick_params(axis="y", length=0)
    ax.grid(False, axis="y")
    if not groups:
        say(ax, "no final runs")
    handles = [
        key("one seed", marker="o", markersize=3.5),
        key("mean of a baseline", marker="o", markersize=7.5, mfc=PAPER, linestyle="-", linewidth=2.2),
        key("mean of a tuned network", marker="o", markersize=7.5, linestyle="-", linewidth=2.2),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3 if columns > 1 else 1)
    return figure


@mpl.rc_context(STYLE)
def paired_differences(comparisons: Sequence[Paired], columns: int = 2) -> Figure:
    """Draw the difference in test accuracy of each pair of runs, and the mean difference, a panel a comparison."""
    figure, axes = panels(len(comparisons), columns, height=2.4)
    levels = {paired.level for paired in comparisons}
    for ax, paired in zip(axes, comparisons, strict=True):
        n, band = len(paired.by_seed), 100 * paired.margin
        ax.set_title("\n\N{MINUS SIGN} ".join(label(side, 32) for side in paired.sides), fontsize=8.5)
        ax.axhspan(-band, band, facecolor=GRID, edgecolor="none", zorder=0)
        ax.axhline(0, color=INK, linewidth=0.8)
        (seeds,) = ax.plot(range(n), [100 * value for value in paired.by_seed.values()], "o", color=FAINT, markersize=5)
        hover(seeds, *(f"seed {seed}: {points(value)} points" for seed, value in paired.by_seed.items()))
        (mean,) = ax.plot([n + 0.5], [100 * paired.mean], "D", color=INK, markersize=6)
        hover(mean, f"mean: {points(paired.mean)} points")
        if paired.interval:
            ax.plot([n + 0.5] * 2, [100 * limit for limit in paired.interval], color=INK, linewidth=2)
        step = -(-n // (9 if columns > 1 else 8))
        # The last label would collide with the label of the mean.
        places = [place for place in range(0, n, step) if n + 0.5 - place >= 1.2 * step]
        ax.set_xticks([*places, n + 0.5], [*(str([*paired.by_seed][place]) for place in places), "mean"])
        ax.set_xlim(-0.7, n + 1.2)
        ax.grid(False, axis="x")
        ax.set(xlabel="seed", ylabel="percentage points")
    figure.legend(
        handles=[
            key("one seed", marker="o", markersize=5),
            key(
                f"mean and {levels.pop()} interval" if len(levels) == 1 else "mean and interval",
                color=INK,
                marker="D",
                linestyle="-",
                linewidth=2,
                markersize=6,
            ),
            Patch(facecolor=GRID, edgecolor="none", label="too small to matter"),
        ],
        loc="outside lower center",
        ncols=3 if columns > 1 else 1,
    )
    return figure


@mpl.rc_context(STYLE)
def trade_offs(
    groups: Mapping[str, GroupSummary], order: Sequence[str], shown_better: Set[tuple[str, str]], columns: int = 2
) -> Figure:
    """Draw test accuracy against the cost of a prediction, a panel a kind of cost, with the Pareto front.

    Args:
        groups: the groups of summary.json. A cost that is None is left out.
        order: the names of the networks in the order of the study.
        shown_better: the pairs of names of groups of which the first is shown to be more accurate than the second.
        columns: 2 for a page, 1 for a phone.
    """
    figure, axes = panels(3, 3 if columns > 1 else 1, height=2.6)
    costs: dict[str, list[Any]] = {
        "median latency (ms)": [group.latency_ms.p50 for group in groups.values()],
        "parameters": [group.parameters for group in groups.values()],
        "multiply-accumulates an image": [group.macs for group in groups.values()],
    }
    front_style: dict[str, Any] = {"color": INK, "ls": "", "marker": "o", "mfc": "none", "markersize": 12}
    handles = {}
    for index, (ax, (unit, values)) in enumerate(zip(axes, costs.items(), strict=True)):
        ax.set(xlabel=unit, ylabel="test accuracy (%)" if columns == 1 or not index else "")
        known = [(cost, name, group) for cost, (name, group) in zip(values, groups.items(), strict=True) if cost]
        for cost, _, group in known:
            mean = 100 * group.accuracy.mean
            colour, marker = look(order.index(group.arch))
            low, high = (np.nan if limit is None else 100 * limit for limit in group.accuracy.ci95)
            ax.plot([cost, cost], [low, high], color=colour, marker="_", markersize=7, linewidth=1, alpha=0.7)
            style: dict[str, Any] = {
                "marker": marker,
                "color": colour,
                "mfc": face(colour, group.variant),
                "markersize": 7,
            }
            (point,) = ax.plot([cost], [mean], linestyle="", zorder=3, **style)
            hover(point, f"{group.title}: {mean:.2f} %, {unit}: {si(cost)}")
            handles[group.title] = key(label(group.title, 36), **style)
        front = pareto_front({name: cost for cost, name, _ in known}, shown_better)
        means = [(cost, 100 * group.accuracy.mean) for cost, name, group in known if name in front]
        ax.plot([cost for cost, _ in means], [mean for _, mean in means], zorder=2, **front_style)
        if known:
            cost_axis(ax, [cost for cost, _, _ in known])
        else:
            say(ax, "not measured")
            ax.set(xticks=[], yticks=[])
    handles["front"] = key("Pareto front", **front_style)
    figure.legend(handles=list(handles.values()), loc="outside lower center", ncols=2 if columns > 1 else 1)
    return figure
