"""Search spaces of every kind, a different one for each network, searched without Ray."""

import csv
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.results import optuna_database
from analysis.results.study_folder import StudyFolder
from models.training.history import EpochResult
from study.search.ledger import Ledger
from study.search.sampler import Sampler
from study.search.search import Search
from study.search.trial import Trial
from study.settings.config import StudyConfig
from study.settings.networks import space_of
from study.settings.search_space import SearchSpace
from study.storage.provenance import search_settings
from tests.builders import epoch
from tests.study.search.played import make_config, open_search, play

LR = {"type": "float", "low": 1e-4, "high": 1e-2, "log": True}
FIXED_LR = {"type": "categorical", "choices": [2e-3]}
DECAY = {"type": "float", "low": 0.0, "high": 0.1, "step": 0.02}
SEVEN: dict[str, Any] = {
    "lr": LR,
    "weight_decay": DECAY,
    "label_smoothing": {"type": "float", "low": 0.0, "high": 0.3},
    "dropout": {"type": "categorical", "choices": [0.0, 0.1, 0.5]},
    "model.width": {"type": "int", "low": 16, "high": 256, "log": True},
    "model.depth": {"type": "int", "low": 2, "high": 10, "step": 4},
    "model.norm": {"type": "categorical", "choices": [True, False]},
}
WORDS = {"lr": FIXED_LR, "model.pool": {"type": "categorical", "choices": ["max", "mean"]}}
SPACES: dict[str, dict[str, Any]] = {
    "seven": SEVEN,
    "one": {"lr": LR},
    "words": WORDS,
    "grid": {"lr": FIXED_LR, "weight_decay": DECAY},
    "fixed": {"lr": FIXED_LR},
}


@pytest.fixture(autouse=True)
def quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)


@pytest.mark.parametrize("name", SPACES)
def test_every_space_comes_back_from_json(name: str) -> None:
    space = SearchSpace.from_json(SPACES[name])
    assert SearchSpace.from_json(json.loads(json.dumps(space.to_json()))) == space


@given(st.lists(st.floats(0, 1), min_size=7, max_size=7))
def test_every_point_is_a_configuration_on_the_grid(point: list[float]) -> None:
    space = SearchSpace.from_json(SEVEN)
    values = space.at(point)
    assert all(space.holds(name, value) for name, value in values.items())
    assert values["weight_decay"] in (0.0, 0.02, 0.04, 0.06, 0.08, 0.1)
    assert values["model.depth"] in (2, 6, 10) and isinstance(values["model.width"], int)
    assert all(-1e-9 <= place <= 1 + 1e-9 for place in space.place(values))


def test_steps_come_equally_often_and_lie_equally_far_apart() -> None:
    space = SearchSpace.from_json({"weight_decay": DECAY})
    drawn = [space.at([(index + 0.5) / 600])["weight_decay"] for index in range(600)]
    assert [drawn.count(value) for value in (0.0, 0.02, 0.04, 0.06, 0.08, 0.1)] == [100] * 6
    places = [space.place({"weight_decay": value})[0] for value in (0.0, 0.02, 0.08, 0.1)]
    assert places == pytest.approx([1 / 12, 3 / 12, 9 / 12, 11 / 12])


@pytest.mark.parametrize(
    ("name", "value", "is_held"),
    [
        ("weight_decay", 0.06, True),
        ("weight_decay", 3 * 0.02, True),
        ("weight_decay", 0.05, False),
        ("weight_decay", 0.12, False),
        ("model.width", 64, True),
        ("model.width", 64.0, False),
        ("model.width", True, False),
        ("model.depth", 6, True),
        ("model.depth", 5, False),
        ("model.norm", True, True),
        ("model.norm", "true", False),
        ("label_smoothing", 0, True),
    ],
)
def test_a_value_is_held_if_it_lies_on_the_grid_and_has_the_type(name: str, value: Any, is_held: bool) -> None:
    assert SearchSpace.from_json(SEVEN).holds(name, value) == is_held


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name == "seven" else name for name in SPACES]
)
def test_a_search_ends_however_few_configurations_there_are(name: str) -> None:
    space = SearchSpace.from_json(SPACES[name])
    sampler, proposed = Sampler("alexnet", space, seed=0), []
    for number in range(1, 9):
        values = sampler.suggest(number)
        assert list(values) == list(space.ranges)
        assert all(space.holds(key, value) for key, value in values.items()), values
        assert json.loads(json.dumps(values)) == values
        proposed.append(tuple(values.values()))
        history = [epoch(1, 1.0, 0.5 + 0.01 * (number % 5))]
        sampler.end(Trial("alexnet", number, values, status="COMPLETE", history=history))
    # Nothing comes twice as long as there is something else.
    count = {"words": 2, "grid": 6, "fixed": 1}.get(name, 8)
    assert len(set(proposed[:count])) == count


def _config(**changed: Any) -> StudyConfig:
    """A study of two networks that have only the learning rate and the weight decay in common."""
    networks: dict[str, Any] = {
        "alexnet": {
            "baseline": {"model.width": 64, "model.depth": 6, "model.norm": True},
            "space": {name: SEVEN[name] for name in SEVEN if name not in ("lr", "weight_decay")},
        },
        "mobilenet": {
            "baseline": {"lr": 1e-3, "dropout": 0.1, "model.pool": "max"},
            "space": {
                "dropout": {"type": "categorical", "choices": [0.1]},
                "model.pool": {"type": "categorical", "choices": ["max", "mean", "none"]},
            },
        },
    }
    config = replace(make_config(trials=5, max_epochs=4), space={"lr": LR, "weight_decay": DECAY}, networks=networks)
    return replace(config, **changed)


def _curve(trial: Trial, number: int) -> EpochResult:
    values = trial.values
    score = 0.8 - 0.1 * abs(math.log10(float(values["lr"])) + 3) - 2 * float(values["weight_decay"])
    score -= 0.1 * (values.get("model.pool") == "max") + 0.1 * bool(values.get("model.norm"))
    return epoch(number, 1 / number, score + 0.01 * number)


def _plain(trial: Trial, number: int) -> EpochResult:
    return epoch(number, 1 / number, 0.5 - 0.1 * float(trial.values["dropout"]) + 0.01 * number)


def _untimed(search: Search) -> list[dict[str, Any]]:
    return [vars(trial) | {"began": None, "ended": None} for trial in search.ledger.trials()]


def _opened(path: Path, config: StudyConfig) -> Search:
    return open_search(path, config, startup_trials=1)


@pytest.mark.slow
def test_a_search_of_mixed_spaces_that_is_killed_and_resumed_is_the_same_search(tmp_path: Path) -> None:
    config = _config()
    whole = _opened(tmp_path / "whole", config)
    play(whole, _curve)
    assert whole.is_done()
    lines = (tmp_path / "whole" / "journal.jsonl").read_bytes().splitlines(keepends=True)
    for kept in (len(lines) // 3, len(lines) - 3):
        folder = tmp_path / str(kept)
        folder.mkdir()
        (folder / "journal.jsonl").write_bytes(b"".join(lines[:kept]))
        resumed = _opened(folder, config)
        play(resumed, _curve)
        assert _untimed(resumed) == _untimed(whole)


def test_a_search_that_goes_on_to_more_trials_is_the_search_that_had_them_from_the_start(tmp_path: Path) -> None:
    config = make_config(trials=5, max_epochs=4)
    for trials in (2, 5):
        play(_opened(tmp_path / "grown", replace(config, trials=trials)), _plain)
    whole = _opened(tmp_path / "whole", config)
    play(whole, _plain)
    grown = _opened(tmp_path / "grown", config)
    assert grown.is_done()
    assert _untimed(grown) == _untimed(whole)


def test_a_network_that_is_added_gets_all_of_its_trials(tmp_path: Path) -> None:
    config = make_config(trials=3, max_epochs=4, archs=("mobilenet",))
    play(_opened(tmp_path, config), _plain)
    before = _untimed(_opened(tmp_path, config))
    search = _opened(tmp_path, replace(config, archs=("mobilenet", "alexnet")))
    play(search, _plain)
    assert _untimed(search)[:3] == before
    assert [trial.trial_id for trial in search.ledger.trials("alexnet")] == ["alexnet-0", "alexnet-1", "alexnet-2"]


def test_the_tables_have_a_column_for_every_hyperparameter_of_any_network(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    config = _config(trials=3)
    search = _opened(tmp_path, config)
    play(search, _curve)
    folder.write_trials(search.ledger.trials_table())
    with (tmp_path / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    own = ["model.width", "model.depth", "model.norm", "model.pool"]
    assert list(rows[0]) == [
        *("trial_id", "arch", "lr", "dropout", "weight_decay", "label_smoothing", *own),
        *("status", "epochs", "best_epoch", "val_accuracy", "val_loss", "seconds", "is_baseline"),
    ]
    assert [[row[name] for name in own] for row in rows if row["trial_id"].endswith("-0")] == [
        ["64", "6", "True", ""],
        ["", "", "", "max"],
    ]
    searches = [
        optuna_database.Search(arch, "accuracy", {}, search.samplers[arch].study.trials) for arch in config.archs
    ]
    optuna_database.OptunaDatabase(folder.optuna).update(searches)
    storage = optuna_database.open_database(folder.optuna)
    for arch in config.archs:
        kept = optuna.load_study(study_name=arch, storage=storage).trials
        assert [trial.params for trial in kept] == [trial.values for trial in search.ledger.trials(arch)]


def test_a_fixed_learning_rate_is_not_replaced_by_the_first_learning_rates(tmp_path: Path) -> None:
    config = _config(first_lrs=(5e-3,))
    config.networks["mobilenet"]["space"]["lr"] = FIXED_LR  # type: ignore[index]
    config.networks["mobilenet"]["baseline"]["lr"] = 2e-3  # type: ignore[index]
    search = open_search(tmp_path, config)
    play(search, _curve)
    assert [trial.values["lr"] for trial in search.ledger.trials("alexnet")][:2] == [1e-3, 5e-3]
    assert {trial.values["lr"] for trial in search.ledger.trials("mobilenet")} == {2e-3}
    assert len({str(trial.values) for trial in search.ledger.trials("mobilenet")}) > 2


def test_study_json_has_the_ranges_that_all_networks_share() -> None:
    config = _config()
    assert list(search_settings(config, 500)["space"]) == ["lr", "weight_decay"]
    assert search_settings(StudyConfig(), 500)["space"] == space_of(StudyConfig(), "alexnet").to_json()


def test_a_trial_of_a_mixed_space_comes_back_from_the_journal(tmp_path: Path) -> None:
    values = SearchSpace.from_json(SEVEN).at([0.3] * 7)
    Ledger(tmp_path / "journal.jsonl").ask("alexnet", 0, values)
    (trial,) = Ledger(tmp_path / "journal.jsonl").trials()
    assert trial.values == values and type(trial.values["model.norm"]) is bool
