"""A study whose machines are lost with their disks, one after the other, while a copy in a bucket follows it.

The bucket is a folder, by a URI; tests/cluster has one behind S3's protocol, and heads that are killed. Each machine is
a folder of its own, and the same command is typed on each.
"""

import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock

import pytest

from study.mirror.carrier import Carrier
from tests.in_process import interrupt_when, run_here
from tests.processes import SMALL, assert_same_results
from tests.study.faults import events
from tests.study.mirror.copied import contents

STUDY = [*SMALL, "--confirm", "2", "--name", "lost"]


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> RLock:
    """Let the bucket be followed all the time. Return a lock under which nothing is brought to it."""
    bring, lock = Carrier.bring, RLock()

    def bring_alone(carrier: Carrier, *, is_last: bool) -> None:
        with lock:
            bring(carrier, is_last=is_last)

    monkeypatch.setattr(Carrier, "bring", bring_alone)
    monkeypatch.setattr("study.mirror.follow.FOLLOW_EVERY_SECONDS", 0.05)
    return lock


@pytest.mark.slow
def test_a_study_outlives_its_machines(tmp_path: Path, quiet: RLock) -> None:
    machines = [tmp_path / f"machine-{number}" for number in range(6)]
    for machine in machines:
        machine.mkdir()
    calm, bucket = machines[0] / "results" / "lost", tmp_path / "bucket"
    assert run_here(STUDY, machines[0]).returncode == 0
    command = [*STUDY, "--storage", bucket.as_uri(), "--resume"]

    def found(pattern: str) -> bool:
        return any(bucket.glob(pattern))

    @contextmanager
    def lost(machine: Path, condition: Callable[[], object]) -> Iterator[Callable[[], None]]:
        """Yield what interrupts a study. Then take back what it did after that, and the machine's disk."""
        kept = tmp_path / "kept"

        def keep() -> bool:
            if is_met := bool(condition()):
                with quiet:
                    shutil.copytree(bucket, kept)
            return is_met

        yield interrupt_when(keep)
        shutil.rmtree(machine)
        shutil.rmtree(bucket)
        kept.rename(bucket)

    with lost(
        machines[1],
        lambda: events(machines[1] / "results" / "lost", "epoch") >= 2 and found("studies/*/*/study.json"),
    ) as at_step:
        first = run_here(command, machines[1], at_step=at_step)
    assert "There is no study to go on with: results/lost begins" in first.stdout

    with lost(machines[2], lambda: found("*/confirm/**/*.pt")) as at_step:
        second = run_here(command, machines[2], at_step=at_step)
    assert "Fetched results/lost from " in second.stdout

    taken_over = []

    def take_over() -> None:
        """Begin on another machine once the third one has brought a final run."""
        run = "final/*/seed-*/SHA256SUMS"
        if taken_over or not any(machines[3].glob(f"results/lost/{run}")):
            return
        while not found(f"studies/*/*/{run}"):
            time.sleep(0.01)
        taken_over.append(run_here(command, machines[4], at_step=interrupt_when(lambda: True)).returncode)

    third = run_here(command, machines[3], at_step=take_over)
    assert (third.returncode, taken_over) == (1, [130])
    assert re.fullmatch(r"the study ended here: a newer driver works on lost \(session 00004-.*\n", third.stderr)
    done = run_here(command, machines[4])
    assert (done.returncode, done.stderr) == (0, "")
    assert_same_results(calm, machines[4] / "results" / "lost")
    assert [path.name for path in bucket.iterdir()] == ["studies"], "no checkpoint is left"

    last = run_here(["--resume", "--storage", bucket.as_uri()], machines[5])
    assert (last.returncode, last.stderr) == (0, "")
    assert "The study is finished. Report: " in last.stdout
    there, here = (contents(machine / "results" / "lost") for machine in machines[4:])
    assert here.pop("study.log") and there.pop("study.log")
    assert here == there
