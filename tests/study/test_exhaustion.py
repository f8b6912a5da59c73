"""Studies on a machine that runs out of disk or memory."""

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from analysis.results.study_folder import StudyFolder
from study.search.ledger import Ledger
from tests.in_process import run_here
from tests.processes import BUDGET, OWN_NETWORKS, SMALL, Programs
from tests.study.faults import events

pytestmark = pytest.mark.slow


@contextmanager
def file_system(path: Path, options: str) -> Iterator[None]:
    """Mount a file system of its own in memory."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own that holds 300 kB."""
    path = tmp_path / "disk"
    with file_system(path, "size=300k"):
        yield path


def test_a_full_disk_ends_the_study_with_one_line(small_disk: Path) -> None:
    arguments = [*BUDGET, "--archs", "mobilenet", "--name", "full"]
    done = run_here(arguments, small_disk)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "No space left on device" in line
    go_on = line.partition("When that is mended, go on with: python -m study.run ")[2]
    before = Ledger(small_disk / "results" / "full" / "tune" / "journal.jsonl").arrivals()

    subprocess.run(["mount", "-o", "remount,size=100m", str(small_disk)], check=True)
    done = run_here(shlex.split(go_on), small_disk)
    assert done.returncode == 0, done.stderr
    trials = StudyFolder(small_disk / "results" / "full").read_trials()
    assert trials is not None
    assert list(trials["trial_id"]) == [f"mobilenet-{number}" for number in range(2)]
    assert set(trials["status"]) <= {"COMPLETE", "STOPPED_EARLY", "PRUNED"}, "a full disk is no trial's fault"
    after = Ledger(small_disk / "results" / "full" / "tune" / "journal.jsonl").arrivals()
    assert [(t.trial_id, row) for t, row in after][: len(before)] == [(t.trial_id, row) for t, row in before]


# A run whose checkpoints cannot be kept, and a trial that fails, get fewer attempts than usual.
FEWER_ATTEMPTS = """
import runpy, sys
from functools import partial
from study.cluster.health import placement
from study.runs import ray_runs
from study.search import driver

placement.RETRIES = 1
driver.Attempts = ray_runs.Attempts = partial(driver.Attempts, retries=0)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_a_storage_that_cannot_be_written_ends_the_study_with_one_line(programs: Programs, tmp_path: Path) -> None:
    """It is too small for a checkpoint in the search, then it becomes read-only in the final runs."""
    storage, folder = tmp_path / "storage", tmp_path / "results" / "full"
    with file_system(storage, "size=8k"):
        words = [*OWN_NETWORKS, *SMALL, "--storage", str(storage), "--name", "full"]
        done = programs.start("-c", FEWER_ATTEMPTS, *words, cwd=tmp_path).finish()
        assert done.returncode == 1
        line = rf"the study failed: the file {storage}/\w+/tiny-0\.pt cannot be written: .*No space left on device.*"
        found = re.fullmatch(rf"{line}\. When that is mended, go on with: (.*)\n", done.stderr)
        assert found, done.stderr
        go_on = shlex.split(found[1])[3:]
        assert not events(folder, "error") and not events(folder, "end"), "it is no trial's fault"

        subprocess.run(["mount", "-o", "remount,size=10m", str(storage)], check=True)
        is_writable = True

        def protect_in_the_final_runs() -> None:
            nonlocal is_writable
            if is_writable and list(storage.glob("*/final/**/*.pt")):
                subprocess.run(["mount", "-o", "remount,ro", str(storage)], check=True)
                is_writable = False

        done = run_here(go_on, tmp_path, at_step=protect_in_the_final_runs)
        assert done.returncode == 1
        assert re.fullmatch(r"the study failed: the file .*: .*Read-only file system.* go on with: .*\n", done.stderr)

        subprocess.run(["mount", "-o", "remount,rw", str(storage)], check=True)
        done = run_here(go_on, tmp_path)
        assert done.returncode == 0, done.stderr
    trials = StudyFolder(folder).read_trials()
    assert trials is not None
    assert set(trials["status"]) <= {"COMPLETE", "STOPPED_EARLY", "PRUNED"}


def test_memory_that_runs_out_is_the_trials_own_fault(
    programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray kills every worker, as it does where the machine's memory runs short: nothing may hang."""
    monkeypatch.setenv("RAY_memory_usage_threshold", "0.001")
    words = [*OWN_NETWORKS, *BUDGET, "--archs", "tiny", "--trials", "1", "--seeds", "1", "--name", "memory"]
    done = programs.start("-c", FEWER_ATTEMPTS, *words, cwd=tmp_path).finish()
    assert done.returncode == 1
    first, *_, last = done.stderr.splitlines()
    assert first.startswith("the trial tiny-0 failed: out of memory: lower --concurrency")
    assert last.startswith("Tiny has no result"), "a network without a result is not timed"
    assert "Traceback" not in done.stderr
