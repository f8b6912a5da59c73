"""A study whose terminal or reader goes away, as a lost ssh connection, `study & exit` and `study | head` do.

It is begun from the config.toml of another study, and must be the same study.
"""

import os
import pty
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.in_process import run_here
from tests.processes import assert_same_results
from tests.study.conftest import Finished


@pytest.mark.slow
@pytest.mark.parametrize(
    ("opened", "reason"), [(pty.openpty, "Input/output error"), (os.pipe, "Broken pipe")], ids=["terminal", "pipe"]
)
def test_a_study_whose_output_is_lost_goes_on_to_its_report(
    undisturbed: Finished, opened: Callable[[], tuple[int, int]], reason: str, tmp_path: Path
) -> None:
    reader, writer = opened()
    written = undisturbed.folder / "config.toml"
    shown = b""

    def leave_in_the_search() -> None:
        nonlocal shown
        if not shown:
            while b"stage 1" not in shown:
                shown += os.read(reader, 65536)
            os.close(reader)

    with open(writer, "w") as stream:
        command = ["--config", str(written), "--name", "lost"]
        assert run_here(command, tmp_path, at_step=leave_in_the_search, streams=stream).returncode == 0
    assert shown
    folder = tmp_path / "results" / "lost"
    lines = [line[20:] for line in (folder / "study.log").read_text().splitlines()]
    assert f"standard output is lost ({reason}); study.log has every line" in lines
    assert lines[-1] == f"Report: {folder / 'report' / 'report.html'}"
    assert_same_results(undisturbed.folder, folder)
    assert (folder / "config.toml").read_text() == written.read_text()
    assert tomllib.loads(written.read_text())["study"]["archs"] == ["tiny", "small"]
