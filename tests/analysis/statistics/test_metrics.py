"""Metrics against scikit-learn, and the values a test image that they are means of."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

from analysis.statistics.metrics import METRICS, image_values, metric_values


def _by_scikit_learn(predictions: np.ndarray, labels: np.ndarray, n_classes: int) -> dict[str, float]:
    scores = {"precision": precision_score, "recall": recall_score, "f1": f1_score}
    macro = {
        name: score(labels, predictions, labels=range(n_classes), average="macro", zero_division=0)
        for name, score in scores.items()
    }
    return {"accuracy": accuracy_score(labels, predictions), **macro}


@settings(deadline=None)
@given(st.integers(1, 6), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_metrics_are_those_of_scikit_learn(n_classes: int, n: int, seed: int) -> None:
    """Classes that never occur, are never predicted, or neither, come up among these."""
    rng = np.random.default_rng(seed)
    predictions, labels = rng.integers(0, rng.integers(1, n_classes + 1, 2)[:, None], (2, n))
    assert metric_values(predictions, labels, n_classes) == pytest.approx(
        _by_scikit_learn(predictions, labels, n_classes)
    )


def test_known_values() -> None:
    labels, predictions = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 2, 0])
    expected = {
        "accuracy": 3 / 6,
        "precision": (2 / 3 + 1 / 2 + 0) / 3,
        "recall": (2 / 3 + 1 / 2 + 0) / 3,
        "f1": (2 / 3 + 1 / 2 + 0) / 3,
    }
    assert metric_values(predictions, labels, 3) == pytest.approx(expected)
    assert metric_values(predictions, labels, 4)["recall"] == pytest.approx(expected["recall"] * 3 / 4)


@settings(max_examples=8, deadline=None)
@given(st.integers(2, 5), st.integers(2, 40), st.integers(0, 2**32 - 1))
def test_the_mean_over_images_is_the_metric(n_classes: int, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, predictions = rng.integers(0, n_classes, n), rng.integers(0, n_classes, (3, n))
    values = image_values(predictions, labels, n_classes)
    assert set(values) == set(METRICS)
    for name, array in values.items():
        assert array.shape == (3, n)
        for run in range(3):
            expected = _by_scikit_learn(predictions[run], labels, n_classes)[name]
            assert array[run].mean() == pytest.approx(expected, abs=1e-12)


def test_accuracy_an_image_is_whether_it_is_right() -> None:
    values = image_values(np.array([[0, 1, 1], [2, 2, 2]]), np.array([0, 1, 2]), 3)["accuracy"]
    assert values.tolist() == [[1, 1, 0], [0, 0, 1]]


@pytest.mark.parametrize("metric", METRICS)
def test_the_spread_over_images_is_that_of_the_metric_over_test_sets(metric: str) -> None:
    """Standard error from one test set, against the deviation over many drawn afresh."""
    rng = np.random.default_rng(0)
    n, n_classes = 600, 3

    def draw() -> tuple[np.ndarray, np.ndarray]:
        labels = rng.choice(n_classes, n, p=[0.6, 0.3, 0.1])
        guesses = rng.integers(0, n_classes, n)
        return np.where(rng.random(n) < 0.7, labels, guesses), labels

    metrics, errors = [], []
    for _ in range(400):
        predictions, labels = draw()
        values = image_values(predictions[None], labels, n_classes)[metric]
        metrics.append(values.mean())
        errors.append(values.std(ddof=1) / np.sqrt(n))
    assert np.mean(errors) == pytest.approx(np.std(metrics), rel=0.12)


def test_nothing_right_and_everything_right() -> None:
    labels = np.array([0, 1, 2, 0])
    assert set(metric_values(labels, labels, 3).values()) == {1.0}
    assert set(metric_values((labels + 1) % 3, labels, 3).values()) == {0.0}
