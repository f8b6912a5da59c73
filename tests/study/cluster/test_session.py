"""A Ray of this machine. The tests of real clusters are in tests/cluster."""

import os
import subprocess
import sys

import pytest

from study.cluster.session import ray_session
from study.errors import BadInput


def test_a_run_without_a_share_of_the_gpu_does_not_see_it() -> None:
    ask = """
import os, study, ray
ray.init(address="local", num_cpus=1, num_gpus=1, include_dashboard=False)
seen = ray.remote(lambda: os.environ["CUDA_VISIBLE_DEVICES"])
print([ray.get(seen.options(num_gpus=share).remote()) for share in (0, 0.25)])
"""
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines()[-1:] == ["['', '0']"], done.stderr


def test_a_home_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", os.devnull)
    with pytest.raises(BadInput, match="set HOME to a folder that can"), ray_session(None):
        pass
