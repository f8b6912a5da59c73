"""Calibration error, Brier score and log loss, against scikit-learn and worked values."""

import numpy as np
import pytest
from scipy import special
from sklearn.metrics import brier_score_loss, log_loss

from analysis.statistics.predictions.calibration import calibration, expected_calibration_error
from analysis.statistics.two_way_layout import TwoWayLayout


def test_the_scores_of_a_run_that_diverged_are_not_known() -> None:
    logits = np.zeros((2, 30, 3), np.float32)
    logits[1, 4] = np.nan
    found = calibration(list(logits), np.arange(30) % 3)
    assert found.ece.shape == (2,) and np.isnan(found.ece).all()
    assert np.isnan([found.brier.mean, found.log_loss.mean]).all()


def test_scores_are_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 300)
    logits = rng.normal(size=(3, 300, 4)).astype(np.float32)
    logits[:, np.arange(300), labels] += 1
    found = calibration(list(logits), labels)
    probabilities = special.softmax(logits.astype(float), axis=2)
    assert found.log_loss.mean == pytest.approx(np.mean([log_loss(labels, one) for one in probabilities]))
    by_class = [sum(brier_score_loss(labels == index, one[:, index]) for index in range(4)) for one in probabilities]
    assert found.brier.mean == pytest.approx(np.mean(by_class))
    losses = -np.log(probabilities[:, np.arange(300), labels])
    half_width = TwoWayLayout.of(losses).half_width()
    assert (found.log_loss.low, found.log_loss.high) == pytest.approx(
        (losses.mean() - half_width, losses.mean() + half_width)
    )
    alone = calibration([logits[0]], labels)
    assert np.isnan([alone.brier.low, alone.log_loss.high]).all() and alone.ece.shape == (1,)


def test_calibration_error_against_a_worked_value() -> None:
    # Two bins: 0.9 of confidence with half right, and 0.5 of confidence with all right.
    confidence, correct = np.array([0.9, 0.9, 0.5, 0.5]), np.array([True, False, True, True])
    assert expected_calibration_error(confidence, correct) == pytest.approx((0.4 + 0.5) / 2)
    assert expected_calibration_error(np.ones(3), np.ones(3, bool)) == 0.0


def test_calibrated_probabilities_have_a_small_error() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.3, 1, 100_000)
    assert expected_calibration_error(confidence, rng.random(100_000) < confidence) < 0.01
    assert expected_calibration_error(confidence, rng.random(100_000) < confidence - 0.1) == pytest.approx(
        0.1, abs=0.01
    )
