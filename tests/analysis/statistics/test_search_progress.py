"""The best score against budget, and the rungs, on searches small enough to do by hand."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.results.load import load_results
from analysis.statistics.search_progress import (
    Rung,
    best_by_epochs,
    best_score,
    best_scores,
    expected_best,
    rung_counts,
    rung_epochs,
)
from tests.analysis.example_study import write_example

NAN = float("nan")


def history(*rows: tuple[str, float, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["trial_id", "val_loss", "val_accuracy"])


def test_rungs_lie_below_the_cap() -> None:
    assert rung_epochs(2, 3, 50) == [2, 6, 18]
    assert rung_epochs(2, 3, 18) == [2, 6]
    assert rung_epochs(2, 3, 2) == []
    for grace_period, reduction_factor in ((0, 3), (2, 1)):
        with pytest.raises(ValueError, match="no rungs"):
            rung_epochs(grace_period, reduction_factor, 50)


def test_rungs_count_who_reached_them_and_who_was_stopped() -> None:
    trials = pd.DataFrame({"status": ["COMPLETE", "PRUNED", "PRUNED", "DIVERGED", "FAILED"], "epochs": [8, 2, 6, 6, 0]})
    assert rung_counts(trials, [2, 6]) == [Rung(2, 4, 1), Rung(6, 3, 1)]


def test_trials_count_in_the_order_in_which_they_ended() -> None:
    trials = pd.DataFrame({"trial_id": ["a-0", "a-1", "a-2", "a-3"], "val_accuracy": [0.7, 0.5, NAN, 0.9]})
    told = history(("a-0", 1.0, 0.6), ("a-1", 1.0, 0.5), ("a-3", 1.0, 0.9), ("a-0", 0.5, 0.7))
    best = best_scores(trials, told)
    np.testing.assert_array_equal(best.by_trials, [0.5, 0.9, 0.9, 0.9])
    np.testing.assert_array_equal(best.by_epochs, [0.6, 0.6, 0.9, 0.9])
    assert len(best.expected) == 4


def test_the_best_so_far_is_of_the_weights_kept_and_can_fall() -> None:
    told = history(("a-0", NAN, NAN), ("a-0", 1.0, 0.6), ("a-0", 0.5, 0.55), ("a-1", 2.0, 0.4), ("a-0", 0.7, 0.9))
    np.testing.assert_array_equal(best_by_epochs(told), [NAN, 0.6, 0.55, 0.55, 0.55])


def test_the_figure_and_the_budget_table_agree(tmp_path: Path) -> None:
    results = load_results(write_example(tmp_path / "s"))
    for arch in results.architectures:
        best = best_by_epochs(results.history[results.history["arch"] == arch])
        for epochs in (1, 9, len(best)):
            assert best[epochs - 1] == best_score(results.history_of(arch), epochs)


def test_a_search_that_failed_has_no_best_score() -> None:
    assert best_score(history()) is None
    assert best_score(history(("a-0", NAN, NAN))) is None
    trials = pd.DataFrame({"trial_id": ["a-0", "a-1"], "val_accuracy": [NAN, NAN]})
    best = best_scores(trials, pd.DataFrame())
    assert np.isnan(best.by_trials).all() and len(best.by_epochs) == 0
    assert np.isnan(best.expected).all()


@pytest.mark.parametrize("scores", [[0.4], [0.9, 0.1, 0.5], [0.3, 0.3, 0.8, 0.1, 0.6]])
def test_expected_best_is_the_mean_over_all_draws(scores: list[float]) -> None:
    means = [np.mean([max(drawn) for drawn in itertools.combinations(scores, n + 1)]) for n in range(len(scores))]
    np.testing.assert_allclose(expected_best(np.array(scores)), means)


def test_expected_best_of_many_trials_is_finite_and_rises_to_the_best() -> None:
    scores = np.random.default_rng(0).random(3000)
    best = expected_best(scores)
    assert best[0] == pytest.approx(scores.mean())
    assert best[-1] == pytest.approx(scores.max())
    assert (np.diff(best) > -1e-9).all()
    assert expected_best(np.array([NAN, 0.5])).tolist() == pytest.approx([0.25, 0.5])
    assert expected_best(np.empty(0)).tolist() == []
