"""A study with a copy in a bucket: heads lost with their disks, a bucket that is away, two heads, two studies.

The studies are small and train on the head alone. A gate holds them where the test wants them.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.cluster.machines import Machine, wait_until
from tests.cluster.storage import S3
from tests.processes import GATE, HANGS_AFTER, OWN_NETWORKS, SMALL, Gate, assert_same_results
from tests.study.faults import events

COMMAND = ["python", *OWN_NETWORKS, *SMALL, "--confirm", "2", "--resume"]


class Head:
    """A study on a machine of its own."""

    def __init__(self, machine: Machine, s3: S3, name: str, log: Path, gate: Path | None) -> None:
        s3.give_credentials(machine.files)
        self.machine, self.log = machine, log
        self.folder = machine.files / "results" / name
        settings = {} if gate is None else {GATE: str(gate)}
        self.process = machine.start([*COMMAND, "--name", name, "--storage", s3.uri()], log, **settings)
        # As Gate takes it.
        self.program: Any = SimpleNamespace(wait_for=self.wait_for)

    def wait_for(self, condition: Callable[[], object]) -> None:
        def there() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            return bool(condition())

        wait_until(there, "what the test waits for")

    def lose(self) -> None:
        """Switch the machine off and destroy its disk."""
        self.machine.power_off()
        shutil.rmtree(self.machine.files)

    def finish(self) -> tuple[int, str]:
        try:
            return self.process.wait(HANGS_AFTER), self.log.read_text()
        except subprocess.TimeoutExpired:
            pytest.fail(f"the study hangs:\n{self.log.read_text()}")


@pytest.fixture
def start(
    s3: S3, machine: Callable[[int], Machine], tmp_path: Path
) -> Iterator[Callable[[int, str, Path | None], Head]]:
    """Start the command of a study on a new machine."""

    def begin(number: int, name: str, gate: Path | None = None) -> Head:
        return Head(machine(number), s3, name, tmp_path / f"log-{number}", gate)

    yield begin


def names(s3: S3, pattern: str) -> list[str]:
    """Return the objects below the storage whose names match."""
    return [name for name in s3.objects() if re.fullmatch(f"checkpoints/{pattern}", name)]


def copy_of(head: Head) -> str:
    """Return where the bucket keeps the copy of a head's study."""
    return f"studies/{json.loads((head.folder / 'study.json').read_text())['id']}"


def final_runs(s3: S3, head: Head) -> int:
    """Return how many final runs of a head's study are in the bucket."""
    return len(names(s3, rf"{copy_of(head)}/[^/]+/final/.*/seed-\d/SHA256SUMS"))


@pytest.mark.slow
def test_a_study_outlives_its_heads_and_a_bucket_that_is_away(
    start: Callable[..., Head], s3: S3, tmp_path: Path
) -> None:
    calm = start(1, "calm")
    place = tmp_path / "gate"
    gate = Gate(place)
    first = start(2, "lost", place)
    gate.let_train_until(first.program, lambda: events(first.folder, "epoch") >= 2)
    first.lose()

    status, printed = calm.finish()
    assert status == 0, printed
    puts, objects = s3.puts(f"checkpoints/{copy_of(calm)}/"), names(s3, f"{copy_of(calm)}/.*")
    files = [name for name in objects if not re.search("journal.jsonl|study.log|report/", name)]
    print(f"\n{puts} PUTs of the copy, {len(files)} of them neither segments nor the report's")
    assert puts == len(objects), "no object is written twice, and none stands for a folder"

    second = start(3, "lost", place)
    gate.let_train_until(second.program, lambda: names(s3, r"[0-9a-f]{32}/confirm/.*\.pt"))
    s3.go_away(20)
    second.lose()

    third = start(4, "lost", place)
    gate.let_train_until(third.program, lambda: any(third.folder.glob("final/*/seed-*/SHA256SUMS")))
    third.wait_for(lambda: final_runs(s3, third))
    third.lose()

    fourth = start(5, "lost", place)
    gate.let_train_until(fourth.program, lambda: len([*fourth.folder.glob("final/*/seed-*/SHA256SUMS")]) > 1)
    fourth.wait_for(lambda: final_runs(s3, fourth) > 1)
    fifth = start(6, "lost", place)
    status, printed = fourth.finish()
    assert status == 1 and "the study ended here: a newer driver works on lost (session 00005-" in printed
    fourth.lose()
    gate.open()
    status, printed = fifth.finish()
    assert status == 0, printed
    assert "Traceback" not in printed
    assert_same_results(calm.folder, fifth.folder)
    assert not names(s3, r"[0-9a-f]{32}/.*"), "no checkpoint is left"

    # Both studies are in the bucket, so one must be named.
    machine = fifth.machine
    refused = machine.run([*COMMAND, "--results-dir", "new", "--storage", s3.uri()])
    (line,) = refused.stderr.splitlines()
    assert refused.returncode == 2 and "holds 2 studies: say by --name which one to go on with (calm, lost)" in line
    fetched = machine.run([*COMMAND, "--results-dir", "new", "--storage", s3.uri(), "--name", "calm"])
    assert fetched.returncode == 0 and "The study is finished. Report: " in fetched.stdout, fetched.stderr
    assert_same_results(calm.folder, machine.files / "new" / "calm")
    copies = {copy_of(calm), copy_of(fifth)}
    assert {"/".join(name.split("/")[1:3]) for name in names(s3, "studies/.*")} == copies


@pytest.mark.slow
def test_a_bucket_that_stays_away_at_the_end_is_named(start: Callable[..., Head], s3: S3) -> None:
    head = start(1, "alone")
    head.wait_for(lambda: (head.folder / "final" / "samples.npz").exists())
    with s3.away():
        status, printed = head.finish()
    assert status == 0, printed
    waiting, lacks = [line for line in printed.splitlines() if line.startswith(("Waiting for", "s3://"))][-2:]
    assert waiting.endswith("to take the rest, at most 120 s")
    assert " lacks " in lacks and lacks.endswith("Everything is in results/alone, and --resume brings it there")
    again = head.machine.run([*COMMAND, "--name", "alone", "--storage", s3.uri()])
    assert again.returncode == 0 and "The study is finished" in again.stdout, again.stderr
    assert names(s3, "studies/.*/report/report.html")
