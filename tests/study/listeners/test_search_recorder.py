"""optuna.db while a search runs: at most a minute old, and with a name for everything."""

import io
import time
from dataclasses import replace
from pathlib import Path

import optuna
import pytest

from analysis.results.optuna_database import open_database
from analysis.results.study_folder import StudyFolder
from study.listeners.progress import Progress
from study.listeners.screen import Screen
from study.listeners.search_recorder import SearchRecorder
from study.search.ledger import Ledger
from study.search.search import Search
from study.settings.config import StudyConfig
from tests.builders import epoch


def test_the_database_of_a_running_search_is_at_most_a_minute_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    config, folder = StudyConfig(trials=2, max_epochs=9, archs=("alexnet",)), StudyFolder(tmp_path)
    search = Search(config, {"alexnet": config.baseline_training("alexnet")}, Ledger(folder.journal))
    with Progress(Screen(file=io.StringIO())) as progress:
        recorder = SearchRecorder(folder, progress, {"alexnet": "AlexNet"}, config, "digits", images=80)
        recorder.begin(search)
        first = search.next_trial()
        assert first is not None
        search.report(first.trial_id, replace(epoch(1, 0.9, 0.25), seconds=2.0))
        recorder.on_change(search)
        assert not folder.optuna.exists()
        now += 60
        search.report(first.trial_id, replace(epoch(2, 0.8, 0.5), seconds=3.0))
        recorder.on_change(search)
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
