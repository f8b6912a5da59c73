"""Figures of the search space: every trial by its hyperparameters and its score.

`columns` is 2 for a page and 1 for a phone. `architectures` maps the networks' names to titles, in the study's order.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.figures.drawing.axes import log_scale, panels, share_limits
from analysis.figures.drawing.files import hover
from analysis.figures.drawing.style import GRID, INK, PAPER, STYLE, key, label, look, say
from analysis.figures.search.trials import ENDS, position, share, trial_title
from analysis.numbers import number

# The ranges of a network's hyperparameters by name: `low`, `high` and `log`, or `choices`.
Space = Mapping[str, Mapping[str, Any]]

# At most 3 hyperparameters are drawn in pairs, because the number of pairs grows with the square.
MOST_IN_PAIRS = 3
_SCORE = "val_accuracy"
# Grey, because colours mean networks. The higher the score, the darker, but never as dark as a dark page.
_SHADES = LinearSegmentedColormap.from_list("scores", ["#f2f2f2", "#454545"])
# A line on white needs more ink than a mark with an edge.
_LINE_SHADES = LinearSegmentedColormap.from_list("lines", ["#d0d0d0", "#454545"])


@mpl.rc_context(STYLE)
def search_space(
    trials: pd.DataFrame,
    architectures: Mapping[str, str],
    spaces: Mapping[str, Space],
    titles: Mapping[str, str],
    chosen: Mapping[str, str] | None = None,
    columns: int = 2,
) -> Figure:
    """Draw every trial, darker for a higher score.

    A network with 2 or 3 hyperparameters has a panel for each pair. With one, or with more than 3, it has a panel for
    each of them against the score.

    Args:
        trials: a row a trial: trial_id, arch, status, val_accuracy in [0, 1], is_baseline, and the hyperparameters. A
            hyperparameter that a network lacks has no value.
        architectures: name to title, in the order of the study.
        spaces: the search space of each network.
        titles: the title of each hyperparameter.
        chosen: the trial_id of the tuned configuration, by network.
        columns: 2 for a page, 1 for a phone.
    """
    views = [(arch, pair) for arch in architectures for pair in _views(list(spaces[arch]))]
    figure, axes = panels(len(views), columns, height=2.7)
    shades = ScalarMappable(Normalize(*_score_limits(trials)), _SHADES)
    for ax, (arch, pair) in zip(axes, views, strict=True):
        space = spaces[arch]
        ring: dict[str, Any] = {"mfc": "none", "mec": look([*architectures].index(arch))[0], "markersize": 12}
        of_arch = _trials_of(trials, arch)
        for trial in of_arch.to_dict("records"):
            at, score = [[_place(trial, name, space)] for name in pair], trial[_SCORE]
            face = "none" if pd.isna(score) else shades.to_rgba(100 * score)
            style: dict[str, Any] = {"mfc": face, "mec": INK, "mew": 0.6, "linestyle": "", "clip_on": False}
            (point,) = ax.plot(*at, marker=ENDS[trial["status"]][1], markersize=6.5, zorder=3, **style)
            hover(point, trial_title(trial, {name: titles[name] for name in space}))
            if trial["is_baseline"]:
                ax.plot(*at, "s", mew=1.6, clip_on=False, **ring)
            if trial["trial_id"] == (chosen or {}).get(arch):
                ax.plot(*at, "o", mew=1.6, clip_on=False, **ring)
        if not len(of_arch):
            say(ax, "no trials")
        ax.set_title(label(architectures[arch], 30))
        for which, name in zip("xy", pair, strict=True):
            _scale_axis(ax, which, titles.get(name, "validation accuracy (%)"), space.get(name))
    share_limits([ax for ax, (_, pair) in zip(axes, views, strict=True) if _SCORE in pair])
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


def _views(names: list[str]) -> Sequence[tuple[str, str]]:
    """Return the names on the two axes of each panel of a network."""
    if 1 < len(names) <= MOST_IN_PAIRS:
        return list(combinations(names, 2))
    return [(name, _SCORE) for name in names]


def _score_limits(trials: pd.DataFrame) -> tuple[float, float]:
    """Return the lowest and the highest score in percent, or a range around them if they are equal."""
    scores = 100 * trials[_SCORE].dropna().to_numpy(float) if len(trials) else np.empty(0)
    low, high = (float(scores.min()), float(scores.max())) if len(scores) else (0.0, 100.0)
    return low, high if high > low else low + 1


def _trials_of(trials: pd.DataFrame, arch: str) -> pd.DataFrame:
    return trials[trials["arch"] == arch] if len(trials) else trials


def _place(trial: Mapping[Any, Any], name: str, space: Space) -> float:
    return 100 * float(trial[name]) if name == _SCORE else position(trial.get(name), space[name])


def _scale_axis(ax: Axes, which: str, title: str, scale: Mapping[str, Any] | None) -> None:
    """Label the x or y axis, and make it hold the hyperparameter's range; a score has none."""
    axis, set_limits = getattr(ax, f"{which}axis"), getattr(ax, f"set_{which}lim")
    ax.set(**{f"{which}label": label(title, 24)})
    if scale is None:
        return
    if "choices" in scale:
        axis.set_ticks(range(len(scale["choices"])), [label(str(choice), 12) for choice in scale["choices"]])
        set_limits(-0.5, len(scale["choices"]) - 0.5)
    elif scale["log"]:
        low, high = scale["low"], scale["high"]
        pad = (high / low) ** 0.04 if high > low else 1.1
        log_scale(ax, which, low / pad, high * pad)
    else:
        margin = 0.05 * (scale["high"] - scale["low"]) or 0.5
        set_limits(scale["low"] - margin, scale["high"] + margin)
        if scale.get("type") == "int":
            axis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))


@mpl.rc_context(STYLE)
def parallel_coordinates(
    trials: pd.DataFrame,
    architectures: Mapping[str, str],
    spaces: Mapping[str, Space],
    titles: Mapping[str, str],
    chosen: Mapping[str, str] | None = None,
    columns: int = 2,
) -> Figure:
    """Draw every trial as a line through its hyperparameters, darker for a higher score: a panel for each network.

    Each hyperparameter is a row from the low end of its range to the high end. The last row is the score.

    Args:
        trials: as `search_space` takes them.
        architectures: name to title of the networks to draw.
        spaces: the search space of each network.
        titles: the title of each hyperparameter.
        chosen: the trial_id of the tuned configuration, by network.
        columns: 2 for a page, 1 for a phone.
    """
    most = max((len(spaces[arch]) for arch in architectures), default=1)
    figure, axes = panels(len(architectures), columns, height=0.8 + 0.42 * (most + 1), across=1)
    low, high = _score_limits(trials)
    shades, score_scale = ScalarMappable(Normalize(low, high), _LINE_SHADES), {"low": low, "high": high, "log": False}
    for ax, (arch, title) in zip(axes, architectures.items(), strict=True):
        space = {**spaces[arch], _SCORE: score_scale}
        rows, of_arch = np.arange(len(space)), _trials_of(trials, arch)
        for trial in of_arch.to_dict("records"):
            score = trial[_SCORE]
            values = {name: 100 * score if name == _SCORE else trial.get(name) for name in space}
            line: dict[str, Any] = {"color": GRID, "linewidth": 0.9, "clip_on": False}
            if not pd.isna(score):
                line |= {"color": shades.to_rgba(100 * score), "zorder": 2 + score}
            if trial["is_baseline"]:
                line |= {"color": look([*spaces].index(arch))[0], "linewidth": 1.2, "marker": "s", "mfc": "none"}
            if trial["trial_id"] == (chosen or {}).get(arch):
                line |= {"color": look([*spaces].index(arch))[0], "linewidth": 2.4, "marker": "o", "mfc": None}
            (drawn,) = ax.plot([share(values[name], scale) for name, scale in space.items()], rows, **line)
            hover(drawn, trial_title(trial, {name: titles[name] for name in spaces[arch]}))
        for row, scale in enumerate(space.values()):
            _name_places(ax, row, scale)
        ax.set_title(label(title, 60 if columns > 1 else 30))
        ax.set_yticks(rows, [label(titles.get(name, "val. accuracy (%)"), 18) for name in space])
        ax.set(xlim=(-0.02, 1.02), ylim=(len(space) - 0.6, -0.6), xticks=[])
        ax.spines["bottom"].set_visible(False)
    handles: list[Any] = [
        key("baseline", marker="s", mfc="none", linestyle="-", linewidth=1.2),
        key("configuration chosen", marker="o", linestyle="-", linewidth=2.4),
        key("trial, darker for a higher score", linestyle="-", linewidth=0.9),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3 if columns > 1 else 1)
    return figure


def _name_places(ax: Axes, row: int, scale: Mapping[str, Any]) -> None:
    """Write the ends of a range below its row, or each choice at its place."""
    if "choices" in scale:
        places = [(share(choice, scale), "center", str(choice)) for choice in scale["choices"]]
    else:
        places = [(0.0, "left", number(scale["low"])), (1.0, "right", number(scale["high"]))]
    paper = {"facecolor": PAPER, "edgecolor": "none", "alpha": 0.8, "pad": 0.5}
    for place, side, text in places:
        ax.annotate(
            label(text, 14), (place, row), (0, -4), textcoords="offset points", ha=side, va="top", zorder=5, bbox=paper
        )
