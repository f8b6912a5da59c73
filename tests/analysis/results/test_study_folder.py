"""The study folder: names, taken names, files that are whole, and damage that is named."""

import math
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.results.errors import UnusableStudy
from analysis.results.files import DamagedFile, write_checksums
from analysis.results.run_folders import EPOCH_COLUMNS, FinalRun
from analysis.results.study_folder import HISTORY_COLUMNS, TRIAL_COLUMNS, Samples, StudyFolder
from study.storage.claim import mend

GROUP = "alexnet-tuned"


def _run(seed: int = 0, group: str = GROUP, value: float = 0.5) -> FinalRun:
    history = pd.DataFrame(
        [(1, 0.5, 0.1 + 0.2, 0.25, 1.5, 0.75), (2, math.nan, math.nan, 0.5, 1.0, 0.5)], columns=EPOCH_COLUMNS
    )
    return FinalRun(
        group=group,
        seed=seed,
        metrics={"accuracy": value, "val_loss": math.nan, "config": {"lr": 1e-3}},
        history=history,
        logits=np.arange(6, dtype=np.float32).reshape(2, 3),
        labels=np.array([0, 2]),
        weights={"w": np.full((2, 2), value, np.float32), "steps": np.array(7)},
    )


# --- a study that has begun


def test_opening(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "a")
    with pytest.raises(UnusableStudy, match=r"is not a study \(it holds no study\.json\)"):
        StudyFolder.open(folder.path)
    folder.write_study({"name": "a", "x": math.nan})
    assert StudyFolder.open(folder.path).read_study() == {"name": "a", "x": None}


def test_the_newest_study(tmp_path: Path) -> None:
    for results in (tmp_path, tmp_path / "none"):
        with pytest.raises(UnusableStudy, match="there is no study in"):
            StudyFolder.newest(results)
    days = [{"created": f"2026-01-0{day}T00:00:00+00:00"} for day in range(5)]
    records = {"b": days[3], "c": {**days[1], "resumed": [days[2], days[4]]}, "a": {**days[2], "resumed": []}}
    for age, (name, record) in enumerate(records.items()):
        StudyFolder(tmp_path / name).write_study(record)
        os.utime(tmp_path / name / "study.json", (1000 - age, 1000 - age))
    (tmp_path / "z").mkdir()
    assert StudyFolder.newest(tmp_path).path.name == "c"
    StudyFolder(tmp_path / "c").write_study(days[3])
    assert StudyFolder.newest(tmp_path).path.name == "c", "of two in the same second the later name"


# --- tables


def test_tables_come_back(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "a")
    assert folder.read_trials() is None
    assert folder.read_history() is None
    trials = pd.DataFrame([("alexnet-0", "alexnet", 1e-3, 0.5, "DIVERGED", 1, None, None, None, 0.5, True)])
    trials = trials.set_axis(list(TRIAL_COLUMNS), axis=1)
    trials.insert(4, "pooling", "max")
    folder.write_trials(trials)
    history = pd.DataFrame([("alexnet-0", "alexnet", 1, None, 0.3, 0.5, 0.5, 0.5)]).set_axis(
        list(HISTORY_COLUMNS), axis=1
    )
    folder.write_history(history)
    found, epochs = folder.read_trials(), folder.read_history()
    assert found is not None
    assert epochs is not None
    assert list(found.columns) == [*TRIAL_COLUMNS[:4], "pooling", *TRIAL_COLUMNS[4:]]
    assert list(epochs.columns) == list(HISTORY_COLUMNS)
    assert found.loc[0, ["trial_id", "lr", "is_baseline"]].tolist() == ["alexnet-0", 1e-3, True]
    assert found.loc[0, ["best_epoch", "val_loss"]].isna().all()
    text = (tmp_path / "a" / "trials.csv").read_text()
    assert text.splitlines()[1] == "alexnet-0,alexnet,0.001,0.5,max,DIVERGED,1,,,,0.5,True"


@pytest.mark.parametrize("content", [b"", b"trial_id,arch\n1,2\n", b"\xff\xfe\x00\x01", b'a,b\n"1,2\n3'])
def test_a_damaged_table_is_named(tmp_path: Path, content: bytes) -> None:
    folder = StudyFolder(tmp_path)
    for name, read in (("trials.csv", folder.read_trials), ("history.csv", folder.read_history)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DamagedFile, match=name.replace(".", r"\.")):
            read()


def test_tables_that_are_not_to_the_byte_what_they_should_be(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    trials, history = (pd.DataFrame([range(len(names))], columns=names) for names in (TRIAL_COLUMNS, HISTORY_COLUMNS))
    assert not folder.holds_tables(trials, history)
    folder.write_trials(trials)
    folder.write_history(history)
    assert folder.holds_tables(trials, history)
    assert not folder.holds_tables(trials, history + 1)
    for name in ("trials.csv", "history.csv"):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[:-1])
        assert not folder.holds_tables(trials, history)
        (tmp_path / name).write_bytes(content)


# --- final runs


def test_a_run_of_an_older_version_has_no_training_accuracy(tmp_path: Path) -> None:
    older = tmp_path / "history.csv"
    older.write_text("trial_id,arch,epoch,train_loss,val_loss,val_accuracy,seconds\na-0,a,1,1.0,1.0,0.5,0.5\n")
    history = StudyFolder(tmp_path).read_history()
    assert history is not None
    assert list(history.columns) == list(HISTORY_COLUMNS)
    assert history["train_accuracy"].isna().all()
    trials = pd.DataFrame(columns=TRIAL_COLUMNS)
    StudyFolder(tmp_path).write_trials(trials)
    assert StudyFolder(tmp_path).holds_tables(trials, history), "nothing of it is made again"


def test_a_final_run_comes_back(tmp_path: Path) -> None:
    folder, run = StudyFolder(tmp_path), _run()
    folder.final.write(run)
    found = folder.final.read(GROUP, 0, weights=True)
    assert found.metrics == {"accuracy": 0.5, "val_loss": None, "config": {"lr": 1e-3}}
    pd.testing.assert_frame_equal(found.history, run.history)
    for name in ("logits", "labels"):
        assert getattr(found, name).dtype == getattr(run, name).dtype
        assert np.array_equal(getattr(found, name), getattr(run, name))
    assert {name: value.tolist() for name, value in found.weights.items()} == {
        "w": [[0.5, 0.5], [0.5, 0.5]],
        "steps": 7,
    }
    assert folder.final.read(GROUP, 0).weights == {}
    path = tmp_path / "final" / GROUP / "seed-0"
    assert sorted(file.name for file in path.iterdir()) == [
        *("SHA256SUMS", "history.csv", "metrics.json", "model.safetensors", "predictions.npz")
    ]
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=path, check=True, capture_output=True)
    assert path.stat().st_mode & 0o777 == 0o755


def test_which_runs_are_finished(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    assert folder.final.numbers() == {}
    for seed in (10, 2, 0):
        folder.final.write(_run(seed))
    folder.final.write(_run(1, "alexnet-baseline"))
    folder.write_latency({"alexnet": {"latency_ms": {"p50": 1.0}}})
    (tmp_path / "final" / GROUP / "seed-x").mkdir()
    assert folder.final.numbers() == {"alexnet-baseline": [1], GROUP: [0, 2, 10]}


def test_metrics_that_are_known_are_not_read_again(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    folder.final.write(_run(0))
    known = folder.final.metrics()
    assert known[GROUP, 0]["accuracy"] == 0.5
    folder.final.write(_run(1, value=0.75))
    for file in folder.final.path_of(GROUP, 0).iterdir():
        file.unlink()
    found = folder.final.metrics(known)
    assert {run: metrics["accuracy"] for run, metrics in found.items()} == {(GROUP, 0): 0.5, (GROUP, 1): 0.75}
    with pytest.raises(DamagedFile, match=r"seed-0/metrics\.json is missing"):
        folder.final.metrics()


@pytest.mark.parametrize("step", ["write_json", "write_npz", "write_safetensors"])
def test_a_run_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    folder = StudyFolder(tmp_path)
    with monkeypatch.context() as broken:
        broken.setattr(f"analysis.results.run_folders.{step}", lambda *arguments, **named: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            folder.final.write(_run())
    assert folder.final.numbers() == {}
    assert list((tmp_path / "final" / GROUP).iterdir()) == []


def test_what_a_kill_leaves_is_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = StudyFolder(tmp_path)
    with monkeypatch.context() as killed:
        killed.setattr(Path, "rename", lambda path, target: 1 / 0)
        killed.setattr("shutil.rmtree", lambda *arguments, **named: None)
        with pytest.raises(ZeroDivisionError):
            folder.final.write(_run())
    assert len(list((tmp_path / "final" / GROUP).iterdir())) == 1
    assert folder.final.numbers() == {}
    folder.final.write(_run())
    assert folder.final.numbers() == {GROUP: [0]}


def test_a_run_is_replaced_as_a_whole(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    folder.final.write(_run(value=0.25))
    folder.final.write(_run(value=0.75))
    found = folder.final.read(GROUP, 0, weights=True)
    assert (found.metrics["accuracy"], found.weights["w"][0, 0]) == (0.75, 0.75)
    assert [path.name for path in (tmp_path / "final" / GROUP).iterdir()] == ["seed-0"]


FILES = ["metrics.json", "history.csv", "predictions.npz", "model.safetensors"]


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_of_a_run_is_named(tmp_path: Path, name: str) -> None:
    folder = StudyFolder(tmp_path)
    folder.final.write(_run())
    (folder.final.path_of(GROUP, 0) / name).unlink()
    with pytest.raises(DamagedFile, match=rf"seed-0/{name} is missing"):
        folder.final.read(GROUP, 0)


def _damaged(content: bytes) -> Iterator[bytes]:
    """The content cut short in many places, with single bits flipped, and with random bytes in it."""
    rng = np.random.default_rng(0)
    for length in (*range(0, len(content) - 2, max(1, len(content) // 20)), len(content) - 2):
        yield content[:length]
    for offset in rng.integers(0, len(content), 40):
        flipped = bytearray(content)
        flipped[offset] ^= 1 << rng.integers(8)
        yield bytes(flipped)
    for start in rng.integers(0, len(content), 5):
        yield content[:start] + rng.bytes(16) + content[start + 16 :]


@pytest.mark.parametrize("name", [*FILES, "SHA256SUMS"])
def test_a_damaged_file_of_a_run_is_named(tmp_path: Path, name: str) -> None:
    folder = StudyFolder(tmp_path)
    folder.final.write(_run())
    file = folder.final.path_of(GROUP, 0) / name
    for content in _damaged(file.read_bytes()):
        file.write_bytes(content)
        with pytest.raises(DamagedFile, match="seed-0/.* is damaged" if name == "SHA256SUMS" else f"seed-0/{name}"):
            folder.final.read(GROUP, 0, weights=True)


def test_pickles_are_not_read(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    folder.final.write(_run())
    path = folder.final.path_of(GROUP, 0)
    np.savez(path / "predictions.npz", logits=np.array([{}], dtype=object), labels=np.array([0]))
    write_checksums(path, "predictions.npz")
    with pytest.raises(DamagedFile, match=r"predictions\.npz is not readable as arrays"):
        folder.final.read(GROUP, 0)


# --- mending


@pytest.mark.parametrize("name", [*FILES, "SHA256SUMS"])
def test_a_damaged_run_is_removed_and_the_others_stay(tmp_path: Path, name: str) -> None:
    folder = StudyFolder(tmp_path)
    for seed in (0, 1):
        folder.final.write(_run(seed))
        folder.confirm.write(_run(seed, "alexnet-3"))
    assert mend(folder) == []
    file = folder.final.path_of(GROUP, 1) / name
    file.write_bytes(next(_damaged(file.read_bytes())))
    (line,) = mend(folder)
    assert "seed-1" in line
    assert "the run is made again" in line
    assert folder.final.numbers() == {GROUP: [0]}
    assert len(folder.confirm.read_all()) == 2


@pytest.mark.parametrize("name", ["metrics.json", "history.csv"])
def test_a_damaged_confirmation_is_named_and_removed(tmp_path: Path, name: str) -> None:
    folder = StudyFolder(tmp_path)
    folder.confirm.write(_run(0, "alexnet-3"))
    file = tmp_path / "confirm" / "alexnet-3" / "seed-0" / name
    for content in _damaged(file.read_bytes()):
        file.write_bytes(content)
        with pytest.raises(DamagedFile, match=f"seed-0/{name}"):
            folder.confirm.read_all()
    (line,) = mend(folder)
    assert f"seed-0/{name}" in line
    assert folder.confirm.read_all() == []


@pytest.mark.parametrize("name", ["latency.json", "samples.npz"])
def test_damaged_measurements_are_named_and_removed(tmp_path: Path, name: str) -> None:
    folder = StudyFolder(tmp_path)
    folder.write_latency({"alexnet": {"images_per_s": 1.5}})
    folder.write_samples(Samples(np.zeros((1, 32, 32, 3), np.uint8), np.array([3])))
    file = tmp_path / "final" / name
    for content in _damaged(file.read_bytes()):
        file.write_bytes(content)
        with pytest.raises(DamagedFile, match=name):
            assert folder.read_latency() and folder.read_samples()
    (line,) = mend(folder)
    assert f"final/{name} is damaged" in line
    assert not file.exists()
    assert mend(folder) == []


# --- what else the report shows


def test_latency_and_samples_come_back(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    assert folder.read_latency() is None
    assert folder.read_samples() is None
    folder.write_latency({"alexnet": {"images_per_s": math.inf}})
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    folder.write_samples(Samples(images, np.array([3, 9])))
    assert folder.read_latency() == {"alexnet": {"images_per_s": None}}
    samples = folder.read_samples()
    assert samples is not None
    assert np.array_equal(samples.images, images)
    assert samples.positions.tolist() == [3, 9]
    assert samples.names == (), "images of a data set without files, or kept by an older version"
    folder.write_samples(Samples(images, np.array([3, 9]), ("cat/7.jpg", "猫/8.jpg")))
    samples = folder.read_samples()
    assert samples is not None and samples.names == ("cat/7.jpg", "猫/8.jpg")


def test_a_folder_can_be_moved(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "a")
    folder.write_study({"x": 1})
    folder.final.write(_run())
    moved = StudyFolder.open(folder.path.rename(tmp_path / "b"))
    assert moved.final.numbers() == {GROUP: [0]}
    assert moved.final.read(GROUP, 0).metrics["accuracy"] == 0.5


def test_what_a_kill_left_is_cleared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = StudyFolder(tmp_path)
    folder.final.write(_run())
    with monkeypatch.context() as killed:
        for fault in ("pathlib.Path.rename", "pathlib.Path.replace"):
            killed.setattr(fault, lambda path, target: 1 / 0)
        for cleaner in ("shutil.rmtree", "pathlib.Path.unlink"):
            killed.setattr(cleaner, lambda *arguments, **named: None)
        for write in (lambda: folder.final.write(_run(1)), lambda: folder.write_study({})):
            with pytest.raises(ZeroDivisionError):
                write()
    assert len(list(tmp_path.rglob(".*.tmp"))) == 3
    assert mend(folder) == []
    assert list(tmp_path.rglob(".*")) == []
    assert folder.final.numbers() == {GROUP: [0]}
