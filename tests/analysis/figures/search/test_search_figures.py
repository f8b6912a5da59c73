"""Figures of the search take whatever a search can leave behind."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from analysis.figures.drawing.files import render
from analysis.figures.search.progress import best_score_against_budget, trial_lengths
from analysis.figures.search.space import parallel_coordinates, search_space
from analysis.statistics.search_progress import BestScores
from tests.analysis.drawn import ODD, curves, texts

SPACE = {"lr": {"low": 1e-4, "high": 1e-2, "log": True}, "dropout": {"low": 0.0, "high": 0.7, "log": False}}
TITLES = {"lr": "learning rate", "dropout": "dropout"}
STATUSES = ("COMPLETE", "PRUNED", "DIVERGED", "STOPPED_EARLY", "FAILED")


def whole_trials(scores: list[float], arch: str = "a") -> pd.DataFrame:
    """A trial a score, each with the next status, learning rate and dropout."""
    n = range(len(scores))
    return pd.DataFrame(
        {
            "trial_id": [f"{arch}-{i}" for i in n],
            "arch": arch,
            "lr": [1e-4 * 2**i for i in n],
            "dropout": [0.1 * i for i in n],
            "status": [STATUSES[i % 5] for i in n],
            "epochs": [8 if i % 5 == 0 else 2 for i in n],
            "val_accuracy": scores,
            "is_baseline": [i == 0 for i in n],
        }
    )


def test_search_space_colours_by_score_and_marks_how_trials_ended() -> None:
    figure = search_space(whole_trials([0.5, 0.1, 0.9, 0.7, np.nan]), {"a": "A"}, {"a": SPACE}, TITLES, {"a": "a-3"})
    trials = [line for line in figure.axes[0].lines if line.get_markersize() < 10]
    assert [line.get_marker() for line in trials] == ["o", "X", "v", "o", "v"]
    faces = [line.get_markerfacecolor() for line in trials]
    assert faces[4] == "none", "a trial without a score has no colour"
    light = [sum(int(to_hex(face)[place : place + 2], 16) for place in (1, 3, 5)) for face in faces[:4]]
    assert light[1] > light[0] > light[3] > light[2], "the higher the score, the darker"
    rings = [(line.get_marker(), line.get_xdata()[0]) for line in figure.axes[0].lines if line.get_markersize() > 10]  # type: ignore[index]
    assert rings == [("s", 1e-4), ("o", 8e-4)], "the baseline and the configuration chosen"
    shown = set(texts(figure))
    assert {"learning rate", "dropout", "validation accuracy (%)"} <= shown
    title = "a-1: learning rate 0.0002, dropout 0.1, validation accuracy 10.00 %, stopped at a rung after 2 epochs"
    assert title in shown, "a title for the pointer"


WIDE = {
    "lr": SPACE["lr"],
    "model.width": {"low": 16, "high": 2048, "log": True, "type": "int"},
    "model.pool": {"choices": ["max", "None"]},
    "model.fixed": {"low": 3, "high": 3, "log": False},
}
WIDE_TITLES = TITLES | {"model.width": "width", "model.pool": "pool", "model.fixed": "fixed"}


def mixed_trials() -> pd.DataFrame:
    """Trials of a network with one hyperparameter, and of a network with four, whose last trial lacks one."""
    a, b = whole_trials([0.5, 0.9], "a").assign(dropout=np.nan), whole_trials([0.6, 0.8], "b").assign(dropout=np.nan)
    own = {"model.width": [16.0, 2048.0], "model.pool": ["max", "None"], "model.fixed": [3.0, np.nan]}
    return pd.concat([a, b.assign(**own)])


@pytest.mark.parametrize("columns", [1, 2])
def test_networks_with_other_spaces_have_other_panels(columns: int) -> None:
    names, spaces = {"a": "A", "b": "B"}, {"a": {"lr": SPACE["lr"]}, "b": WIDE}
    figure = search_space(mixed_trials(), names, spaces, WIDE_TITLES, {"b": "b-1"}, columns)
    panels = [ax for ax in figure.axes if ax.get_xlabel()][:5]
    assert [ax.get_title(loc="left") for ax in panels] == ["A", "B", "B", "B", "B"]
    assert [ax.get_xlabel() for ax in panels] == ["learning rate", "learning rate", "width", "pool", "fixed"]
    assert {ax.get_ylabel() for ax in panels} == {"validation accuracy (%)"}
    drawn = [curves(line.axes) for line in (panels[2].lines[0], panels[3].lines[0])]
    assert ([2048], [80]) in drawn[0] and ([1], [80]) in drawn[1]
    shown = texts(figure)
    whole = "b-1: learning rate 0.0002, width 2,048, pool None, validation accuracy 80.00 %, stopped at a rung after"
    assert f"{whole} 2 epochs" in shown, "no value, no words"


@pytest.mark.parametrize("columns", [1, 2])
def test_a_trial_is_a_line_through_all_hyperparameters(columns: int) -> None:
    figure = parallel_coordinates(mixed_trials(), {"b": "B"}, {"a": {}, "b": WIDE}, WIDE_TITLES, {"b": "b-1"}, columns)
    (ax,) = figure.axes
    (first, _), (second, rows) = curves(ax)
    assert rows == [0, 1, 2, 3, 4], "four hyperparameters and the score"
    assert first == pytest.approx([0, 0, 0.25, 0.5, 0.25]) and second[1:3] == pytest.approx([1, 0.75])
    assert np.isnan(second[3]) and second[4] == pytest.approx(0.75), "50 to 90 % are all scores"
    assert [label.get_text() for label in ax.get_yticklabels()][:4] == ["learning rate", "width", "pool", "fixed"]
    assert {"16", "2,048", "max", "None"} <= set(texts(figure))


@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize("scores", [[], [np.nan, np.nan], [0.5], [0.5, 0.5, 0.5]])
def test_search_figures_take_any_scores(scores: list[float], columns: int) -> None:
    trials, names = whole_trials(scores) if scores else pd.DataFrame(), {"a": ODD[0], "b": ODD[2]}
    spaces = dict.fromkeys(names, SPACE)
    render(search_space(trials, names, spaces, TITLES, {}, columns), "svg")
    render(parallel_coordinates(trials, names, spaces, TITLES, {}, columns), "svg")
    render(trial_lengths(trials, names, [2, 6], columns), "svg")
    values = np.array(scores)
    render(best_score_against_budget({ODD[0]: BestScores(values, values, values)}, columns), "svg")


def test_no_architecture_and_no_curve_are_drawn_too() -> None:
    render(search_space(pd.DataFrame(), {}, {}, {}), "png")
    assert texts(best_score_against_budget({})).count("no trials") >= 2


def test_trial_lengths_draw_rungs_and_how_far_each_trial_came() -> None:
    (ax,) = trial_lengths(whole_trials([0.5, 0.1, 0.9]), {"a": "A"}, [2, 6]).axes
    (ring,) = [line for line in ax.lines if line.get_marker() == "s"]
    assert (*ring.get_xdata(), *ring.get_ydata()) == (8, 0), "the baseline"
    lines = [line for line in ax.lines if line is not ring]
    drawn = [([*line.get_xdata()], [*line.get_ydata()]) for line in lines]
    assert [x for x, _ in drawn[:2]] == [[2, 2], [6, 6]]
    assert drawn[2::2] == [([0, 8], [0, 0]), ([0, 2], [1, 1]), ([0, 2], [2, 2])]
    assert [line.get_marker() for line in lines[3::2]] == ["o", "x", "v"]


@pytest.mark.parametrize("rungs", [[], [2]])
def test_rungs_are_explained_where_there_are_some(rungs: list[int]) -> None:
    legend = texts(trial_lengths(whole_trials([0.5]), {"a": "A"}, rungs))
    assert [name in legend for name in ("rung", "stopped at a rung", "out of patience")] == [*[bool(rungs)] * 2, True]


def test_best_scores_are_drawn_in_percent() -> None:
    best = BestScores(np.array([0.5, 0.8]), np.array([0.6, 0.8]), np.array([np.nan, 0.5, 0.8]))
    figure = best_score_against_budget({"A": best})
    assert curves(figure.axes[0]) == [([1, 2], [50, 80]), ([1, 2], [60, 80])]
    assert curves(figure.axes[1])[0][1][1:] == [50, 80]
    assert {"trials ended", "epochs trained", "best validation accuracy (%)"} <= set(texts(figure))
