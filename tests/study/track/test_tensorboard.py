"""TensorBoard's event files, read back by TensorBoard."""

from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from analysis.results.study_folder import StudyFolder
from study.track.__main__ import main
from tests.analysis.example_study import write_example
from tests.study.track.event_files import read_scalars, read_texts
from tests.study.track.reports import write_report

pytestmark = pytest.mark.trackers


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    folder = write_example(tmp_path / "results" / "pets", seeds=2, trials=3, epochs=4)
    write_report(folder)
    return folder


def test_the_event_files_hold_every_run(folder: StudyFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(folder.path), "--to", "tensorboard"]) == 0
    root = folder.path / "tensorboard"
    assert capsys.readouterr().out == f"TensorBoard has {folder.path}: {root}\n"
    history = pd.read_csv(folder.path / "history.csv")
    for trial, rows in history.groupby("trial_id"):
        scalars = read_scalars(root / trial.partition("-")[0] / trial)
        for name in ("train_loss", "val_loss", "val_accuracy"):
            expected = rows.set_index("epoch")[name].dropna()
            assert [step for step, _ in scalars[name]] == list(expected.index)
            assert [value for _, value in scalars[name]] == pytest.approx(list(expected), rel=1e-6)
    run = folder.final.read("alexnet-tuned", 1)
    assert read_scalars(root / "alexnet" / "alexnet-tuned-seed-1")["test_accuracy"] == [
        (len(run.history), pytest.approx(run.metrics["accuracy"], rel=1e-6))
    ]
    network = read_scalars(root / "alexnet")
    assert {f"tuned/test_accuracy/{kind}" for kind in ("mean", "sd", "ci95_low", "ci95_high")} <= set(network)
    (verdict,) = read_texts(root)["study"]
    assert "| call | " in verdict and "| report | report/report.html in the study's folder |" in verdict


def test_nothing_is_written_twice(folder: StudyFolder) -> None:
    everything = {path: path.read_bytes() for path in _write(folder)}
    assert {path: path.read_bytes() for path in _write(folder)} == everything


def test_further_seeds_are_added(folder: StudyFolder) -> None:
    before = set(_write(folder))
    folder.final.remove("mobilenet-tuned", 1)
    write_report(folder)
    root = folder.path / "tensorboard"
    new = set(_write(folder)) - before
    assert {path.parent.relative_to(root) for path in new} == {Path("."), Path("alexnet"), Path("mobilenet")}
    assert len(read_texts(root)["study"]) == 2


def test_epochs_that_came_later_are_added_and_each_is_there_once(folder: StudyFolder) -> None:
    """A driver that is killed leaves a trial under way, and perhaps half an event at the end of a file."""
    trials, history = folder.read_trials(), folder.read_history()
    assert trials is not None and history is not None
    folder.write_trials(trials[trials["trial_id"] != "alexnet-0"])
    folder.write_history(history[(history["trial_id"] != "alexnet-0") | (history["epoch"] <= 2)])
    _write(folder)
    run = folder.path / "tensorboard" / "alexnet" / "alexnet-0"
    (events,) = run.iterdir()
    events.write_bytes(events.read_bytes()[:-5])
    folder.write_trials(trials)
    folder.write_history(history)
    _write(folder)
    scalars = read_scalars(run)
    for name in ("train_loss", "val_loss", "val_accuracy"):
        assert Counter(step for step, _ in scalars[name]) == Counter(range(1, 5)), name


def test_another_folder_gets_a_folder_for_each_study(folder: StudyFolder, tmp_path: Path) -> None:
    assert main([str(folder.path), "--to", "tensorboard", "--uri", str(tmp_path / "all")]) == 0
    assert read_scalars(tmp_path / "all" / "pets" / "alexnet" / "alexnet-0")["val_loss"]
    assert not (folder.path / "tensorboard").exists()


def _write(folder: StudyFolder) -> list[Path]:
    assert main([str(folder.path), "--to", "tensorboard"]) == 0
    return [path for path in (folder.path / "tensorboard").rglob("*") if path.is_file()]
