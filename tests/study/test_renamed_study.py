"""A study that is renamed and resumed: its checkpoints in a shared storage, and the times of its trials."""

from datetime import datetime
from pathlib import Path

import optuna
import pytest

from analysis.results.optuna_database import open_database
from study.list.__main__ import main
from tests.processes import GATE, SMALL, Gate, Programs
from tests.study.faults import events


@pytest.mark.slow
def test_a_renamed_study_goes_on_from_its_checkpoints(
    programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(GATE, str(tmp_path / "gate"))
    monkeypatch.chdir(tmp_path)
    gate, results, shared = Gate(tmp_path / "gate"), tmp_path / "results", tmp_path / "shared"
    study = programs.study([*SMALL, "--name", "first", "--storage", "shared"], tmp_path)
    study.wait_for(lambda: events(results / "first", "ask"))
    study.wait_for(lambda: (results / "first" / "optuna.db").exists())
    assert events(results / "first", "epoch") == 0, "it is there from the first trial on"
    gate.let_train_until(study, lambda: events(results / "first", "epoch"))
    study.kill()
    study.wait_until_gone()
    killed = datetime.now()
    (folder,) = shared.iterdir()
    (results / "first").rename(results / "second")
    assert main(["--storage", "shared"]) == 0
    assert "Every folder of checkpoints" in capsys.readouterr().out

    study = programs.study(["--resume"], tmp_path)
    gate.let_train_until(study, lambda: events(results / "second", "epoch") >= 2)
    assert list(shared.iterdir()) == [folder], "it is not begun anew"
    gate.open()
    done = study.finish()
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Going on with results/second: its last session began last (")
    assert list(shared.iterdir()) == []
    first, second = optuna.load_study(study_name="tiny", storage=open_database(results / "second" / "optuna.db")).trials
    assert first.datetime_start is not None and first.datetime_start < killed
    assert second.datetime_start is not None and second.datetime_start > killed
