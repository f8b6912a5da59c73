"""A Ray of this machine. The tests of real clusters are in tests/cluster."""

import os
import shutil
from pathlib import Path

import pytest

from study.cluster.session import ray_session
from study.errors import BadInput
from tests.processes import TEMPORARY, Programs


@pytest.mark.slow
def test_a_run_without_a_share_of_the_gpu_does_not_see_it(programs: Programs, tmp_path: Path) -> None:
    ask = """
import os, study, ray
ray.init(address="local", num_cpus=1, num_gpus=1, include_dashboard=False)
seen = ray.remote(lambda: os.environ["CUDA_VISIBLE_DEVICES"])
print([ray.get(seen.options(num_gpus=share).remote()) for share in (0, 0.25)])
"""
    done = programs.start("-c", ask, cwd=tmp_path).finish()
    assert done.stdout.splitlines()[-1:] == ["['', '0']"], done.stderr


def test_a_home_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", os.devnull)
    with pytest.raises(BadInput, match="set HOME to a folder that can"), ray_session(None):
        pass


@pytest.mark.slow
def test_the_session_of_another_living_study_is_left_alone(programs: Programs, tmp_path: Path) -> None:
    script = """
import sys
from study.cluster.session import ray_session
with ray_session(None):
    print("up", flush=True)
    sys.stdin.readline()
"""
    first = programs.start("-c", script, cwd=tmp_path)
    assert first.stdout.readline() == "up\n"
    (directory,) = first.session_directories()
    left, foreign = TEMPORARY / "fairverdict-1-of_a_run", TEMPORARY / f"fairverdict-{first.process.pid}"
    for path in (left, foreign):
        (path / "session").mkdir(parents=True)
    second = programs.start("-c", script, cwd=tmp_path).finish("\n")
    assert second.stdout == "up\n", second.stderr
    assert directory.exists()
    assert not left.exists(), "a driver that was killed had made it"
    assert foreign.exists(), "it only begins its name as a session does"
    shutil.rmtree(foreign)
    first.finish("\n")
    assert not directory.exists()
