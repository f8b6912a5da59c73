"""Figures take whatever a study can hold; what can be counted in them is counted."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.drawing import label, render
from analysis.figures import accuracy_by_group, confusion_matrix, final_curves, sample_predictions, search_curves

ODD = [
    "$a$",
    "a $ b",
    "<script>alert(1)</script>",
    "猫",
    "a\x00b\n",
    "a very long class name, " * 5,
    r"\frac{",
    "x_1^2",
]


def texts(figure: Figure) -> list[str]:
    """What a reader of the SVG reads; parsing it also shows that it is well-formed."""
    return ["".join(element.itertext()).strip() for element in ElementTree.fromstring(render(figure, "svg")).iter()]


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


def run(losses: list[float]) -> pd.DataFrame:
    columns = {"train_loss": losses, "val_loss": losses, "val_accuracy": np.linspace(0, 1, len(losses))}
    return pd.DataFrame({"epoch": np.arange(1, len(losses) + 1), **columns})


def curves(ax: Axes) -> list[tuple[list[float], list[float]]]:
    return [(list(line.get_xdata()), list(line.get_ydata())) for line in ax.lines]  # type: ignore[arg-type]


def test_labels_are_safe_to_draw() -> None:
    assert label("a\x00b") == "a\N{REPLACEMENT CHARACTER}b"
    assert label("$x$") == r"\$x\$"
    assert label("abcdefgh", 5) == "ab…gh"


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


def test_final_curves_draw_the_mean_while_half_of_the_runs_train() -> None:
    figure = final_curves({"A": [run([4, 2, 1, 1]), run([2, 1]), run([3, 3, 3])]})
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
        render(final_curves(histories, columns), "svg")


def test_confusion_matrix_shows_the_mean_share_of_each_true_class() -> None:
    labels = np.array([0, 0, 1, 1])
    figure = confusion_matrix(np.array([[0, 1, 1, 1], [0, 0, 1, 1]]), labels, ["cat", "dog", "never"])
    shares = figure.axes[0].images[0].get_array()
    assert shares is not None
    np.testing.assert_allclose(shares[:2], np.array([[75, 25, 0], [0, 100, 0]]))
    assert shares[2].mask.all() or np.isnan(shares[2]).all(), "a class without images has no shares"
    assert [text.get_text() for text in figure.axes[0].texts] == ["75", "25", "100"]


@pytest.mark.parametrize("n", [2, 13, 41, 100])
def test_confusion_matrix_of_any_number_of_classes(n: int) -> None:
    names = [ODD[index % len(ODD)] + str(index) for index in range(n)]
    figure = confusion_matrix(np.arange(n)[None].repeat(2, 0), np.arange(n), names, "$")
    assert ("$a$0" in texts(figure)) == (n <= 40)
    render(figure, "png")


def test_accuracy_shows_every_seed_the_mean_and_its_interval() -> None:
    groups: dict[str, dict[str, Any]] = {
        "a-tuned": {"title": "A", "arch": "a", "accuracy": {"mean": 0.9, "ci95": [0.8, 0.95], "values": [0.89, 0.91]}},
        "b-tuned": {"title": "B", "arch": "b", "accuracy": {"mean": 0.7, "ci95": [None, None], "values": [0.7]}},
        "c-tuned": {"title": "$C$", "arch": "c", "accuracy": {"mean": None, "ci95": None, "values": []}},
    }
    figure = accuracy_by_group(groups)
    drawn = [np.round(x, 6).tolist() for x, _ in curves(figure.axes[0])]
    assert drawn[:3] == [[89, 91], [90], [80, 95]]
    assert drawn[3:5] == [[70], [70]]
    assert {"A", "B", "$C$", "test accuracy (%)"} <= set(texts(figure))
    assert "no final runs" in texts(accuracy_by_group({}, columns=1))


@pytest.mark.parametrize("count", [0, 1, 5])
def test_sample_predictions_name_truth_and_answers(count: int) -> None:
    said = {"$Net$": [("cat", 0.99)] * count, "Other": [("dog", 0.5)] * count, "Third": [("猫", 0.1)] * count}
    figure = sample_predictions(np.zeros((count, 32, 32, 3), np.uint8), ["cat"] * count, said)
    shown = " ".join(texts(figure))
    assert ("✓ $Net$:" in shown and "✗ Other:" in shown) == (count > 0)
    render(figure, "png")


def test_the_same_figure_gives_the_same_bytes_and_leaves_no_settings() -> None:
    before = dict(mpl.rcParams)
    first, second = (confusion_matrix(np.array([[0, 1]]), np.array([0, 1]), ["a", "b"]) for _ in range(2))
    assert render(first, "svg") == render(second, "svg")
    assert render(first, "png") == render(second, "png")
    assert dict(mpl.rcParams) == before
