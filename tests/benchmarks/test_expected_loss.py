"""The expected loss of accuracy, on searches whose choices are known."""

import numpy as np
import pytest

from benchmarks.expected_loss import compare, losses
from benchmarks.replay import Choice, Played


def _played(epochs: int, *choices: tuple[int, float]) -> Played:
    """A search that chooses configurations of these expected scores at these epochs. Every run of it was lucky."""
    return Played([Choice(epoch, 0.0, 0.9, expected) for epoch, expected in choices], epochs, 0.0, 0.9, False)


def test_a_loss_lasts_until_the_next_choice_and_a_draw_by_lot_comes_before_the_first() -> None:
    lost = losses([_played(4, (2, 0.6), (4, 0.7)), _played(2, (1, 0.5))], best=0.7, by_lot=0.4)
    assert lost == pytest.approx(np.array([[30, 10, 10, 0], [20, 20, 20, 20]]))


def test_epochs_count_until_the_mean_loss_stays_at_what_random_search_loses() -> None:
    """By hand: the mean is 20, 10, 20, 10, 5 points, and random search ends at 10."""
    side = np.array([[20.0, 0, 20, 10, 5], [20.0, 20, 20, 10, 5]])
    random = np.array([[30.0, 10], [30, 10]])
    compared = compare(side, random)
    assert compared.epochs_to_random == 4
    assert compared.epochs_to_random_ci95 == (4, 4)
    assert (compared.expected_loss, compared.expected_loss_ci95) == (5, (5, 5))
    assert compare(side + 10, random).epochs_to_random == np.inf


def test_intervals_are_over_repetitions() -> None:
    """The mean of 100 repetitions with a deviation of 2 has a standard error of 0.2."""
    rng = np.random.default_rng(1)
    lost = 10 + 2 * rng.standard_normal((100, 1))
    low, high = compare(lost, lost).expected_loss_ci95
    assert (high - low) / 2 == pytest.approx(1.96 * 2 / 10, rel=0.2)
    assert low < lost.mean() < high
