"""A study whose runs find no place on the cluster says so, and ends if the user wants it to."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster.machines import Machine, wait_until

STUDY = [
    *("python", "-m", "study.run", "--dataset", "digits", "--train-size", "150", "--archs", "mobilenet"),
    *("--trials", "1", "--address", "auto"),
]
# Another user's program takes the CPU of the node, and leaves a file when it has it.
BUSY = """
import pathlib, sys, time, ray

def hold(path):
    pathlib.Path(path).touch()
    time.sleep(9999)

ray.init(address="auto", logging_level="ERROR")
ray.get(ray.remote(hold).remote(sys.argv[1]))
"""


@pytest.mark.slow
def test_a_study_without_a_place(machine: Callable[[int], Machine], tmp_path: Path) -> None:
    head = machine(1)
    head.ray_start("--head", "--port=6379", "--num-cpus=1", "--include-dashboard=false")
    node = machine(2)
    node.ray_start(f"--address={head.ip}:6379", "--num-cpus=0")

    refused = head.run([*STUDY, "--cpus-per-trial", "2"], RAY_AUTH_MODE="token")
    line = "error: --cpus-per-trial 2 asks for more than the 1 CPU of the largest node, 10.77.0.1: lower it\n"
    assert (refused.returncode, refused.stderr) == (2, line)

    held = tmp_path / "held"
    head.start(["python", "-c", BUSY, str(held)], tmp_path / "busy", RAY_AUTH_MODE="token")
    wait_until(held.exists, "the other program has the CPU")
    # The precision probe is the first to wait, before anything is created.
    done = head.run([*STUDY, "--storage", str(tmp_path / "shared"), "--wait", "0.6"], RAY_AUTH_MODE="token")
    waits = "1 run waits: no node has 1 CPU free; nodes: "
    first, last = done.stderr.splitlines()
    assert first.startswith(waits)
    assert "10.77.0.1 (0 CPUs free)" in first
    assert last.startswith(f"the study failed: no run had a place for 0.6 minutes (--wait): {waits}")
    assert done.returncode == 1
