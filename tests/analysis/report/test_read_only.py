"""A study that cannot be written, such as one on a mounted archive: its report goes elsewhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
# Bind the example to a folder of the test, and make that read-only for this process alone.
READ_ONLY = """
mkdir studies && mount --bind "$0" studies && mount -o remount,bind,ro studies
"$1" -m analysis.report studies; echo $?
"$1" -m analysis.report studies --output elsewhere; echo $?
"""


@pytest.mark.slow
def test_a_read_only_study_has_its_report_elsewhere(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", READ_ONLY, ROOT / "tests" / "example-study", sys.executable],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["1", "elsewhere/report.html", "0"]
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: [Errno 30] Read-only file system: ")
    assert line.endswith(": write the report elsewhere with --output DIR")
    written = {path.name for path in (tmp_path / "elsewhere").iterdir()}
    assert {"report.html", "summary.json", "accuracy-by-group.svg"} <= written
