"""Differences in recall by class and intervals of F1, against the comparison of networks and simulated test sets."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from analysis.statistics.comparison import compare, holm
from analysis.statistics.predictions.by_class import f1_interval, f1_intervals, recall_differences


def test_a_class_is_compared_as_networks_are_on_its_images() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2, 3], [200, 100, 60, 1])
    a, b = rng.random((6, 361)) < 0.9, rng.random((6, 361)) < np.where(labels == 1, 0.6, 0.88)
    found = recall_differences(a, b, labels, 5)
    by_hand = [compare(a[:, labels == index], b[:, labels == index]) for index in range(3)]
    np.testing.assert_allclose(found.mean[:3], [one.mean for one in by_hand])
    np.testing.assert_allclose(np.stack([found.low, found.high], axis=1)[:3], [one.ci95 for one in by_hand])
    np.testing.assert_allclose(found.holm_p[:3], holm([one.p_value for one in by_hand]))
    assert found.holm_p[1] < 0.001
    assert np.isnan([found.mean[3:], found.low[3:], found.high[3:], found.holm_p[3:]]).all(), "1 image and none"


def test_an_interval_ends_at_a_difference_of_1() -> None:
    a, b = np.ones((5, 10), bool), np.zeros((5, 10), bool)
    b[0] = True
    found = recall_differences(a, b, np.zeros(10, int), 1)
    assert (found.mean[0], found.high[0]) == (0.8, 1.0) and found.low[0] < 0.8


def answers(rng: np.random.Generator, n_seeds: int, n_images: int) -> tuple[np.ndarray, np.ndarray]:
    """Return predictions and labels of 5 classes: seeds and images both vary."""
    labels = rng.integers(0, 5, n_images)
    logits = rng.normal(size=(n_seeds, n_images, 5))
    logits[:, np.arange(n_images), labels] += 2 + 0.1 * rng.normal(size=(n_seeds, 1)) - rng.normal(size=n_images)
    return logits.argmax(axis=2), labels


def test_the_interval_of_f1_holds_the_f1_of_fresh_seeds_and_images() -> None:
    rng = np.random.default_rng(0)
    predictions, labels = answers(rng, 20, 10_000)
    truth = np.mean([f1_score(labels, run, average="macro") for run in predictions])
    limits = np.array([f1_interval(*answers(rng, 5, 400), 0) for _ in range(250)])
    # A standard error of the share is 0.014.
    assert 0.91 <= np.mean((limits[:, 0] <= truth) & (truth <= limits[:, 1])) <= 0.99


def test_the_interval_of_f1_lies_around_it() -> None:
    predictions, labels = answers(np.random.default_rng(0), 5, 400)
    low, high = f1_interval(predictions, labels, 3)
    mean = np.mean([f1_score(labels, run, average=None)[3] for run in predictions])
    assert low < mean < high
    assert np.isnan(f1_interval(predictions[:1], labels, 3)).all()
    assert f1_interval(np.zeros((5, 400), int), np.arange(400) % 2, 1) == pytest.approx((0, 3 / 400))
    found = f1_intervals(predictions, labels, 6, [3, 5])
    assert found[:, 3].tolist() == [low, high]
    assert np.isnan(np.delete(found, 3, axis=1)).all(), "class 5 has no test image"
