"""A study whose terminal goes away, as a lost ssh connection and `study & exit` do."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import HANGS_AFTER, OWN_NETWORKS, SMALL


@pytest.mark.slow
def test_a_study_without_its_terminal_goes_on_to_its_report(tmp_path: Path) -> None:
    leader, follower = pty.openpty()
    command = [sys.executable, *OWN_NETWORKS, *SMALL, "--name", "lost"]
    with subprocess.Popen(command, cwd=tmp_path, stdin=follower, stdout=follower, stderr=follower) as study:
        os.close(follower)
        shown = b""
        while b"stage 1" not in shown:
            shown += os.read(leader, 65536)
        os.close(leader)
        assert study.wait(HANGS_AFTER) == 0
    folder = tmp_path / "results" / "lost"
    lines = [line[20:] for line in (folder / "study.log").read_text().splitlines()]
    assert "standard output is lost (Input/output error); study.log has every line" in lines
    assert lines[-1] == f"Report: {folder / 'report' / 'report.html'}"
