"""The accuracy of the run with the lowest validation loss, against every subset and against simulation."""

from itertools import combinations

import numpy as np
import pytest

from analysis.statistics.predictions.chosen_run import accuracy_interval, expected_of_chosen


@pytest.mark.parametrize("among", [1, 2, 3, 5, 6])
def test_it_is_the_mean_over_every_subset(among: int) -> None:
    rng = np.random.default_rng(0)
    losses, accuracies = rng.random(6).round(1), rng.random(6)
    by_hand = [accuracies[min(chosen, key=lambda run: (losses[run], run))] for chosen in combinations(range(6), among)]
    assert expected_of_chosen(losses, accuracies, among) == pytest.approx(np.mean(by_hand))


def test_the_chosen_runs_own_accuracy_is_not_biased_and_the_mean_of_all_runs_is() -> None:
    """Validation loss tells something of a run's true accuracy. Test images add noise that it does not know."""
    rng = np.random.default_rng(0)
    true = rng.normal(size=(20_000, 5))
    losses = -0.67 * true + np.sqrt(1 - 0.67**2) * rng.normal(size=true.shape)
    tested = true + rng.normal(size=true.shape)
    best = losses.argmin(axis=1)[:, None]
    of_chosen = np.take_along_axis(true, best, axis=1).mean()
    own = np.take_along_axis(tested, best, axis=1).mean()
    # A standard error of each mean is below 0.01 of a deviation between runs.
    assert own == pytest.approx(of_chosen, abs=0.03)
    assert tested.mean() == pytest.approx(of_chosen - 0.78, abs=0.03)
    among_3 = np.mean([expected_of_chosen(*pair, 3) for pair in zip(losses[:5000], tested[:5000], strict=True)])
    fresh = losses[:, :3].argmin(axis=1)[:, None]
    assert among_3 == pytest.approx(np.take_along_axis(true[:, :3], fresh, axis=1).mean(), abs=0.05)


def test_the_interval_of_one_run_against_wilsons() -> None:
    correct = np.arange(100) < 90
    assert accuracy_interval(correct) == pytest.approx((0.8256, 0.9448), abs=1e-4)
