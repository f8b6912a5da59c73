"""Launchers and settings that Ray takes notice of, and an account without a home folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import BUDGET, OWN_NETWORKS, Programs

ONE_RUN = (*BUDGET, "--baseline", "--archs", "tiny", "--max-epochs", "1", "--seeds", "1", "--name", "one")
REPLACED = "import os, sys; os.execvp(sys.argv[1], sys.argv[1:])"


@pytest.mark.slow
def test_workers_run_this_python_also_below_uv_run(programs: Programs, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "mine"\nversion = "0"\n')
    (tmp_path / ".venv").symlink_to(sys.prefix)
    uv = Path(sys.prefix) / "bin" / "uv"
    done = programs.start(
        "-c", REPLACED, str(uv), "run", "--no-sync", "--offline", "python", *OWN_NETWORKS, *ONE_RUN, cwd=tmp_path
    ).finish()
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "results" / "one" / "report" / "report.html").exists()


TWICE = """
import os
import ray
from study.cluster.session import ray_session

before = dict(os.environ)
for _ in range(2):
    with ray_session(None):
        print(ray.get(ray.remote(lambda: os.environ["RAY_AUTH_TOKEN"]).remote()))
assert dict(os.environ) == before
"""
ANOTHER_RAY = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_AUTH_TOKEN_PATH": "/nowhere",
    "RAY_JOB_CONFIG_JSON_ENV_VAR": '{"runtime_env": {"working_dir": "gcs://_ray_pkg_0.zip"}}',
    "RAY_REDIS_ADDRESS": "127.0.0.1:1",
    "RAY_RUNTIME_ENV_HOOK": "nowhere.hook",
    "RAY_RUNTIME_ENV_PLUGINS": '[{"class": "nowhere.Plugin"}]',
    "RAY_USE_TLS": "1",
    # Ray would keep a token here.
    "HOME": os.devnull,
}


@pytest.mark.slow
def test_the_settings_of_another_ray_are_left_alone_and_each_session_has_a_token_of_its_own(
    programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ANOTHER_RAY.items():
        monkeypatch.setenv(name, value)
    done = programs.start("-c", TWICE, cwd=tmp_path).finish()
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.split()
    assert len(first) == len(second) == 64 and first != second


@pytest.mark.slow
def test_an_account_without_a_home_folder_can_ask_for_the_plan(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can hide the list of accounts")
    hidden = 'mount --bind /dev/null /etc/passwd && exec env --unset=HOME "$0" "$@"'
    command = ["unshare", "--mount", "sh", "-c", hidden, sys.executable, *OWN_NETWORKS, *ONE_RUN, "--dry-run"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Plan:")
    assert list(tmp_path.iterdir()) == []
