"""Importance is Optuna's, leaves its database alone, and is a reason where it cannot be had."""

import gc
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from analysis.results.optuna_database import open_database
from analysis.statistics.importance import read_importances

SPACE: dict[str, BaseDistribution] = {"lr": FloatDistribution(1e-4, 1e-2, log=True), "dropout": FloatDistribution(0, 1)}


def frozen(lr: float, dropout: float, value: float, state: TrialState = TrialState.COMPLETE) -> FrozenTrial:
    return create_trial(state=state, value=value, params={"lr": lr, "dropout": dropout}, distributions=SPACE)


def write(path: Path, **studies: list[FrozenTrial]) -> Path:
    storage = open_database(path)
    for name, trials in studies.items():
        optuna.create_study(study_name=name, direction="maximize", storage=storage).add_trials(trials)
    return path


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    rates, dropouts = 10 ** rng.uniform(-4, -2, 20), rng.uniform(0, 1, 20)
    decided = [frozen(lr, dropout, float(np.log10(lr))) for lr, dropout in zip(rates, dropouts, strict=True)]
    # Those that did badly were stopped: the learning rate decides only in all of them.
    stopped = [
        frozen(trial.params["lr"], trial.params["dropout"], trial.value, TrialState.PRUNED)
        if trial.params["lr"] < 1e-3
        else frozen(trial.params["lr"], trial.params["dropout"], trial.params["dropout"])
        for trial in decided
        if trial.value is not None
    ]
    diverged = [create_trial(state=TrialState.PRUNED, params=trial.params, distributions=SPACE) for trial in decided]
    return write(
        tmp_path_factory.mktemp("optuna") / "optuna.db",
        decided=decided,
        stopped=[*stopped, *diverged],
        few=[*decided[:15], *diverged],
        flat=[frozen(trial.params["lr"], trial.params["dropout"], 0.5) for trial in decided],
        empty=[],
    )


def test_what_decides_the_score_is_important(database: Path) -> None:
    before = database.read_bytes()
    found = read_importances(database, ["decided"])["decided"]
    assert found.trials == 20 and found.reason == ""
    assert found.shares["lr"] > 0.9
    assert sum(found.shares.values()) == pytest.approx(1)
    assert read_importances(database, ["decided"]) == {"decided": found}, "the same each time"
    assert database.read_bytes() == before
    assert [path.name for path in database.parent.iterdir()] == ["optuna.db"]


def test_trials_that_were_stopped_count_with_their_last_score(
    database: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    found = read_importances(database, ["stopped"])["stopped"]
    assert found.trials == 20
    assert found.shares["lr"] > 0.9
    assert capfd.readouterr() == ("", "")


def test_what_cannot_be_known_has_a_reason(database: Path) -> None:
    found = read_importances(database, ["few", "flat", "empty", "absent"])
    assert all(not importance.shares for importance in found.values())
    assert (found["few"].trials, found["few"].reason) == (15, "it takes at least 16 trials with a score")
    assert found["flat"].reason == "all trials have the same score"
    assert found["empty"].trials == 0
    assert found["absent"].reason == "optuna.db does not hold its search"


@pytest.mark.parametrize("kept", [0, 100, 5000, 40_000])
def test_a_damaged_database_is_a_reason(database: Path, tmp_path: Path, kept: int) -> None:
    damaged = tmp_path / "optuna.db"
    damaged.write_bytes(database.read_bytes()[:kept])
    assert read_importances(damaged, ["decided"])["decided"].reason
    gc.collect()  # a connection left open would warn here


def test_no_database_is_a_reason(tmp_path: Path) -> None:
    assert read_importances(tmp_path / "optuna.db", ["a"])["a"].reason == "optuna.db is not there"
    assert list(tmp_path.iterdir()) == []
