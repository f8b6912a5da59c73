"""Places of configurations: alike to the search, and as dense as the space allows."""

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from analysis.results.study_json import Study
from analysis.statistics.search_luck.places import Places
from study.settings.search_space import SearchSpace
from tests.analysis.example_study import TITLES
from tests.analysis.example_study_json import study_json, with_spaces

RANGES = {
    "lr": FloatDistribution(1e-4, 1e-2, log=True),
    "smoothing": FloatDistribution(0.0, 0.2, step=0.05),
    "width": IntDistribution(16, 2048, log=True),
    "depth": IntDistribution(1, 9, step=2),
    "norm": CategoricalDistribution(["None", "batch", "layer"]),
    "kernel": CategoricalDistribution([3, 5]),
    "dropout": FloatDistribution(0.0, 0.7),
}
SPACE = SearchSpace(RANGES)


def places_of(space: SearchSpace) -> Places:
    """Return the places of a space that study.json describes."""
    baselines = {"alexnet": {"lr": 1e-3}}
    study = study_json("a", {"alexnet": "AlexNet"}, baselines, ["0", "1"], 5, 8, 8, True, 240)
    told = Study.model_validate(with_spaces(study, {"alexnet": space.to_json()}))
    assert set(TITLES) >= set(told.architectures)
    return Places(told.space_of("alexnet"))


def test_places_are_those_that_the_search_measures() -> None:
    rng = np.random.default_rng(0)
    configs = [SPACE.at(point) for point in rng.random((40, len(RANGES))).tolist()]
    places = places_of(SPACE)
    assert places.of(configs) == pytest.approx(np.array([SPACE.place(config) for config in configs]))
    assert (len(places), places.numeric) == (7, SPACE.numeric)
    squared = places.distances(places.of(configs), places.of(configs[:3])).sum(axis=0)
    expected = np.sum((places.of(configs)[:, None] - places.of(configs[:3])[None]) ** 2, axis=2)
    assert squared == pytest.approx(expected)


@pytest.mark.parametrize("name", list(RANGES))
def test_spread_places_are_places_of_values_and_reach_both_ends(name: str) -> None:
    space = SearchSpace({name: RANGES[name]})
    places = places_of(space)
    spread = places.spread(256, np.random.default_rng(0))
    allowed = places.of([space.at([share]) for share in np.linspace(0, 1, 20_001)])
    nearest = np.abs(spread[:, None] - allowed[None]).max(axis=2).min(axis=1)
    assert nearest.max() < 1e-4
    ends = places.of([space.at([0.0]), space.at([1.0])])
    assert all((np.abs(spread - end).max(axis=1) < 1e-9).sum() > 5 for end in ends)


def test_a_hyperparameter_that_cannot_vary_has_no_place() -> None:
    fixed = SearchSpace({"lr": FloatDistribution(1e-3, 1e-3), "norm": CategoricalDistribution(["batch"])})
    assert len(places_of(fixed)) == 0


def test_a_baseline_outside_the_range_lies_at_its_edge() -> None:
    places = places_of(SearchSpace({"weight_decay": FloatDistribution(1e-6, 1e-2, log=True)}))
    assert places.of([{"weight_decay": 0.0}, {"weight_decay": 1.0}]).ravel().tolist() == [0.0, 1.0]
