"""The study folder: names, taken names, files that are whole, and damage that is named."""

import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.results.files import DamagedFile, write_checksums
from analysis.results.run_folders import EPOCH_COLUMNS, FinalRun
from analysis.results.study_folder import HISTORY_COLUMNS, TRIAL_COLUMNS, Samples, StudyFolder, check_name
from study.errors import BadInput

GROUP = "alexnet-tuned"


def _run(seed: int = 0, group: str = GROUP, value: float = 0.5) -> FinalRun:
    history = pd.DataFrame([(1, 0.5, 0.1 + 0.2, 0.25, 1.5), (2, math.nan, math.nan, 0.5, 1.0)], columns=EPOCH_COLUMNS)
    return FinalRun(
        group=group,
        seed=seed,
        metrics={"accuracy": value, "val_loss": math.nan, "config": {"lr": 1e-3}},
        history=history,
        logits=np.arange(6, dtype=np.float32).reshape(2, 3),
        labels=np.array([0, 2]),
        weights={"w": np.full((2, 2), value, np.float32), "steps": np.array(7)},
    )


# --- names


@settings(deadline=None)
@given(st.text(max_size=30) | st.text("./\\-~ \0\n:*ab", max_size=8))
def test_a_name_never_leaves_the_results_folder(name: str) -> None:
    try:
        check_name(name)
    except BadInput:
        return
    results = Path("/some/results")
    path = Path(os.path.normpath(results / name))
    assert path.parent == results
    assert path.name == name
    assert name.isprintable()
    assert "\\" not in name


@pytest.mark.parametrize(
    "name", ["study", "digits-20250101-120000", "a.b", "lr=1e-3 + more", "größe", "@home", "a" * 200]
)
def test_plain_names(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "/a", "../a", "a\0b", "a\n", " a", "a ", "~/a*", "a\\b", "a" * 201]
)
def test_other_names(name: str) -> None:
    with pytest.raises(BadInput, match="not one plain path component") as error:
        check_name(name)
    assert "\n" not in str(error.value)


def test_a_name_too_long_for_the_file_system_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput):
        StudyFolder.check_free(tmp_path, "é" * 200)


# --- a new study's folder


def test_a_free_name_leaves_no_trace(tmp_path: Path) -> None:
    StudyFolder.check_free(tmp_path / "results" / "deep", "a")
    assert list(tmp_path.iterdir()) == []


def test_creating_and_opening(tmp_path: Path) -> None:
    folder = StudyFolder.create(tmp_path / "results", "a")
    with pytest.raises(BadInput, match=r"is not a study: it holds no study\.json"):
        StudyFolder.open(folder.path)
    folder.write_study({"name": "a", "x": math.nan})
    assert StudyFolder.open(folder.path).read_study() == {"name": "a", "x": None}


def test_a_taken_name_says_what_to_do(tmp_path: Path) -> None:
    StudyFolder.create(tmp_path, "a").write_study({"keep": 1})
    for attempt in (StudyFolder.check_free, StudyFolder.create):
        with pytest.raises(BadInput, match=r"exists already: go on with it by --resume --name a, or choose another"):
            attempt(tmp_path, "a")
    assert StudyFolder.open(tmp_path / "a").read_study() == {"keep": 1}


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch], ids=["folder", "file"])
def test_a_folder_that_is_not_a_studys_is_refused_and_kept(tmp_path: Path, make: Callable[[Path], None]) -> None:
    theirs = tmp_path / "a" / "thesis"
    theirs.parent.mkdir()
    make(theirs)
    with pytest.raises(BadInput, match=r"holds files that are not a study's"):
        StudyFolder.create(tmp_path, "a")
    assert theirs.exists()


@pytest.mark.parametrize("target", [None, "elsewhere"], ids=["file", "dangling link"])
def test_what_is_not_a_folder_is_refused(tmp_path: Path, target: str | None) -> None:
    path = tmp_path / "a"
    path.symlink_to(tmp_path / target) if target else path.touch()
    with pytest.raises(BadInput, match="exists and is not a folder"):
        StudyFolder.create(tmp_path, "a")


def test_results_that_cannot_lie_where_they_should(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for results in (tmp_path / "file", tmp_path / "file" / "deeper"):
        with pytest.raises(BadInput, match="cannot be written"):
            StudyFolder.check_free(results, "a")


def test_a_study_that_never_began_is_begun_afresh(tmp_path: Path) -> None:
    folder = StudyFolder.create(tmp_path, "a")
    folder.final.write(_run())
    folder.write_trials(pd.DataFrame(columns=TRIAL_COLUMNS))
    StudyFolder.create(tmp_path, "a")
    assert list(folder.path.iterdir()) == []


def test_killed_while_study_json_was_written_the_same_command_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = StudyFolder.create(tmp_path, "a")
    with monkeypatch.context() as killed:
        killed.setattr(Path, "replace", lambda path, target: 1 / 0)
        killed.setattr(Path, "unlink", lambda path, missing_ok=False: None)
        with pytest.raises(ZeroDivisionError):
            folder.write_study({"name": "a"})
    assert len(list(folder.path.iterdir())) == 1, "the temporary file that a kill leaves"
    StudyFolder.create(tmp_path, "a")
    assert list(folder.path.iterdir()) == []


def test_the_newest_study(tmp_path: Path) -> None:
    for results in (tmp_path, tmp_path / "none"):
        with pytest.raises(BadInput, match="there is no study in"):
            StudyFolder.newest(results)
    for age, name in enumerate(("b", "c", "a")):
        StudyFolder.create(tmp_path, name).write_study({})
        os.utime(tmp_path / name / "study.json", (1000 - age, 1000 - age))
    StudyFolder.create(tmp_path, "z")
    assert StudyFolder.newest(tmp_path).path.name == "b"


# --- tables


def test_tables_come_back(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "a")
    assert folder.read_trials() is None
    assert folder.read_history() is None
    trials = pd.DataFrame([("alexnet-0", "alexnet", 1e-3, 0.5, "DIVERGED", 1, None, None, None, 0.5, True)])
    trials = trials.set_axis(list(TRIAL_COLUMNS), axis=1)
    trials.insert(4, "pooling", "max")
    folder.write_trials(trials)
    history = pd.DataFrame([("alexnet-0", "alexnet", 1, None, 0.3, 0.5, 0.5)]).set_axis(list(HISTORY_COLUMNS), axis=1)
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
    assert folder.mend() == []
    file = folder.final.path_of(GROUP, 1) / name
    file.write_bytes(next(_damaged(file.read_bytes())))
    (line,) = folder.mend()
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
    (line,) = folder.mend()
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
    (line,) = folder.mend()
    assert f"final/{name} is damaged" in line
    assert not file.exists()
    assert folder.mend() == []


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
    assert folder.mend() == []
    assert list(tmp_path.rglob(".*")) == []
    assert folder.final.numbers() == {GROUP: [0]}


NO_FOLDER_IS_LOCKED = """
import errno, fcntl, os, stat

def flock(descriptor, operation, lock=fcntl.flock):
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        raise OSError(errno.EBADF, "as NFS has it, where nothing is locked that is not open for writing")
    return lock(descriptor, operation)

fcntl.flock = flock
"""


@pytest.mark.parametrize("prelude", ["", NO_FOLDER_IS_LOCKED], ids=["locks", "as on NFS"])
def test_a_folder_is_held_by_one_process_until_that_ends(tmp_path: Path, prelude: str) -> None:
    script = f"""
{prelude}
import sys
from pathlib import Path
from analysis.results.study_folder import StudyFolder
with StudyFolder(Path({str(tmp_path / "study")!r})).held():
    print("held", flush=True)
    sys.stdin.readline()
"""
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        second = subprocess.run(command, input="", capture_output=True, text=True, check=False)
        assert (second.stdout, second.returncode) == ("", 1)
        assert "another process is at work on the study" in second.stderr
        first.kill()
        first.wait()
    assert subprocess.run(command, input="", capture_output=True, text=True, check=True).stdout == "held\n"


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


def test_a_folder_can_be_moved(tmp_path: Path) -> None:
    folder = StudyFolder.create(tmp_path, "a")
    folder.write_study({"x": 1})
    folder.final.write(_run())
    moved = StudyFolder.open(folder.path.rename(tmp_path / "b"))
    assert moved.final.numbers() == {GROUP: [0]}
    assert moved.final.read(GROUP, 0).metrics["accuracy"] == 0.5
