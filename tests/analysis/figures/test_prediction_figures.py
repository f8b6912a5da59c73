"""Figures of the networks' answers take any classes; what can be counted in them is counted."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from analysis.figures.predictions import class_f1, confusion_matrix, f1_by_class, sample_predictions
from analysis.figures.style import COLOURS, render
from tests.analysis.drawn import ODD, curves, texts


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


@pytest.mark.parametrize("count", [0, 1, 5])
def test_sample_predictions_name_truth_and_answers(count: int) -> None:
    said = {"$Net$": [("cat", 0.99)] * count, "Other": [("dog", 0.5)] * count, "Third": [("猫", 0.1)] * count}
    figure = sample_predictions(np.zeros((count, 32, 32, 3), np.uint8), ["cat"] * count, said)
    shown = " ".join(texts(figure))
    assert ("✓ $Net$:" in shown and "✗ Other:" in shown) == (count > 0)
    render(figure, "png")


def test_f1_of_each_class_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    labels, said = rng.integers(0, 4, 60), rng.integers(0, 4, (3, 60))
    scores = f1_by_class(said, labels, 5)
    for run, row in zip(said, scores, strict=True):
        np.testing.assert_allclose(row[:4], f1_score(labels, run, labels=range(4), average=None))
    assert np.isnan(scores[:, 4]).all(), "a class that does not occur has none"


def test_f1_of_a_class_is_shown_as_mean_and_range() -> None:
    scores = {"A": np.array([[0.5, np.nan], [0.7, np.nan]]), "$B$": np.array([[0.9, 1.0]])}
    figure = class_f1(scores, ["cat", "never"], [0, 2])
    (ax,) = figure.axes
    assert [np.round(x, 6).tolist()[0] for x, _ in curves(ax)] == [60, 90]
    bar = ax.collections[0].get_segments()[0]  # type: ignore[attr-defined]
    assert bar[:, 0].round(6).tolist() == [50, 70]
    assert [line.get_color() for line in ax.lines] == [COLOURS[0], COLOURS[2]], "colours are those of the study"
    assert {"A", "$B$", "cat", "F1 (%)"} <= set(texts(figure))


@pytest.mark.parametrize("n", [1, 41, 100])
def test_f1_of_many_classes_shows_the_hardest(n: int) -> None:
    scores = np.linspace(1, 0, n)[None]
    names = [ODD[index % len(ODD)] + str(index) for index in range(n)]
    figure = class_f1({"A": scores, "B": scores}, names, [0, 1], columns=1)
    shown = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert len(shown) == min(n, 40)
    assert shown[0].endswith(str(n - 1)), "the class of lowest F1 comes first, where not all are shown"
    render(figure, "png")
