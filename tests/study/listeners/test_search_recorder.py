"""optuna.db while a search runs: at most a minute old, and with a name for everything."""

import io
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

import optuna
import pytest

from analysis.results.optuna_database import open_database
from analysis.results.study_folder import StudyFolder
from study.listeners.progress import Progress
from study.listeners.screen import Screen
from study.listeners.search_recorder import SearchRecorder
from study.listeners.work import Row, Unit
from study.search.journal import Journal
from study.search.ledger import Ledger
from study.search.search import Search
from study.settings.config import StudyConfig
from study.settings.networks import baseline_of
from tests.builders import epoch


def _trials(folder: StudyFolder) -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name="alexnet", storage=open_database(folder.optuna)).trials


def _record(folder: StudyFolder, search: Search) -> None:
    config = StudyConfig(trials=2, max_epochs=9, archs=("alexnet",))
    with Progress(Screen(file=io.StringIO())) as progress:
        SearchRecorder(folder, progress, {"alexnet": "AlexNet"}, config, "digits", images=80).flush(search)


def test_a_resumed_search_keeps_the_times_of_its_trials(tmp_path: Path) -> None:
    config, folder = StudyConfig(trials=2, max_epochs=1, archs=("alexnet",)), StudyFolder(tmp_path)

    def opened() -> Search:
        return Search(config, {"alexnet": baseline_of(config, "alexnet")}, Ledger(folder.journal))

    search, before = opened(), datetime.now()
    for _ in range(2):
        trial = search.next_trial()
        assert trial is not None
    time.sleep(0.05)
    search.report("alexnet-0", epoch(1, 0.9, 0.25))
    search.end("alexnet-0")
    after = datetime.now()
    _record(folder, search)
    first, second = _trials(folder)
    assert first.datetime_start is not None and first.datetime_complete is not None
    rounding = timedelta(milliseconds=1)  # the journal keeps milliseconds
    assert before - rounding <= first.datetime_start and first.datetime_complete <= after
    assert first.duration is not None and first.duration >= timedelta(seconds=0.05)
    assert second.datetime_start is not None and second.datetime_complete is None
    folder.optuna.unlink()
    _record(folder, opened())
    again = [(trial.datetime_start, trial.datetime_complete) for trial in _trials(folder)]
    assert again == [(trial.datetime_start, trial.datetime_complete) for trial in (first, second)]


def test_a_journal_of_an_older_version_has_no_times(tmp_path: Path) -> None:
    """The times of the export would be wrong ones."""
    config, folder = StudyConfig(trials=2, max_epochs=1, archs=("alexnet",)), StudyFolder(tmp_path)
    journal = Journal(folder.journal)
    journal.append({"event": "ask", "arch": "alexnet", "number": 0, "lr": 1e-3, "dropout": 0.5})
    journal.append({"event": "epoch", "trial_id": "alexnet-0", **vars(epoch(1, 0.9, 0.25))})
    journal.append({"event": "end", "trial_id": "alexnet-0", "status": "COMPLETE"})
    _record(folder, Search(config, {"alexnet": baseline_of(config, "alexnet")}, Ledger(folder.journal)))
    (trial,) = _trials(folder)
    assert (trial.value, trial.datetime_start, trial.datetime_complete) == (0.25, None, None)


def test_the_database_of_a_running_search_is_at_most_a_minute_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    config, folder = StudyConfig(trials=2, max_epochs=9, archs=("alexnet",)), StudyFolder(tmp_path)
    search = Search(config, {"alexnet": baseline_of(config, "alexnet")}, Ledger(folder.journal))
    with Progress(Screen(file=io.StringIO())) as progress:
        recorder = SearchRecorder(folder, progress, {"alexnet": "AlexNet"}, config, "digits", images=80)
        recorder.begin(search)
        first = search.next_trial()
        assert first is not None
        recorder.on_change(search)
        recorder.on_step(search)
        assert [trial.state.name for trial in _trials(folder)] == ["RUNNING"], "it is there from the first trial on"
        now += 20
        for number, loss, accuracy, seconds in ((1, 0.9, 0.25, 2.0), (2, 0.8, 0.5, 3.0)):
            search.report(first.trial_id, replace(epoch(number, loss, accuracy), seconds=seconds))
        recorder.on_change(search)
        recorder.on_step(search)
        assert _trials(folder)[0].intermediate_values == {}
        now += 40  # and nothing is reported meanwhile
        recorder.on_step(search)
    study = optuna.load_study(study_name="alexnet", storage=open_database(folder.optuna))
    assert study.metric_names == ["validation accuracy"]
    assert study.user_attrs == {"network": "AlexNet", "data set": "digits", "study": tmp_path.name}
    (trial,) = study.trials
    assert trial.state == optuna.trial.TrialState.RUNNING
    assert trial.intermediate_values == {1: 0.25, 2: 0.5}
    assert trial.user_attrs == {
        "name": "alexnet-0",
        "baseline": True,
        "status": "running",
        "best epoch": 2,
        "seconds": 5.0,
    }


class _SlowScreen:
    """Takes a second of the clock to show the rows, and keeps the names of the trials that it was told have ended."""

    def __init__(self) -> None:
        self.now, self.shown, self.ended = 1000.0, 0, list[str]()

    def begin(self, stage: str, rows: Sequence[Row]) -> None:
        pass

    def update(self, rows: Sequence[Row]) -> None:
        self.now += 1
        self.shown += 1

    def finish(self, rows: Sequence[Row]) -> None:
        pass

    def end(self, unit: Unit) -> None:
        self.ended.append(unit.name)


def test_a_slow_screen_takes_a_fiftieth_of_the_time_and_misses_no_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen, folder = _SlowScreen(), StudyFolder(tmp_path)
    monkeypatch.setattr(time, "monotonic", lambda: screen.now)
    monkeypatch.setattr(SearchRecorder, "flush", lambda *_: None)
    config = StudyConfig(trials=4, max_epochs=9, archs=("alexnet",))
    search = Search(config, {"alexnet": baseline_of(config, "alexnet")}, Ledger(folder.journal))
    recorder = SearchRecorder(folder, cast(Progress, screen), {"alexnet": "AlexNet"}, config, "digits", images=80)
    recorder.begin(search)
    for shown in (1, 1, 2):
        trial = search.next_trial()
        assert trial is not None
        search.report(trial.trial_id, epoch(1))
        recorder.on_change(search)
        search.end(trial.trial_id)
        recorder.on_change(search)
        recorder._next_tables = recorder._next_database = math.inf
        recorder.on_step(search)
        assert screen.shown == shown
        screen.now += 26
    recorder.finish(search)
    assert screen.ended == ["alexnet-0", "alexnet-1", "alexnet-2"], "one began and ended between two showings"
