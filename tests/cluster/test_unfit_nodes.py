"""Nodes that cannot take part: a storage that one node cannot write, other code on a node, a node that is cut off.

A gate holds the training of the tiny networks until what the test is about has happened.
"""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from tests.cluster.machines import ROOT, Machine, wait_until
from tests.processes import GATE, HANGS_AFTER, OWN_NETWORKS, Gate

STUDY = [
    *("python", *OWN_NETWORKS, "--dataset", "digits", "--train-size", "100", "--archs", "tiny"),
    *("--trials", "4", "--max-epochs", "4", "--seeds", "1", "--confirm", "0", "--address", "auto"),
]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return the folder of the gate, which every machine sees."""
    return tmp_path / "gate"


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    """Return a folder that every machine sees."""
    path = tmp_path / "storage"
    path.mkdir()
    return path


@pytest.fixture
def other_code(tmp_path: Path) -> Iterator[str]:
    """Return a PYTHONPATH with this project's packages, one of whose files has one line more."""
    for package in ("models", "analysis", "study"):
        shutil.copytree(ROOT / package, tmp_path / "other" / package, ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "other" / "models" / "training" / "loop.py").open("a") as file:
        file.write("# another line\n")
    yield str(tmp_path / "other")


@pytest.fixture
def head(machine: Callable[[int], Machine], place: Path) -> Machine:
    head = machine(1)
    head.ray_start("--head", "--port=6379", "--num-cpus=1", "--include-dashboard=false", **{GATE: str(place)})
    return head


@pytest.fixture
def add_node(head: Machine, machine: Callable[[int], Machine], place: Path) -> Callable[..., Machine]:
    """Let a new machine with one CPU join the cluster."""

    def add(number: int, **environment: str) -> Machine:
        node = machine(number)
        node.ray_start(f"--address={head.ip}:6379", "--num-cpus=1", **{GATE: str(place), **environment})
        return node

    return add


def has_trial(node: Machine) -> bool:
    """Return whether a trial has begun on a node."""
    return any(line.startswith("ray::ImplicitFunc") for line in node.processes())


class Study:
    """Runs a study on the head. Its trials wait at their first step until the gate opens."""

    def __init__(self, head: Machine, storage: Path, log: Path, place: Path) -> None:
        self._log = log
        self._folder = head.files / "results" / "unfit"
        self._gate = Gate(place)
        command = [*STUDY, "--storage", str(storage), "--name", self._folder.name]
        self._driver = head.start(command, log, RAY_AUTH_MODE="token")

    def begin(self, *nodes: Machine) -> None:
        """Wait until a trial has begun on each of these nodes."""
        # A worker measures some steps of training before that.
        self._gate.let_train_until(self, lambda: any(has_trial(node) for node in nodes))
        self.wait_for(lambda: all(has_trial(node) for node in nodes))

    def wait_for(self, condition: Callable[[], object]) -> None:
        def there() -> bool:
            assert self._driver.poll() is None, self._log.read_text()
            return bool(condition())

        wait_until(there, "what the test waits for")

    def says(self, words: str) -> None:
        """Wait until it has printed these words."""
        self.wait_for(lambda: words in self._log.read_text())

    def go_on(self) -> str:
        """Open the gate and return what the study has printed at its end. It must succeed."""
        self._gate.open()
        status, printed = self.end()
        assert status == 0, printed
        assert set(pd.read_csv(self._folder / "trials.csv")["status"]) <= {"COMPLETE", "STOPPED_EARLY", "PRUNED"}
        return printed

    def end(self) -> tuple[int, str]:
        """Wait for its end; return its exit status and what it printed."""
        return self._driver.wait(HANGS_AFTER), self._log.read_text()


@pytest.fixture
def start(head: Machine, storage: Path, tmp_path: Path, place: Path) -> Callable[[], Study]:
    """Start the study."""
    return lambda: Study(head, storage, tmp_path / "log", place)


def test_a_trial_goes_to_another_node_if_one_cannot_write_the_storage(
    head: Machine, add_node: Callable[..., Machine], storage: Path, start: Callable[[], Study]
) -> None:
    # No gate holds this node, so it fails while the head's trial waits.
    node = add_node(2, **{GATE: ""})
    done = node.run(["sh", "-c", f"mount --bind {storage} {storage} && mount -o remount,ro,bind {storage}"])
    assert done.returncode == 0, done.stderr
    study = start()
    study.begin(head)
    study.says(f"on the node {node.ip}")
    printed = study.go_on()
    (line,) = [line for line in printed.splitlines() if line.startswith(f"on the node {node.ip}, ")]
    assert f" the file {storage}/" in line
    assert line.endswith("Read-only file system; the runs go to other nodes")
    assert "Traceback" not in printed


def test_a_node_with_other_code_is_named_and_gets_no_work(
    head: Machine, add_node: Callable[..., Machine], other_code: str, start: Callable[[], Study]
) -> None:
    node = add_node(2, PYTHONPATH=other_code)
    study = start()
    study.begin(head)
    late = add_node(3, PYTHONPATH=other_code)
    study.says(f"the node {late.ip} ")
    printed = study.go_on()
    words = "has other code than this process (another models/training/loop.py); it gets no work"
    named = [line for line in printed.splitlines() if "other code" in line]
    assert named == [f"the node {ip} {words}" for ip in (node.ip, late.ip)]


def test_a_cluster_of_other_code_alone_is_refused_in_one_line(
    machine: Callable[[int], Machine], storage: Path, other_code: str
) -> None:
    head, node = machine(1), machine(2)
    head.ray_start("--head", "--port=6379", "--num-cpus=0", "--include-dashboard=false")
    node.ray_start(f"--address={head.ip}:6379", "--num-cpus=1", PYTHONPATH=other_code)
    done = head.run([*STUDY, "--storage", str(storage)], RAY_AUTH_MODE="token")
    assert (done.returncode, done.stderr) == (
        1,
        f"the study failed: the node {node.ip} has other code than this process (another models/training/loop.py); no"
        " other node can make a run. When that is mended, begin again\n",
    )


@pytest.mark.slow
def test_a_node_that_is_cut_off_is_named(
    head: Machine, add_node: Callable[..., Machine], start: Callable[[], Study]
) -> None:
    node, study = add_node(2), start()
    study.begin(head, node)
    node.cut_off()
    study.says(f"the node {node.ip} is lost (")
    # Ray may give the node up before it has been cut off for 45 s.
    *cut_off, last = [line for line in study.go_on().splitlines() if line.startswith(f"the node {node.ip} ")]
    assert last.startswith(f"the node {node.ip} is lost (")
    assert all(re.fullmatch(rf"the node {node.ip} has been cut off for (4[5-9]|5\d) s", line) for line in cut_off)


def test_a_head_that_loses_its_gcs_ends_the_study_with_the_line(head: Machine, start: Callable[[], Study]) -> None:
    study = start()
    study.begin(head)
    head.run(["sh", "-c", "kill -9 $(pgrep gcs_server)"])
    status, printed = study.end()
    assert status == 1, printed
    assert printed.splitlines()[-1].endswith(
        "go on with: python -m study.run --resume --results-dir results --name unfit"
    )
