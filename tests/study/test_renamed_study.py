"""A study that is renamed and resumed: its checkpoints in a shared storage, and the times of its trials."""

from datetime import datetime
from pathlib import Path

import optuna
import pytest

from analysis.results.optuna_database import open_database
from study.list.__main__ import main
from tests.in_process import interrupt_when, run_here
from tests.processes import SMALL
from tests.study.faults import events


@pytest.mark.slow
def test_a_renamed_study_goes_on_from_its_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    results, shared = tmp_path / "results", tmp_path / "shared"

    def has_an_epoch() -> bool:
        assert (results / "first" / "optuna.db").exists(), "it is there from the first trial on"
        return events(results / "first", "epoch") > 0

    command = [*SMALL, "--name", "first", "--storage", "shared"]
    assert run_here(command, tmp_path, at_step=interrupt_when(has_an_epoch)).returncode == 130
    interrupted = datetime.now()
    (folder,) = shared.iterdir()
    (results / "first").rename(results / "second")
    assert main(["--storage", "shared"]) == 0
    assert "Every folder of checkpoints" in capsys.readouterr().out

    used = set()
    done = run_here(["--resume"], tmp_path, at_step=lambda: used.update(shared.iterdir()))
    assert used == {folder}, "it is not begun anew"
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Going on with results/second: its last session began last (")
    assert list(shared.iterdir()) == []
    first, second = optuna.load_study(study_name="tiny", storage=open_database(results / "second" / "optuna.db")).trials
    assert first.datetime_start is not None and first.datetime_start < interrupted
    assert second.datetime_start is not None and second.datetime_start > interrupted
