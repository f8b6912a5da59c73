"""Figures of learning curves take whatever a study can hold."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest

from analysis.figures.drawing.files import render
from analysis.figures.drawing.style import COLOURS, PAPER
from analysis.figures.learning_curves import final_curves, search_curves
from tests.analysis.drawn import ODD, curves, overlaps, texts, visible


def run(losses: list[float]) -> pd.DataFrame:
    columns = {"train_loss": losses, "val_loss": losses, "val_accuracy": np.linspace(0, 1, len(losses))}
    return pd.DataFrame({"epoch": np.arange(1, len(losses) + 1), **columns})


def test_final_curves_draw_the_mean_while_half_of_the_runs_train() -> None:
    figure = final_curves({"A": [run([4, 2, 1, 1]), run([2, 1]), run([3, 3, 3])]}, [0])
    epochs, means = curves(figure.axes[0])[3]
    assert epochs == [1, 2, 3]
    assert means == [3, 2, 2]


@pytest.mark.parametrize(
    "histories",
    [
        {},
        {"no runs": []},
        {"empty": [run([])]},
        {"diverged": [run([1.0, np.nan]), run([np.inf, 0.0])], "fine": [run([1.0, 1e30])]},
        {name: [run([2.0, 1.0])] for name in ODD[:4]},
    ],
)
def test_final_curves_take_any_runs(histories: dict[str, list[pd.DataFrame]]) -> None:
    for columns in (1, 2):
        render(final_curves(histories, range(len(histories)), columns), "svg")


def test_training_is_dashed_in_the_colour_of_the_network() -> None:
    figure = final_curves({"B, tuned": [run([2.0, 1.0])]}, [1])
    loss, accuracy = figure.axes
    assert {line.get_color() for ax in figure.axes for line in ax.lines} == {COLOURS[1]}
    assert [line.is_dashed() for line in loss.lines] == [True, True, False, False]
    assert [line.is_dashed() for line in accuracy.lines] == [False, False], "an older study"
    assert accuracy.get_ylabel() == "validation accuracy (%)"
    figure = final_curves({"B, tuned": [run([2.0, 1.0]).assign(train_accuracy=[0.25, 0.75])]}, [1])
    assert [line.is_dashed() for line in figure.axes[1].lines] == [True, True, False, False]
    assert curves(figure.axes[1])[0] == ([1, 2], [25, 75])
    assert figure.axes[1].get_ylabel() == "accuracy (%)"


def test_each_row_of_learning_curves_has_limits_of_its_own() -> None:
    figure = final_curves({"A": [run([200.0, 100.0])], "B": [run([0.2, 0.1])]}, [0, 1])
    assert figure.axes[0].get_ylim()[0] > figure.axes[2].get_ylim()[1]


@pytest.mark.parametrize("lowest", [1.0, 0.1, 5e-3, 5e-4, 1e-4, 1e-6])
def test_a_loss_axis_has_ticks_that_can_be_read(lowest: float) -> None:
    losses = np.geomspace(2.3, lowest, 10)
    table = pd.DataFrame({"epoch": range(1, 11), "train_loss": losses, "val_loss": losses, "val_accuracy": 0.5})
    for columns in (1, 2):
        figure = final_curves({"A": [table]}, [0], columns)
        figure.draw_without_rendering()
        shown = visible(figure.axes[0].yaxis)
        assert len(shown) >= 3
        assert overlaps(shown) == []


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
            {
                "trial_id": name,
                "arch": name.split("-")[0],
                "status": status,
                "is_baseline": name.endswith("-0"),
                "epochs": 1,
                "val_accuracy": 0.5,
            }
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
    figure = search_curves(epochs, rows, {"a": "A"}, {"a": "a-3"})
    (ax,) = figure.axes
    ends = [(line.get_marker(), *curve) for line, curve in zip(ax.lines, curves(ax), strict=True)]
    assert ("x", [1], [40]) in ends
    assert ("v", [1], [70]) in ends, "a diverged trial ends where it was finite last"
    strong = [line for line in ax.lines if line.get_linewidth() > 1.5]
    marks = [([*line.get_ydata()], line.get_markerfacecolor(), line.is_dashed()) for line in strong]
    assert marks == [([50, 60], PAPER, False), ([50, 90], COLOURS[0], False)], "open: baseline, filled: chosen"
    shown = "".join(texts(figure))
    assert "a-1: validation accuracy 50.00 %, stopped at a rung after 1 epoch" in shown, "a title for the pointer"


def test_search_curves_without_a_search() -> None:
    assert texts(search_curves(pd.DataFrame(), pd.DataFrame(), {"a": "A", "b": "B"})).count("no trials") >= 2
    render(search_curves(pd.DataFrame(), pd.DataFrame(), {}), "png")
