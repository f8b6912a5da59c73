"""Studies on a machine that runs out of disk or memory."""

import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from analysis.results.study_folder import StudyFolder
from study.search.ledger import Ledger
from tests.processes import BUDGET, DOCUMENTED_NETWORKS, Programs

pytestmark = pytest.mark.slow


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own that holds 1 MB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    path = tmp_path / "disk"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(path)], check=True)
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


def test_a_full_disk_ends_the_study_with_one_line(programs: Programs, small_disk: Path) -> None:
    arguments = [*BUDGET, "--archs", "mobilenet", "--name", "full"]
    done = programs.run_study(arguments, small_disk, DOCUMENTED_NETWORKS)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "No space left on device" in line
    go_on = line.partition("When that is mended, go on with: python -m study.run ")[2]
    before = Ledger(small_disk / "results" / "full" / "tune" / "journal.jsonl").arrivals()

    subprocess.run(["mount", "-o", "remount,size=100m", str(small_disk)], check=True)
    done = programs.run_study(shlex.split(go_on), small_disk, DOCUMENTED_NETWORKS)
    assert done.returncode == 0, done.stderr
    trials = StudyFolder(small_disk / "results" / "full").read_trials()
    assert trials is not None
    assert list(trials["trial_id"]) == [f"mobilenet-{number}" for number in range(2)]
    assert set(trials["status"]) <= {"COMPLETE", "STOPPED_EARLY", "PRUNED"}, "a full disk is no trial's fault"
    after = Ledger(small_disk / "results" / "full" / "tune" / "journal.jsonl").arrivals()
    assert [(t.trial_id, row) for t, row in after][: len(before)] == [(t.trial_id, row) for t, row in before]


def test_memory_that_runs_out_is_the_trials_own_fault(
    programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray kills every worker, as it does where the machine's memory runs short: nothing may hang."""
    monkeypatch.setenv("RAY_memory_usage_threshold", "0.001")
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "100")
    done = programs.run_study([*BUDGET, "--archs", "tiny", "--trials", "1", "--name", "memory"], tmp_path)
    assert done.returncode == 1
    trial, ending = done.stderr.splitlines()
    assert trial.startswith("the trial tiny-0 failed: out of memory: lower --concurrency")
    assert ending.startswith("the study failed: inference time could not be measured: out of memory")
