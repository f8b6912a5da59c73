"""The expected scores of the trials of a search, where the truth is known."""

import numpy as np

from analysis.results.study_json import Range
from analysis.statistics.search_luck.expected import MOST_RUNS, expected_scores
from analysis.statistics.search_luck.luck import Run
from analysis.statistics.search_luck.places import Places
from analysis.statistics.search_luck.surfaces import LEAST_TRIALS

PLACES = Places({"lr": Range(low=1e-4, high=1e-2, log=True), "dropout": Range(low=0.0, high=0.7, log=False)})
NOISE = 0.01


def _search(count: int, seed: int) -> tuple[dict[int, Run], dict[int, float]]:
    """Return trials at random places of a hill, with noise, and their true scores."""
    rng, trials, truth = np.random.default_rng(seed), {}, {}
    for number in range(count):
        config = {"lr": float(10 ** rng.uniform(-4, -2)), "dropout": float(rng.uniform(0, 0.7))}
        truth[number] = float(0.9 - 0.05 * (np.log10(config["lr"]) + 2.6) ** 2 - 0.1 * config["dropout"] ** 2)
        trials[number] = Run(config, truth[number] + NOISE * rng.standard_normal())
    return trials, truth


def test_expected_scores_are_nearer_to_the_truth_than_scores_and_choose_better() -> None:
    errors, lost = [], []
    for seed in range(10):
        trials, truth = _search(24, seed)
        expected = expected_scores(PLACES, trials, {})
        errors.append([abs(expected[one] - truth[one]) for one in trials])
        best = max(truth.values())
        by_score = max(trials, key=lambda one: trials[one].score)
        lost.append([best - truth[by_score], best - truth[max(expected, key=expected.__getitem__)]])
    assert np.mean(errors) < 0.6 * NOISE * np.sqrt(2 / np.pi), "the mean error of a score is 0.8 of its deviation"
    by_score, by_expectation = np.mean(lost, axis=0)
    assert by_expectation < 0.7 * by_score


def test_confirmation_runs_move_the_expected_score_of_their_trial() -> None:
    trials, truth = _search(24, 0)
    before = expected_scores(PLACES, trials, {})[5]
    low, high = (expected_scores(PLACES, trials, {5: [truth[5] + off] * 2})[5] for off in (-0.04, 0.04))
    assert low < before - NOISE
    assert high > before + NOISE


def test_the_order_of_the_trials_changes_nothing() -> None:
    trials, _ = _search(24, 0)
    backwards = dict(reversed(trials.items()))
    one, other = (expected_scores(PLACES, told, {2: [0.8], 3: [0.9]}) for told in (trials, backwards))
    assert max(abs(one[number] - other[number]) for number in trials) < 1e-9


def test_every_trial_of_a_long_search_has_an_expected_score() -> None:
    trials, truth = _search(2 * MOST_RUNS, 0)
    expected = expected_scores(PLACES, trials, {})
    assert list(expected) == list(trials)
    assert max(truth.values()) - truth[max(expected, key=expected.__getitem__)] < NOISE


def test_few_trials_or_a_single_configuration_tell_nothing() -> None:
    trials, _ = _search(LEAST_TRIALS, 0)
    assert len(expected_scores(PLACES, trials, {})) == LEAST_TRIALS
    del trials[0]
    assert expected_scores(PLACES, trials, {}) == {}
    fixed = Places({"lr": Range(low=1e-3, high=1e-3, log=True)})
    assert expected_scores(fixed, {number: Run({"lr": 1e-3}, 0.5) for number in range(20)}, {}) == {}
