"""Figures of the search take whatever a search can leave behind."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from analysis.figures.search import best_score_against_budget, search_curves, search_space, trial_lengths
from analysis.figures.style import render
from analysis.statistics.search_progress import BestScores
from tests.analysis.drawn import ODD, curves, texts

SPACE = {"lr": {"low": 1e-4, "high": 1e-2, "log": True}, "dropout": {"low": 0.0, "high": 0.7, "log": False}}
STATUSES = ("COMPLETE", "PRUNED", "DIVERGED", "STOPPED_EARLY", "FAILED")


def history(accuracies: Mapping[str, list[float]]) -> pd.DataFrame:
    rows = [
        {"trial_id": trial, "arch": trial.split("-")[0], "epoch": epoch, "val_accuracy": accuracy}
        for trial, values in accuracies.items()
        for epoch, accuracy in enumerate(values, start=1)
    ]
    return pd.DataFrame(rows)


def trials(*rows: tuple[str, str]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"trial_id": name, "arch": name.split("-")[0], "status": status, "is_baseline": name.endswith("-0")}
            for name, status in rows
        ]
    )


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("columns", [1, 2])
def test_search_curves_have_a_panel_an_architecture(count: int, columns: int) -> None:
    names = [f"n{index}" for index in range(count)]
    epochs = history({f"{name}-0": [0.5, 0.6] for name in names})
    figure = search_curves(
        epochs, trials(*((f"{name}-0", "COMPLETE") for name in names)), dict(zip(names, ODD, strict=False)), {}, columns
    )
    assert len([ax for ax in figure.axes if ax.axison]) == count
    assert "validation accuracy (%)" in texts(figure)


def test_search_curves_mark_baseline_choice_and_ends() -> None:
    epochs = history({"a-0": [0.5, 0.6], "a-1": [0.4], "a-2": [0.7, np.nan], "a-3": [0.5, 0.9]})
    rows = trials(
        ("a-0", "COMPLETE"), ("a-1", "PRUNED"), ("a-2", "DIVERGED"), ("a-3", "STOPPED_EARLY"), ("a-4", "FAILED")
    )
    (ax,) = search_curves(epochs, rows, {"a": "A"}, {"a": "a-3"}).axes
    ends = [(line.get_marker(), *curve) for line, curve in zip(ax.lines, curves(ax), strict=True)]
    assert ("x", [1], [40]) in ends
    assert ("v", [1], [70]) in ends, "a diverged trial ends where it was finite last"
    assert curves(ax).count(([1, 2], [50, 60])) == 2, "the baseline is drawn over its trial"
    assert curves(ax).count(([1, 2], [50, 90])) == 2, "so is the chosen trial"


def test_search_curves_without_a_search() -> None:
    assert texts(search_curves(pd.DataFrame(), pd.DataFrame(), {"a": "A", "b": "B"})).count("no trials") >= 2
    render(search_curves(pd.DataFrame(), pd.DataFrame(), {}), "png")


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
    assert {"learning rate", "dropout", "validation accuracy (%)"} <= set(texts(figure))


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
    drawn = curves(ax)
    assert [x for x, _ in drawn[:2]] == [[2, 2], [6, 6]]
    assert drawn[2::2] == [([0, 8], [0, 0]), ([0, 2], [1, 1]), ([0, 2], [2, 2])]
    assert [line.get_marker() for line in ax.lines[3::2]] == ["o", "x", "v"]


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
