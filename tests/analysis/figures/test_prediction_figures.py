"""Figures of the networks' answers take any classes; what can be counted in them is counted."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from analysis.figures.drawing.files import render
from analysis.figures.drawing.style import COLOURS
from analysis.figures.predictions import class_f1, f1_by_class, sample_predictions
from tests.analysis.drawn import ODD, curves, overlaps, texts


def figure_images(count: int) -> np.ndarray:
    """Return black images, uint8 [count, 32, 32, 3]."""
    return np.zeros((count, 32, 32, 3), np.uint8)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_sample_predictions_name_truth_and_answers(count: int) -> None:
    said = {"$Net$": [("cat", 0.99)] * count, "Other": [("dog", 0.5)] * count, "Third": [("猫", 0.1)] * count}
    figure = sample_predictions(figure_images(count), ["cat"] * count, said)
    shown = " ".join(texts(figure))
    assert ("✓ $Net$:" in shown and "✗ Other:" in shown) == (count > 0)
    files = [f"cat/{index}.jpg" for index in range(count)]
    assert (
        {"0.jpg", "cat/0.jpg"} <= set(texts(sample_predictions(figure_images(count), ["cat"] * count, said, files)))
    ) == (count > 0)
    render(figure, "png")


def test_f1_of_each_class_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    labels, said = rng.integers(0, 4, 60), rng.integers(0, 4, (3, 60))
    scores = f1_by_class(said, labels, 5)
    for run, row in zip(said, scores, strict=True):
        np.testing.assert_allclose(row[:4], f1_score(labels, run, labels=range(4), average=None))
    assert np.isnan(scores[:, 4]).all(), "a class that does not occur has none"


def unknown(scores: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the intervals of networks with one seed."""
    return {title: np.full((2, values.shape[1]), np.nan) for title, values in scores.items()}


def test_f1_of_a_class_is_shown_as_mean_and_interval() -> None:
    scores = {"A": np.array([[0.5, np.nan], [0.7, np.nan]]), "$B$": np.array([[0.9, 1.0]])}
    intervals = unknown(scores)
    intervals["A"][:, 0] = 0.4, 0.75
    figure = class_f1(scores, intervals, ["cat", "never"], [0, 2])
    (ax,) = figure.axes
    assert [np.round(x, 6).tolist()[0] for x, _ in curves(ax)] == [60, 90]
    bar = ax.collections[0].get_segments()[0]  # type: ignore[attr-defined]
    assert bar[:, 0].round(6).tolist() == [40, 75]
    assert [line.get_color() for line in ax.lines] == [COLOURS[0], COLOURS[2]], "colours are those of the study"
    assert {"A", "$B$", "cat", "F1 (%)"} <= set(texts(figure))


def test_f1_of_many_classes_shows_the_lowest_and_the_highest() -> None:
    scores = np.append(np.linspace(1, 0, 199), np.nan)[None]
    both = {"A": scores, "B": scores}
    figure = class_f1(both, unknown(both), [f"class {index}" for index in range(200)], [0, 1], columns=1)
    shown = [int(text.get_text().removeprefix("class ")) for text in figure.axes[0].get_yticklabels()]
    assert shown == [*range(198, 183, -1), *range(14, -1, -1)], "a class that does not occur is not among them"
    assert "170 classes between are not shown" in texts(figure)


@pytest.mark.parametrize("n", [1, 40, 41, 100])
def test_f1_of_any_names_is_drawn(n: int) -> None:
    names = [ODD[index % len(ODD)] + str(index) for index in range(n)]
    scores = {"A": np.linspace(1, 0, n)[None]}
    figure = class_f1(scores, unknown(scores), names, [0], columns=1)
    render(figure, "png", dpi=72)
    assert overlaps(figure.axes[0].get_yticklabels()) == []
