"""A signal ends a study even if it comes inside a destructor, where Python drops its exception."""

from pathlib import Path

import pytest

from tests.processes import OWN_NETWORKS, SMALL, Programs

PROGRAM = """
import os, runpy, signal, sys, time
from {module} import {recorder}

class Interrupted:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)

def and_interrupt(self, *arguments, told={recorder}.{method}, once=[1]):
    told(self, *arguments)
    if once:
        once.clear()
        Interrupted()

{recorder}.{method} = and_interrupt
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recorder", "method"),
    [("SearchRecorder", "on_change"), ("RunsRecorder", "on_epoch")],
    ids=["in the search", "in the final runs"],
)
def test_the_study_ends_in_order(programs: Programs, recorder: str, method: str, tmp_path: Path) -> None:
    module = {"SearchRecorder": "search_recorder", "RunsRecorder": "runs_recorder"}[recorder]
    program = PROGRAM.format(module=f"study.listeners.{module}", recorder=recorder, method=method)
    done = programs.start("-c", program, *OWN_NETWORKS, *SMALL, "--name", "s", cwd=tmp_path).finish()
    assert "Exception ignored in" in done.stderr
    assert done.returncode == 130
    assert "go on with: python -m study.run --resume --results-dir results --name s" in done.stderr
    assert not (tmp_path / "results" / "s" / "report").exists()
