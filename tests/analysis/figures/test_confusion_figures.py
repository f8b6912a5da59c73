"""Figures of the mistakes take any classes; what can be counted in them is counted."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

from analysis.figures.confusion import confusion_difference, confusion_matrix, mean_counts
from analysis.figures.drawing.files import render
from analysis.figures.drawing.style import COLOURS
from tests.analysis.drawn import ODD, overlaps, texts

LABELS = np.array([0, 0, 1, 1])
CLASSES = ["cat", "dog", "never"]
COUNTS = mean_counts(np.array([[0, 1, 1, 1], [0, 0, 1, 1]]), LABELS, 3)


def cells(columns: int) -> list[str]:
    """Return the texts in the cells of a small confusion matrix."""
    figure = confusion_matrix(COUNTS, CLASSES, "A", COLOURS[0], columns)
    return [text.get_text() for text in figure.axes[0].texts]


def test_confusion_matrix_shows_the_mean_share_and_count_of_each_true_class() -> None:
    shares = confusion_matrix(COUNTS, CLASSES, "A", COLOURS[0]).axes[0].images[0].get_array()
    assert shares is not None
    np.testing.assert_allclose(shares[:2], np.array([[75, 25, 0], [0, 100, 0]]))
    assert shares[2].mask.all() or np.isnan(shares[2]).all(), "a class without images has no shares"
    assert cells(columns=2) == ["75 %\n1.5", "25 %\n0.5", "100 %\n2"]
    assert cells(columns=1) == ["75", "25", "100"]


def test_a_difference_has_the_colour_of_the_network_that_gives_the_answer_more_often() -> None:
    right = mean_counts(LABELS[None], LABELS, 3)
    titles, colours = ("A $", "B"), (COLOURS[0], COLOURS[1])
    figure = confusion_difference((right, COUNTS), CLASSES, titles, colours)
    ax = figure.axes[0]
    assert [text.get_text() for text in ax.texts] == ["+25.0\n+0.5", "\N{MINUS SIGN}25.0\n\N{MINUS SIGN}0.5"]
    red, _, blue, _ = ax.images[0].to_rgba(np.array([[25.0, -25.0]]))[0, 0]
    assert blue > red, "A is right more often, and A is blue"
    assert {"A $", "\N{MINUS SIGN} B", "more often A $", "more often B"} <= set(texts(figure))


def test_of_many_classes_the_largest_confusions_are_listed() -> None:
    labels = np.repeat(np.arange(50), 10)
    said = labels.copy()
    said[:4], said[10:12] = 7, 9
    wrong, right = (mean_counts(answers[None], labels, 50) for answers in (said, labels))
    names = [f"class {index}" for index in range(50)]
    ax = confusion_matrix(wrong, names, "A", COLOURS[2]).axes[0]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["class 0 → class 7", "class 1 → class 9"]
    assert [text.get_text() for text in ax.texts] == ["40.0 (4.0)", "20.0 (2.0)"]
    figure = confusion_difference((right, wrong), names, ("A", "B"), (COLOURS[0], COLOURS[1]))
    bars = figure.axes[0].patches
    assert [(bar.get_width(), to_hex(bar.get_facecolor())) for bar in bars] == [(-40, COLOURS[1]), (-20, COLOURS[1])]  # type: ignore[attr-defined]
    assert "class 0, taken for class 7: \N{MINUS SIGN}40.0 (\N{MINUS SIGN}4.0 images)" in texts(figure), (
        "a title for the pointer"
    )
    assert "no mistakes" in texts(confusion_matrix(right, names, "A", COLOURS[0]))


@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize("n", [2, 12, 20, 40, 200])
def test_confusion_figures_of_any_number_of_classes(n: int, columns: int) -> None:
    names = [ODD[index % len(ODD)] + str(index) for index in range(n)]
    labels = np.arange(n).repeat(100)
    counts = [mean_counts(answers[None], labels, n) for answers in (labels, np.roll(labels, 30))]
    both = confusion_difference((counts[0], counts[1]), names, ("$", "B"), (COLOURS[0], COLOURS[1]), columns)
    for figure in (confusion_matrix(counts[1], names, "$", COLOURS[0], columns), both):
        render(figure, "png", dpi=72)
        ax = figure.axes[0]
        assert overlaps(ax.get_yticklabels()) == []
        assert min(text.get_fontsize() for text in (*ax.get_yticklabels(), *ax.get_xticklabels(), *ax.texts)) >= 8.5
