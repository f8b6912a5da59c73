"""A signal ends a study even if it comes inside a destructor, where Python drops its exception."""

import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from study.cluster.capacity import Capacity, machine_capacity
from study.listeners.runs_recorder import RunsRecorder
from study.listeners.search_recorder import SearchRecorder
from tests.in_process import run_here
from tests.processes import SMALL


class Interrupted:
    """Is interrupted in its destructor, which it notes."""

    def __init__(self, noted: list[str]) -> None:
        self._noted = noted

    def __del__(self) -> None:
        self._noted.append("interrupted")
        signal.raise_signal(signal.SIGTERM)
        time.sleep(60)  # which the exception ends


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recorder", "method"),
    [(SearchRecorder, "on_change"), (RunsRecorder, "on_epoch")],
    ids=["in the search", "in the final runs"],
)
def test_the_study_ends_in_order(recorder: type, method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told, noted = getattr(recorder, method), list[str]()

    def and_interrupt(self: object, *arguments: Any) -> None:
        told(self, *arguments)
        if not noted:
            Interrupted(noted)

    monkeypatch.setattr(recorder, method, and_interrupt)
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: noted.append("printed"))
    done = run_here([*SMALL, "--name", "s"], tmp_path)
    assert noted == ["interrupted"]
    assert done.returncode == 130
    assert "go on with: python -m study.run --resume --results-dir results --name s" in done.stderr
    assert not (tmp_path / "results" / "s" / "report").exists()


def test_a_study_does_not_begin_if_the_signal_came_while_ray_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[str] = []

    def start_and_be_interrupted() -> Capacity:
        Interrupted(noted)
        return machine_capacity()

    monkeypatch.setattr("tests.in_process.machine_capacity", start_and_be_interrupted)
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: noted.append("printed"))
    done = run_here([*SMALL, "--name", "s"], tmp_path)
    assert noted == ["interrupted"]
    assert done.returncode == 130
    assert done.stderr.endswith("interrupted before the study began\n")
    assert not (tmp_path / "results").exists()
