"""Checkpoints: kept, replaced as a whole, and known to be whole."""

from pathlib import Path

import pytest
import torch

from analysis.results.files import DamagedFile
from study.storage.checkpoints import CheckpointStore
from tests.builders import training_run

RUN = "final/alexnet-tuned/seed-0"


def _state(value: float) -> dict[str, object]:
    return {"weights": torch.full((5,), value), "history": [{"epoch": 1, "loss": float("nan")}], "n": 3}


@pytest.mark.parametrize("folder", ["plain", "with a space", "ünïcode", "a#b", "a?b=c", "a%20b"])
def test_a_state_comes_back(tmp_path: Path, folder: str) -> None:
    store = CheckpointStore(str(tmp_path / folder))
    assert store.load(RUN) is None
    store.save(RUN, _state(1.5))
    found = store.load(RUN)
    assert found is not None
    assert torch.equal(found["weights"], torch.full((5,), 1.5))
    assert (found["n"], found["history"][0]["epoch"]) == (3, 1)
    assert (tmp_path / folder / f"{RUN}.pt").is_file()


def test_a_file_uri_is_a_store(tmp_path: Path) -> None:
    CheckpointStore(f"file://{tmp_path}/shared").save("alexnet-0", _state(1.0))
    assert CheckpointStore(str(tmp_path / "shared")).load("alexnet-0") is not None


def test_a_checkpoint_with_the_magic_of_the_former_name_is_read(tmp_path: Path) -> None:
    store, file = CheckpointStore(str(tmp_path)), tmp_path / "alexnet-0.pt"
    store.save("alexnet-0", _state(1.5))
    content = file.read_bytes()
    assert content.startswith(b"fairverdict checkpoint 1\n")
    former = content.replace(b"fairverdict", b"netverdict", 1)
    file.write_bytes(former)
    found = store.load("alexnet-0")
    assert found is not None
    assert torch.equal(found["weights"], torch.full((5,), 1.5))
    file.write_bytes(former[:-1])
    with pytest.raises(DamagedFile, match=r"alexnet-0\.pt"):
        store.load("alexnet-0")


def test_a_study_clears_its_own_checkpoints(tmp_path: Path) -> None:
    mine, other = (CheckpointStore(str(tmp_path), within=name) for name in ("mine", "other"))
    for store in (mine, other):
        store.save(RUN, _state(1.0))
        store.save("alexnet-0", _state(1.0))
    mine.clear()
    mine.clear()
    assert mine.load(RUN) is None
    assert other.load(RUN) is not None
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_the_newest_state_replaces_the_last_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    store = CheckpointStore(str(tmp_path))
    for value in (1.0, 2.0):
        store.save("alexnet-0", _state(value))
    store.save("alexnet-1", _state(3.0))
    found = store.load("alexnet-0")
    assert found is not None
    assert found["weights"][0] == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alexnet-0.pt", "alexnet-1.pt"]


def test_a_save_that_is_cut_short_leaves_the_last_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = CheckpointStore(str(tmp_path))
    store.save("alexnet-0", _state(1.0))
    monkeypatch.setattr("study.storage.checkpoints.zlib.crc32", lambda payload: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        store.save("alexnet-0", _state(2.0))
    monkeypatch.undo()
    found = store.load("alexnet-0")
    assert found is not None
    assert found["weights"][0] == 1


def _offsets(size: int) -> list[int]:
    """The head, the checksum, and places all over the payload."""
    return [*range(40), *range(40, size, max(1, size // 60)), size - 1]


def test_a_changed_byte_anywhere_is_found_and_the_file_named(tmp_path: Path) -> None:
    store, file = CheckpointStore(str(tmp_path)), tmp_path / "alexnet-0.pt"
    store.save("alexnet-0", _state(1.0))
    content = file.read_bytes()
    for offset in _offsets(len(content)):
        damaged = bytearray(content)
        damaged[offset] ^= 1
        file.write_bytes(damaged)
        with pytest.raises(DamagedFile, match=r"alexnet-0\.pt"):
            store.load("alexnet-0")


def test_a_missing_end_is_found(tmp_path: Path) -> None:
    store, file = CheckpointStore(str(tmp_path)), tmp_path / "alexnet-0.pt"
    store.save("alexnet-0", _state(1.0))
    content = file.read_bytes()
    for length in _offsets(len(content)):
        file.write_bytes(content[:length])
        with pytest.raises(DamagedFile, match=r"alexnet-0\.pt"):
            store.load("alexnet-0")


def test_deleting(tmp_path: Path) -> None:
    store = CheckpointStore(str(tmp_path))
    store.delete(RUN)
    for name in (RUN, "alexnet-0"):
        store.save(name, _state(1.0))
    store.delete(RUN)
    assert store.load(RUN) is None
    assert store.load("alexnet-0") is not None


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    store = CheckpointStore(str(tmp_path))
    store.save("evil", {"path": tmp_path})
    with pytest.raises(Exception, match="Weights only"):
        store.load("evil")


def test_a_training_run_goes_through_the_store(tmp_path: Path) -> None:
    run = training_run()
    run.train_epoch()
    store = CheckpointStore(str(tmp_path))
    store.save("toy", run.state_dict())
    state, again = store.load("toy"), training_run()
    assert state is not None
    again.load_state_dict(state)
    assert again.history == run.history
    run.train_epoch()
    again.train_epoch()
    assert all(torch.equal(value, run.best_weights()[name]) for name, value in again.best_weights().items())
