"""The object store: bytes under names, replaced as a whole, in a folder or in a bucket."""

import socket
from pathlib import Path

import pytest

from study.errors import StorageFailed
from study.storage.object_store import ObjectStore


def test_objects_are_written_replaced_and_deleted(tmp_path: Path) -> None:
    store = ObjectStore(str(tmp_path), within="study")
    assert store.read("a/b") is None
    store.write("a/b", b"one", memoryview(b" two"))
    assert store.read("a/b") == b"one two"
    store.write("a/b", b"three")
    assert (tmp_path / "study/a/b").read_bytes() == b"three"
    assert [path.name for path in (tmp_path / "study/a").iterdir()] == ["b"]
    store.delete("a/b")
    store.delete("a/b")
    assert store.read("a/b") is None


def test_a_write_that_is_cut_short_leaves_the_last_object(tmp_path: Path) -> None:
    store = ObjectStore(str(tmp_path))
    store.write("a", b"one")
    with pytest.raises(TypeError):
        store.write("a", b"tw", 2)  # type: ignore[arg-type]
    assert store.read("a") == b"one"


def test_a_probe_is_seen_until_it_is_deleted(tmp_path: Path) -> None:
    store = ObjectStore(str(tmp_path))
    assert not store.has("probe")
    store.write_probe("probe")
    assert store.has("probe")
    store.delete("probe")
    assert not store.has("probe")


@pytest.mark.parametrize("uri", ["", "relative/path", "nothing://here"])
def test_what_is_no_storage_is_refused(uri: str) -> None:
    with pytest.raises(ValueError, match="is neither an absolute path nor a storage URI"):
        ObjectStore(uri)


@pytest.mark.slow
def test_a_storage_that_stays_away_is_named_with_what_it_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("study.storage.object_store.PATIENCE_SECONDS", 0.0)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        endpoint = f"127.0.0.1%3A{closed.getsockname()[1]}"
        store = ObjectStore(f"s3://bucket/folder?region=us-east-1&scheme=http&endpoint_override={endpoint}")
        with pytest.raises(StorageFailed, match=r"the file bucket/folder/a/b\.pt cannot be removed: "):
            store.delete("a/b.pt")
