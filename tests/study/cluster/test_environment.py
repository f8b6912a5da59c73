"""An account without a home folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import BUDGET, OWN_NETWORKS


@pytest.mark.slow
def test_an_account_without_a_home_folder_can_ask_for_the_plan(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can hide the list of accounts")
    hidden = 'mount --bind /dev/null /etc/passwd && exec env --unset=HOME "$0" "$@"'
    command = [
        "unshare",
        "--mount",
        "sh",
        "-c",
        hidden,
        sys.executable,
        *OWN_NETWORKS,
        *BUDGET,
        "--archs",
        "tiny",
        "--dry-run",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Plan:")
    assert list(tmp_path.iterdir()) == []
