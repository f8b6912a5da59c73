"""The plan that a study prints before its first step."""

from pathlib import Path

import pytest

from study.planning import why_no_c
from tests.mounts import with_mounts


def test_a_temporary_folder_without_programs_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    reason = with_mounts('mount -t tmpfs -o noexec tmpfs "$0"', why_no_c, tmp_path)
    assert reason == f"No code runs in {tmp_path} (it is mounted noexec; TMPDIR may name another folder)"
    assert why_no_c() is None


def test_a_machine_without_a_compiler_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert why_no_c() == "There is no C compiler (cc) on this machine"
    (tmp_path / "cc").touch(mode=0o755)
    assert why_no_c() is None
