"""Search spaces of any hyperparameters, from the first proposal to the figures."""

import math
from itertools import combinations
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from pydantic import TypeAdapter

from analysis.figures.drawing.files import render
from analysis.figures.search.space import search_space
from analysis.results.study_folder import TRIAL_COLUMNS, StudyFolder
from analysis.results.study_json import Dimension
from analysis.statistics.importance import importance
from analysis.statistics.search_luck.luck import Run, SearchRecord
from models.training.history import EpochResult
from models.training.recipe import TrainingConfig
from study.search.ledger import Ledger
from study.search.sampler import NEAREST, Sampler
from study.search.search import Search
from study.search.trial import Status, Trial
from study.settings.search_space import SEARCH_SPACE, SearchSpace
from tests.analysis.drawn import texts
from tests.builders import epoch
from tests.study.search.played import EARLY, make_config, play

THREE = SearchSpace(
    {
        "lr": FloatDistribution(1e-4, 1e-2, log=True),
        "dropout": FloatDistribution(0.0, 0.7),
        "pooling": CategoricalDistribution(["max", "mean", "none"]),
    }
)
BASELINE = TrainingConfig({"lr": 1e-3, "dropout": 0.5, "pooling": "none"}, max_epochs=4)


@pytest.fixture(autouse=True)
def quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)


TITLES = {"lr": "learning rate", "dropout": "dropout", "pooling": "pooling", "width": "width"}


def _score(lr: float, dropout: float, pooling: str = "mean") -> float:
    distance = 0.1 * math.log10(lr / 2e-4) ** 2 + 0.1 * (dropout - 0.2) ** 2
    return 0.1 if lr > 3e-3 else 0.6 - distance - 0.3 * (pooling != "mean")


# Proposals for AlexNet with seed 0, recorded from a study of the scores above.
RECORDED = [
    (0.002846855164149526, 0.3079374134540558),
    (0.005065118442428954, 0.4320869088172912),
    (0.00010000000000000009, 0.0),
    (0.0004967407555351632, 0.6575476650953532),
    (0.0009954375085927478, 0.18232850740308593),
    (0.0019225015793646809, 0.0),
    (0.0001165206823714264, 0.7),
    (0.00031819526500137594, 0.3765876412391662),
    (0.001252407844970687, 0.24099405480139854),
]


def test_learning_rate_and_dropout_are_proposed_as_they_always_were() -> None:
    sampler = Sampler("alexnet", SEARCH_SPACE, seed=0)
    running = [Trial("alexnet", 0, {"lr": 1e-3, "dropout": 0.5})]
    sampler.begin(running[0])
    ends: dict[int, Status] = {3: "DIVERGED", 5: "FAILED", 6: "PRUNED", 7: "STOPPED_EARLY"}
    for number, recorded in enumerate(RECORDED, start=1):
        values = sampler.suggest(number)
        assert (values["lr"], values["dropout"]) == pytest.approx(recorded, rel=1e-6)
        running.append(Trial("alexnet", number, values))
        if len(running) > 2:
            trial = running.pop(0)
            score = _score(**trial.values)  # type: ignore[arg-type]
            trial.history = [epoch(1, 1.0, score / 2), epoch(2, 0.5, score)]
            trial.status = ends.get(trial.number, "COMPLETE")
            sampler.end(trial)


@given(st.lists(st.floats(0, 1), min_size=5, max_size=5))
def test_every_point_of_the_unit_cube_is_a_configuration_of_the_space(point: list[float]) -> None:
    space = SearchSpace({**THREE.ranges, "width": IntDistribution(16, 512, log=True), "depth": IntDistribution(1, 3)})
    values = space.at(point)
    assert all(space.holds(name, value) for name, value in values.items())
    assert isinstance(values["width"], int) and isinstance(values["depth"], int)
    lr, dropout, *pooling, width, depth = space.place(values)
    assert (lr, dropout) == pytest.approx(point[:2], abs=1e-9)
    assert abs(width - point[3]) < 0.02
    assert abs(depth - point[4]) <= 1 / 6 + 1e-9
    assert np.flatnonzero(pooling).tolist() == [min(int(3 * point[2]), 2)]


def test_whole_numbers_and_choices_come_equally_often() -> None:
    space = SearchSpace({"depth": IntDistribution(1, 3), "pooling": THREE.ranges["pooling"]})
    shares = [(index + 0.5) / 300 for index in range(300)]
    for name, each in (("depth", [1, 2, 3]), ("pooling", ["max", "mean", "none"])):
        drawn = [space.at((share, share))[name] for share in shares]
        assert [drawn.count(value) for value in each] == [100, 100, 100]


def test_two_choices_lie_one_apart() -> None:
    places = [THREE.place({"lr": 1e-3, "dropout": 0.1, "pooling": pooling}) for pooling in ("max", "mean", "none")]
    assert [math.dist(*pair) for pair in combinations(places, 2)] == pytest.approx([1, 1, 1])


def test_a_space_of_few_configurations_is_searched_beyond_its_end() -> None:
    space = SearchSpace({"pooling": THREE.ranges["pooling"]})
    sampler, proposed = Sampler("alexnet", space, seed=0), []
    for number in range(1, 7):
        proposed.append(sampler.suggest(number))
        sampler.end(Trial("alexnet", number, proposed[-1], "COMPLETE", history=[epoch(1, 1.0, 0.1 * number)]))
    assert {values["pooling"] for values in proposed[:3]} == {"max", "mean", "none"}, "no choice twice before each once"


def _curve(trial: Trial, number: int) -> EpochResult:
    return epoch(number, 1 / number, _score(**trial.values) + 0.01 * number)  # type: ignore[arg-type]


@pytest.mark.slow
def test_three_hyperparameters_from_the_search_to_the_figures(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    config = make_config(trials=20, max_epochs=4, archs=("alexnet",))

    def opened() -> Search:
        return Search(config, {"alexnet": BASELINE}, Ledger(folder.journal), EARLY, spaces={"alexnet": THREE})

    search = opened()
    play(search, _curve, concurrency=2)
    assert search.is_done()
    first, *others = search.ledger.trials()
    assert search.recipe(first).values == BASELINE.values
    assert all(list(trial.values) == ["lr", "dropout", "pooling"] for trial in others)
    places = [THREE.place(trial.values) for trial in others]
    assert min(math.dist(*pair) for pair in combinations(places, 2)) >= NEAREST / math.sqrt(20)
    assert search.leaders("alexnet")[0].values["pooling"] == "mean"
    assert [trial.values for trial in opened().ledger.trials()] == [trial.values for trial in search.ledger.trials()]

    folder.write_trials(search.ledger.trials_table())
    trials = folder.read_trials()
    assert trials is not None
    assert list(trials.columns) == [*TRIAL_COLUMNS[:4], "pooling", *TRIAL_COLUMNS[4:]]
    assert trials["pooling"].tolist() == [trial.values["pooling"] for trial in search.ledger.trials()]

    scored = [Run(trial.values, trial.told) for trial in search.ledger.trials() if trial.told is not None]
    space = {name: TypeAdapter(Dimension).validate_python(one) for name, one in THREE.to_json().items()}
    assert set(importance(SearchRecord(space, scored, [], 20, 0)).shares) == {"lr", "dropout", "pooling"}

    spaces = {"alexnet": THREE.to_json()}
    figure = search_space(trials, {"alexnet": "AlexNet"}, spaces, TITLES, {"alexnet": "alexnet-0"})
    panels = [ax for ax in figure.axes if ax.get_xlabel()]
    assert [(ax.get_xlabel(), ax.get_ylabel()) for ax in panels] == [
        ("learning rate", "dropout"),
        ("learning rate", "pooling"),
        ("dropout", "pooling"),
    ]
    assert {"max", "mean", "none"} <= set(texts(figure))
    drawn = [float(line.get_ydata()[0]) for line in panels[1].lines if line.get_markersize() < 10]  # type: ignore[index]
    assert drawn == [["max", "mean", "none"].index(choice) for choice in trials["pooling"]]
    render(figure, "png")


def test_one_hyperparameter_is_drawn_against_the_score() -> None:
    trials = pd.DataFrame(
        {
            "trial_id": ["a-0", "a-1"],
            "arch": "a",
            "width": [64, 128],
            "status": "COMPLETE",
            "epochs": 1,
            "val_accuracy": [0.5, np.nan],
            "is_baseline": [True, False],
        }
    )
    figure = search_space(trials, {"a": "A"}, {"a": {"width": {"low": 16, "high": 256, "log": True}}}, TITLES)
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("width", "validation accuracy (%)")
    assert [float(line.get_xdata()[0]) for line in figure.axes[0].lines if line.get_marker() == "o"] == [64, 128]  # type: ignore[index]
    render(figure, "svg")


def test_study_json_describes_each_range() -> None:
    space = SearchSpace({**THREE.ranges, "width": IntDistribution(16, 512, log=True)})
    assert space.to_json() == {
        "lr": {"low": 1e-4, "high": 1e-2, "log": True},
        "dropout": {"low": 0.0, "high": 0.7, "log": False},
        "pooling": {"choices": ["max", "mean", "none"]},
        "width": {"type": "int", "low": 16, "high": 512, "log": True},
    }
    assert not space.holds("pooling", "median") and not space.holds("width", 8) and not space.holds("lr", "low")
