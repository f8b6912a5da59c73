"""The luck of a search, estimated from searches of known surfaces."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from analysis.results.study_json import Choices, Dimension, Range
from analysis.statistics.search_luck.luck import Run, SearchRecord, search_luck
from analysis.statistics.search_luck.places import Places
from analysis.statistics.search_luck.replica import Plan, Replica
from analysis.statistics.search_luck.surfaces import LEAST_TRIALS, Fit, Surfaces

RATE = Range(low=1e-4, high=1e-2, log=True)
SPACE: dict[str, Dimension] = {"lr": RATE, "dropout": Range(low=0.0, high=0.7, log=False)}
MANY: dict[str, Dimension] = {
    **SPACE,
    "model.depth": Range(low=1, high=9, log=False, type="int", step=2),
    "model.norm": Choices(choices=["None", "batch"]),
}


def hill(config: Mapping[str, Any]) -> float:
    return float(0.9 - 0.05 * (np.log10(config["lr"]) + 2.6) ** 2 - 0.1 * config["dropout"] ** 2)


def record(trials: int, noise: float, space: dict[str, Dimension], seed: int = 0) -> SearchRecord:
    """Return a search that tried random configurations of a hill, and confirmed the three best."""
    rng = np.random.default_rng(seed)
    configs: list[dict[str, Any]] = [
        {"lr": 1e-3, "dropout": 0.5, "model.depth": 5, "model.norm": "batch"},
        *(
            {
                "lr": float(10 ** rng.uniform(-4, -2)),
                "dropout": float(rng.uniform(0, 0.7)),
                "model.depth": int(rng.choice([1, 3, 5, 7, 9])),
                "model.norm": str(rng.choice(["None", "batch"])),
            }
            for _ in range(trials - 1)
        ),
    ]
    configs = [{name: config[name] for name in space} for config in configs]

    def run(config: Mapping[str, Any]) -> Run:
        return Run(config, hill(config) + noise * rng.standard_normal())

    tried = [run(config) for config in configs]
    leaders = sorted(tried, key=lambda one: -one.score)[:3]
    return SearchRecord(space, tried, [run(one.config) for one in leaders for _ in range(2)], trials, 3)


@pytest.mark.parametrize("space", [SPACE, MANY], ids=["two", "every kind"])
def test_luck_is_positive_small_and_always_the_same(space: dict[str, Dimension]) -> None:
    search = record(16, 0.01, space)
    luck = search_luck(search)
    assert 0 < luck < 0.05
    assert search_luck(record(16, 0.01, space)) == luck


@pytest.mark.slow
def test_luck_grows_with_noise_and_shrinks_with_trials() -> None:
    def mean(trials: int, noise: float) -> float:
        return float(np.mean([search_luck(record(trials, noise, SPACE, seed)) for seed in range(4)]))

    assert mean(24, 0.002) < mean(24, 0.02)
    assert mean(24, 0.01) < mean(8, 0.01)


def test_a_space_of_one_configuration_has_no_luck() -> None:
    fixed: dict[str, Dimension] = {"lr": Range(low=1e-3, high=1e-3, log=True)}
    runs = [Run({"lr": 1e-3}, 0.5 + 0.01 * number) for number in range(8)]
    assert search_luck(SearchRecord(fixed, runs, runs[:2], 8, 2)) == 0.0


def test_equal_scores_are_no_error() -> None:
    runs = [Run(one.config, 0.8) for one in record(12, 0.0, SPACE).trials]
    assert search_luck(SearchRecord(SPACE, runs, runs[:2], 12, 1)) == pytest.approx(0, abs=1e-6)


def test_a_failed_configuration_hardly_matters() -> None:
    search = record(16, 0.005, SPACE)
    worst = min(range(16), key=lambda number: search.trials[number].score)
    failed = [Run(one.config, 0.0) if index == worst else one for index, one in enumerate(search.trials)]
    assert search_luck(replace(search, trials=failed)) < 3 * search_luck(search) + 0.005


def test_too_few_trials_or_no_confirmation_do_not_suffice() -> None:
    assert record(LEAST_TRIALS, 0.01, SPACE).suffices()
    assert not record(LEAST_TRIALS - 1, 0.01, SPACE).suffices()
    assert not replace(record(LEAST_TRIALS, 0.01, SPACE), confirm=0, confirmations=[]).suffices()


def test_surfaces_pass_near_scores_without_noise_and_differ_far_from_them() -> None:
    rng, places = np.random.default_rng(0), Places(SPACE)
    search = record(24, 0.0, SPACE)
    told = places.of([one.config for one in search.trials])
    scores = np.array([one.score for one in search.trials])
    points = np.concatenate([told, places.spread(64, rng)])
    fit = Fit.of(scores, places.distances(told, told), rng)
    drawn = fit.draw(places.distances(points, told), places.distances(points, points), 8, rng)
    best = scores > np.median(scores)
    assert np.abs(drawn.scores[:, :24] - scores)[:, best].max() < 0.01
    assert drawn.scores[:, 24:].std(axis=0).mean() > drawn.scores[:, :24].std(axis=0).mean()


def test_the_replica_finds_the_top_of_a_hill_and_begins_where_it_must() -> None:
    rng, places = np.random.default_rng(0), Places(SPACE)
    points = np.concatenate([places.of([{"lr": 1e-3, "dropout": 0.5}]), places.spread(256, rng)])
    heights = np.array([hill({"lr": 1e-4 * 100 ** place[0], "dropout": 0.7 * place[1]}) for place in points])
    replica = Replica(Plan(16, 3, (0,), 2), places.distances(points, points), rng)
    played = replica.play(Surfaces(np.tile(heights, (20, 1)), np.full((20, 1), 0.002)))
    assert (played.tried[:, 0] == 0).all()
    assert played.tried.shape == (20, 16)
    assert np.mean(heights.max() - played.chosen) < 0.003
    at_random = heights[np.random.default_rng(1).integers(257, size=(20, 16))].max(axis=1)
    assert played.chosen.mean() > at_random.mean() - 0.001
