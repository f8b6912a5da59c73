"""Figures of the search take whatever a search can leave behind."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from analysis.figures.drawing.files import render
from analysis.figures.search import best_score_against_budget, search_space, trial_lengths
from analysis.statistics.search_progress import BestScores
from tests.analysis.drawn import ODD, curves, texts

SPACE = {"lr": {"low": 1e-4, "high": 1e-2, "log": True}, "dropout": {"low": 0.0, "high": 0.7, "log": False}}
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
    figure = search_space(whole_trials([0.5, 0.1, 0.9, 0.7, np.nan]), {"a": "A"}, SPACE, {"a": "a-3"})
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


@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize("scores", [[], [np.nan, np.nan], [0.5], [0.5, 0.5, 0.5]])
def test_search_figures_take_any_scores(scores: list[float], columns: int) -> None:
    trials, names = whole_trials(scores) if scores else pd.DataFrame(), {"a": ODD[0], "b": ODD[2]}
    render(search_space(trials, names, SPACE, {}, columns), "svg")
    render(trial_lengths(trials, names, [2, 6], columns), "svg")
    values = np.array(scores)
    render(best_score_against_budget({ODD[0]: BestScores(values, values, values)}, columns), "svg")


def test_no_architecture_and_no_curve_are_drawn_too() -> None:
    render(search_space(pd.DataFrame(), {}, SPACE), "png")
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
