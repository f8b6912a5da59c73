"""optuna.db while a search runs: kept up to date in place, for a program that has it open."""

import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from analysis.results.optuna_database import OptunaDatabase, Search, database_url, open_database

SPACE = {"lr": optuna.distributions.FloatDistribution(1e-4, 1e-2, log=True)}


def _trial(state: TrialState, *scores: float) -> FrozenTrial:
    return create_trial(
        state=state,
        value=scores[-1] if state == TrialState.COMPLETE else None,
        params={"lr": 1e-3},
        distributions=SPACE,
        intermediate_values=dict(enumerate(scores, start=1)),
        user_attrs={"status": state.name},
    )


def _search(*trials: FrozenTrial, name: str = "alexnet") -> Search:
    return Search(name, "validation accuracy", {"network": "AlexNet", "data set": "digits"}, trials)


def _states(path: Path, name: str = "alexnet") -> Sequence[TrialState]:
    return [trial.state for trial in optuna.load_study(study_name=name, storage=open_database(path)).trials]


RUNNING, COMPLETE, PRUNED = TrialState.RUNNING, TrialState.COMPLETE, TrialState.PRUNED


def test_trials_that_run_are_shown_and_replaced_when_they_end(tmp_path: Path) -> None:
    path = tmp_path / "optuna.db"
    database = OptunaDatabase(path)
    database.update([_search(_trial(RUNNING, 0.1), _trial(PRUNED, 0.2))])
    assert _states(path) == [RUNNING, PRUNED]
    database.update([_search(_trial(RUNNING, 0.1, 0.3), _trial(PRUNED, 0.2), _trial(RUNNING))])
    assert _states(path) == [RUNNING, PRUNED, RUNNING]
    database.update([_search(_trial(COMPLETE, 0.1, 0.3, 0.5), _trial(PRUNED, 0.2), _trial(COMPLETE, 0.4))])
    study = optuna.load_study(study_name="alexnet", storage=open_database(path))
    assert [trial.number for trial in study.trials] == [0, 1, 2]
    assert [trial.intermediate_values for trial in study.trials] == [{1: 0.1, 2: 0.3, 3: 0.5}, {1: 0.2}, {1: 0.4}]
    assert [trial.user_attrs["status"] for trial in study.trials] == ["COMPLETE", "PRUNED", "COMPLETE"]
    assert study.metric_names == ["validation accuracy"]
    assert study.user_attrs == {"network": "AlexNet", "data set": "digits"}
    assert study.best_trial.number == 0


def test_a_trial_is_read_as_it_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    written = create_trial(
        state=COMPLETE,
        value=0.1 + 0.2,
        params={"lr": 1e-3, "width": 48, "pool": "average"},
        distributions={
            **SPACE,
            "width": optuna.distributions.IntDistribution(16, 64, step=16),
            "pool": optuna.distributions.CategoricalDistribution(["max", "average"]),
        },
        intermediate_values={1: 1 / 3, 2: 0.0},
        user_attrs={"seconds": 1.5, "baseline": False, "best epoch": None},
        system_attrs={"fixed_params": {"lr": 1e-3}},
    )
    written.datetime_start, written.datetime_complete = datetime(2026, 3, 1, 2), datetime(2026, 3, 1, 2, 0, 0, 5)
    path = tmp_path / "optuna.db"
    try:
        OptunaDatabase(path).update([_search(written, name="mobilenet"), _search(written)])
        (read,) = optuna.load_study(study_name="alexnet", storage=open_database(path)).trials
    finally:
        monkeypatch.undo()
        time.tzset()
    written.number, written._trial_id = read.number, read._trial_id
    assert read == written


def test_a_reader_that_keeps_the_file_open_sees_the_updates(tmp_path: Path) -> None:
    """As optuna-dashboard does, whose connections stay open."""
    path = tmp_path / "optuna.db"
    database = OptunaDatabase(path)
    database.update([_search(_trial(RUNNING))])
    reader = optuna.load_study(study_name="alexnet", storage=f"sqlite:///{path}")
    assert [trial.state for trial in reader.trials] == [RUNNING]
    database.update([_search(_trial(COMPLETE, 0.5)), _search(_trial(RUNNING), name="mobilenet")])
    assert [trial.state for trial in reader.get_trials()] == [COMPLETE]
    assert _states(path, "mobilenet") == [RUNNING]


@pytest.mark.parametrize("content", [b"", b"no database" * 1000])
def test_a_damaged_file_is_replaced(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "optuna.db"
    path.write_bytes(content)
    OptunaDatabase(path).update([_search(_trial(COMPLETE, 0.5))])
    assert _states(path) == [COMPLETE]
    assert [entry.name for entry in tmp_path.iterdir()] == ["optuna.db"]


@pytest.mark.parametrize("name", ["a b", "100%20", "50%", "why?", "no#1", "{a}", "größe-字", "it's"])
def test_a_folder_of_any_name_holds_a_database_that_opens(name: str, tmp_path: Path) -> None:
    """By the path, as the report does, and by the URL, as optuna-dashboard does."""
    path = tmp_path / name / "optuna.db"
    path.parent.mkdir()
    OptunaDatabase(path).update([_search(_trial(COMPLETE, 0.5))])
    assert _states(path) == [COMPLETE]
    assert optuna.load_study(study_name="alexnet", storage=database_url(path)).best_value == 0.5
    assert [entry.name for entry in tmp_path.rglob("*")] == [name, "optuna.db"]
