"""The plan that a study prints before its first step."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from study.planning import why_no_c

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_temporary_folder_without_programs_is_named(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    mounted = 'mount -t tmpfs -o noexec tmpfs "$TMPDIR" && exec "$0" -c "$1"'
    ask = "from study.planning import why_no_c; print(why_no_c())"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", mounted, sys.executable, ask],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == f"No code runs in {tmp_path} (it is mounted noexec; TMPDIR may name another folder)\n"


def test_a_machine_without_a_compiler_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert why_no_c() == "There is no C compiler (cc) on this machine"
    (tmp_path / "cc").touch(mode=0o755)
    assert why_no_c() is None
