"""A study whose terminal goes away, as a lost ssh connection and `study & exit` do.

It is begun from the config.toml of another study, and must be the same study.
"""

import os
import pty
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.processes import HANGS_AFTER, OWN_NETWORKS, assert_same_results
from tests.study.conftest import Finished


@pytest.mark.slow
def test_a_study_without_its_terminal_goes_on_to_its_report(undisturbed: Finished, tmp_path: Path) -> None:
    leader, follower = pty.openpty()
    written = undisturbed.folder / "config.toml"
    command = [sys.executable, *OWN_NETWORKS, "--config", str(written), "--name", "lost"]
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
    assert_same_results(undisturbed.folder, folder)
    assert (folder / "config.toml").read_text() == written.read_text()
    assert tomllib.loads(written.read_text())["study"]["archs"] == ["tiny", "small"]
