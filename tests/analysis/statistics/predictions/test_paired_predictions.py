"""Differences in macro averages and the kappa of errors, against scikit-learn and simulated studies."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, f1_score, precision_score, recall_score

from analysis.statistics.metrics import image_values
from analysis.statistics.predictions.paired_predictions import FEW_ANSWERS, error_kappa, metric_differences
from analysis.statistics.two_way_layout import TwoWayLayout

SCORES = {"precision": precision_score, "recall": recall_score, "f1": f1_score}


def networks(rng: np.random.Generator, n_seeds: int, n_images: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return predictions of two networks and labels of 4 classes: seeds and images vary, A is as good as B."""
    labels, difficulty = rng.integers(0, 4, n_images), rng.normal(size=n_images)
    sides = []
    for _ in range(2):
        logits = rng.normal(size=(n_seeds, n_images, 4))
        logits[:, np.arange(n_images), labels] += 2 + 0.1 * rng.normal(size=(n_seeds, 1)) - difficulty
        sides.append(logits.argmax(axis=2))
    return sides[0], sides[1], labels


def test_the_means_are_scikit_learns() -> None:
    a, b, labels = networks(np.random.default_rng(0), 3, 200)
    found = metric_differences(a, b, labels, 4)
    for name, score in SCORES.items():
        means = [np.mean([score(labels, run, average="macro") for run in side]) for side in (a, b)]
        assert found[name].mean == pytest.approx(means[0] - means[1])
        assert found[name].low < found[name].mean < found[name].high


def test_the_intervals_hold_no_difference_in_95_of_100_studies() -> None:
    rng = np.random.default_rng(1)
    found = [metric_differences(*networks(rng, 5, 200), 4) for _ in range(150)]
    for name in SCORES:
        # A standard error of the share is 0.018.
        assert 0.9 <= np.mean([one[name].low <= 0 <= one[name].high for one in found]) <= 0.99, name


def test_macro_precision_of_few_answers_has_the_deviation_of_a_bootstrap() -> None:
    a, b, labels = networks(np.random.default_rng(0), 3, 200)
    a[1][a[1] == 3] = 0
    for answers, is_wider in ((FEW_ANSWERS, False), (FEW_ANSWERS - 7, True)):
        a[1, :FEW_ANSWERS] = 0
        a[1, :answers] = 3
        found = metric_differences(a, b, labels, 4)["precision"]
        values = image_values(a, labels, 4)["precision"] - image_values(b, labels, 4)["precision"]
        assert (found.high - found.mean > 1.05 * TwoWayLayout.of(values).half_width()) == is_wider


@pytest.mark.slow
def test_the_interval_of_macro_precision_holds_it_if_answers_are_few() -> None:
    """B gives the rare class as the answer about 3 times in 300 images."""
    rng = np.random.default_rng(0)
    n = 50_000
    labels, difficulty = (rng.random(n) < 0.03).astype(int), rng.normal(size=n)
    a, b = (
        (np.where(labels == 1, hits, -misses) + 0.5 * difficulty + 0.5 * rng.normal(size=(3, n)) > 0).astype(int)
        for hits, misses in ((0.5, 1.2), (-0.5, 1.9))
    )
    truth = metric_differences(a, b, labels, 2)["precision"].mean
    limits = []
    for _ in range(80):
        drawn = rng.integers(n, size=300)
        one = metric_differences(a[:, drawn], b[:, drawn], labels[drawn], 2)["precision"]
        limits.append((one.low, one.high))
    low, high = np.array(limits).T
    # A standard error of the share is 0.02. The influences alone hold it in 88 %.
    assert np.mean((low <= truth) & (truth <= high)) >= 0.92


def test_kappa_of_errors_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random((3, 100)) < 0.8, rng.random((3, 100)) < 0.7
    b[:, :50] = a[:, :50]
    assert error_kappa(a, b) == pytest.approx(np.mean([cohen_kappa_score(*pair) for pair in zip(a, b, strict=True)]))
    assert error_kappa(a, a) == 1.0
    never = np.ones((2, 10), bool)
    assert np.isnan(error_kappa(never, never))
    assert error_kappa(np.concatenate([never, ~never]), np.concatenate([never, never])) == pytest.approx(0)
