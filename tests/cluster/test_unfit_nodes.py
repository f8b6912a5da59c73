"""Nodes that cannot take part: a storage that one node cannot write, other code on a node, a node that is cut off."""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from tests.cluster.machines import ROOT, Machine, wait_until
from tests.processes import HANGS_AFTER

STUDY = [
    *("python", "-m", "study.run", "--dataset", "digits", "--train-size", "150", "--archs", "mobilenet"),
    *("--trials", "4", "--max-epochs", "2", "--seeds", "1", "--confirm", "0", "--address", "auto"),
]


@pytest.fixture
def head(machine: Callable[[int], Machine]) -> Machine:
    head = machine(1)
    head.ray_start("--head", "--port=6379", "--num-cpus=1", "--include-dashboard=false")
    return head


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


def finish(driver: subprocess.Popen[bytes], log: Path) -> tuple[int, str]:
    """Wait for the end of a study; return its exit status and what it printed."""
    return driver.wait(HANGS_AFTER), log.read_text()


def begun_on(node: Machine) -> bool:
    return any(line.startswith(("ray::ImplicitFunc", "ray::_train_run")) for line in node.processes())


def statuses(head: Machine) -> set[str]:
    return set(pd.read_csv(head.files / "results" / "unfit" / "trials.csv")["status"])


def test_a_trial_goes_to_another_node_if_one_cannot_write_the_storage(
    head: Machine, machine: Callable[[int], Machine], storage: Path, tmp_path: Path
) -> None:
    node, log = machine(2), tmp_path / "log"
    done = node.run(["sh", "-c", f"mount --bind {storage} {storage} && mount -o remount,ro,bind {storage}"])
    assert done.returncode == 0, done.stderr
    node.ray_start(f"--address={head.ip}:6379", "--num-cpus=1")
    command = [*STUDY, "--storage", str(storage), "--name", "unfit"]
    status, printed = finish(head.start(command, log, RAY_AUTH_MODE="token"), log)
    assert status == 0, printed
    (line,) = [line for line in printed.splitlines() if node.ip in line]
    assert line.startswith(f"on the node {node.ip}, the file {storage}/")
    assert line.endswith("Read-only file system; the runs go to other nodes")
    assert statuses(head) <= {"COMPLETE", "STOPPED_EARLY", "PRUNED"}
    assert "Traceback" not in printed


def test_a_node_with_other_code_is_named_and_gets_no_work(
    head: Machine, machine: Callable[[int], Machine], storage: Path, other_code: str, tmp_path: Path
) -> None:
    node, log = machine(2), tmp_path / "log"
    node.ray_start(f"--address={head.ip}:6379", "--num-cpus=1", PYTHONPATH=other_code)
    command = [*STUDY, "--max-epochs", "60", "--patience", "60", "--storage", str(storage), "--name", "unfit"]
    driver = head.start(command, log, RAY_AUTH_MODE="token")
    wait_until(lambda: begun_on(head) or driver.poll() is not None, "the study trains")
    late = machine(3)
    late.ray_start(f"--address={head.ip}:6379", "--num-cpus=1", PYTHONPATH=other_code)
    status, printed = finish(driver, log)
    assert status == 0, printed
    words = "has other code than this process (another models/training/loop.py); it gets no work"
    named = [line for line in printed.splitlines() if "other code" in line]
    assert named == [f"the node {ip} {words}" for ip in (node.ip, late.ip)]
    assert statuses(head) <= {"COMPLETE", "STOPPED_EARLY", "PRUNED"}


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
    head: Machine, machine: Callable[[int], Machine], storage: Path, tmp_path: Path
) -> None:
    node, log = machine(2), tmp_path / "log"
    node.ray_start(f"--address={head.ip}:6379", "--num-cpus=1")
    command = [*STUDY, "--max-epochs", "30", "--storage", str(storage), "--name", "unfit"]
    driver = head.start(command, log, RAY_AUTH_MODE="token")
    wait_until(lambda: begun_on(node) or driver.poll() is not None, "the node trains")
    node.cut_off()
    status, printed = finish(driver, log)
    assert status == 0, printed
    # Ray may give the node up before it has been cut off for 45 s.
    *cut_off, last = [line for line in printed.splitlines() if node.ip in line]
    assert last.startswith(f"the node {node.ip} is lost (")
    assert all(re.fullmatch(rf"the node {node.ip} has been cut off for (4[5-9]|5\d) s", line) for line in cut_off)


def test_a_head_that_loses_its_gcs_ends_the_study_with_the_line(head: Machine, storage: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = [*STUDY, "--max-epochs", "30", "--storage", str(storage), "--name", "unfit"]
    driver = head.start(command, log, RAY_AUTH_MODE="token")
    wait_until(lambda: begun_on(head) or driver.poll() is not None, "the study trains")
    head.run(["sh", "-c", "kill -9 $(pgrep gcs_server)"])
    status, printed = finish(driver, log)
    assert status == 1, printed
    assert printed.splitlines()[-1].endswith(
        "go on with: python -m study.run --resume --results-dir results --name unfit"
    )
