"""Files that appear whole or not at all, and JSON without NaN."""

import json
import math
import os
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.results.files import (
    DamagedFile,
    appearing_whole,
    read_json,
    without_nan,
    write_atomically,
    write_json,
    write_text,
)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@settings(deadline=None)
@given(values)
def test_json_holds_null_and_never_nan(value: Any) -> None:
    cleaned = without_nan(value)
    text = json.dumps(cleaned, allow_nan=False)
    assert json.loads(text) == cleaned
    if "NaN" not in json.dumps(value) and "Infinity" not in json.dumps(value):
        assert cleaned == value


def test_json_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "a.json"
    value = {"a": [1, math.nan, math.inf, (2.5, -math.inf)], "ü": np.float64("nan"), "x": 0.1 + 0.2}
    write_json(path, value)
    assert read_json(path) == {"a": [1, None, None, [2.5, None]], "ü": None, "x": 0.1 + 0.2}
    assert "ü" in path.read_text(encoding="utf-8")
    assert path.read_bytes().endswith(b"}\n")


def test_text_is_utf_8(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "αβγ\n")
    assert (tmp_path / "a.txt").read_bytes() == "αβγ\n".encode()


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def fail(file: IO[bytes]) -> None:
        file.write(b"half")
        assert path.read_text() == "old"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, fail)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_json_leaves_the_old_file(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", 1)
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"a": {1, 2}})
    assert read_json(tmp_path / "a.json") == 1


def test_the_content_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, calls = tmp_path / "a.txt", []
    monkeypatch.setattr(os, "fsync", lambda descriptor: calls.append((path.exists(), os.fstat(descriptor).st_size)))
    write_text(path, "content")
    assert calls == [(False, 7)]


@pytest.mark.parametrize("content", [b"", b"{", b'{"a": 1', b"\xff\xfe\x00", b"\x00\x00", b"{'a': 1}"])
def test_what_is_not_json_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.json"
    path.write_bytes(content)
    with pytest.raises(DamagedFile, match=r"broken\.json is not readable as JSON"):
        read_json(path)


def test_a_missing_file_is_not_a_damaged_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "none.json")


def test_a_folder_has_the_mode_that_the_umask_and_its_parent_give(tmp_path: Path) -> None:
    tmp_path.chmod(0o2775)
    before = os.umask(0o007)
    try:
        with appearing_whole(tmp_path / "run") as path:
            (path / "file").touch()
    finally:
        os.umask(before)
    assert (tmp_path / "run").stat().st_mode & 0o7777 == 0o2770
    assert (tmp_path / "run" / "file").stat().st_mode & 0o7777 == 0o660
