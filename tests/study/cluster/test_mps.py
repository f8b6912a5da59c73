"""Starting MPS, with a control program that only writes down how it was called."""

import os
from pathlib import Path

import pytest

from study.cluster import mps


@pytest.fixture
def control(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / mps.CONTROL
    program.write_text('#!/bin/sh\necho "$@" in "$CUDA_MPS_PIPE_DIRECTORY" >> "$0.calls"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(mps, "DEFAULT", tmp_path / "no such service")
    monkeypatch.setattr(mps, "PROBE", "import os; assert os.environ['CUDA_MPS_LOG_DIRECTORY']")
    for name in (mps.PIPES, mps.LOGS):
        monkeypatch.delenv(name, raising=False)
    return program


def calls(control: Path) -> list[str]:
    written = control.with_name(f"{control.name}.calls")
    return written.read_text().splitlines() if written.exists() else []


def test_starts_it_for_later_processes_until_it_is_forgotten(control: Path, tmp_path: Path) -> None:
    assert mps.start(tmp_path / "mps")
    assert calls(control) == [f"-d in {tmp_path / 'mps'}"]
    assert os.environ[mps.PIPES] == os.environ[mps.LOGS] == str(tmp_path / "mps")
    mps.forget()
    assert mps.PIPES not in os.environ and mps.LOGS not in os.environ


@pytest.mark.parametrize("fails", ["program", "context"])
def test_goes_on_without_one_that_does_not_work(
    fails: str, control: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fails == "program":
        control.write_text("#!/bin/sh\necho no such thing here >&2; exit 1\n")
    else:
        monkeypatch.setattr(mps, "PROBE", "raise SystemExit('no such thing here')")
    with pytest.warns(RuntimeWarning, match="MPS does not work here.*no such thing here"):
        assert not mps.start(tmp_path / "mps")
    assert mps.PIPES not in os.environ


def test_uses_a_service_that_runs_already(control: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "control").touch()
    monkeypatch.setattr(mps, "DEFAULT", tmp_path / "control")
    assert not mps.start(tmp_path / "mps")
    monkeypatch.undo()
    assert calls(control) == []


def test_uses_the_service_that_the_environment_names(
    control: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(mps.PIPES, "/somewhere")
    assert not mps.start(tmp_path / "mps")
    assert calls(control) == []
    assert os.environ[mps.PIPES] == "/somewhere"


def test_does_without_where_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(mps, "ELSEWHERE", str(tmp_path))
    monkeypatch.setattr(mps, "DEFAULT", tmp_path / "no such service")
    monkeypatch.delenv(mps.PIPES, raising=False)
    assert not mps.start(tmp_path / "mps")
