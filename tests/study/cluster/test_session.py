"""A Ray of this machine. The tests of real clusters are in tests/cluster."""

import os
import re
import shutil
from pathlib import Path

import pytest

from tests.processes import BUDGET, TEMPORARY, Programs


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


# Ray's server writes to its log and ends, so Ray waits for it in vain: 1 s here, 30 s otherwise.
BROKEN_SERVER = """#!/bin/sh
for word; do
  case "$word" in --log_dir=*) echo "no server here" > "${word#--log_dir=}/gcs_server.out";; esac
done
exit 1
"""
BROKEN = """
import os, sys
from ray._private import services
whole, services.GCS_SERVER_EXECUTABLE = services.GCS_SERVER_EXECUTABLE, "./server"
os.environ["RAY_gcs_server_port_wait_time_s"] = "1"
"""
ONCE = """
import ray
from study.cluster import session

def mend(line):
    print(line)
    services.GCS_SERVER_EXECUTABLE = whole
    del os.environ["RAY_gcs_server_port_wait_time_s"]

session.say_error = mend
before = dict(os.environ)
with session.ray_session(None) as capacity:
    print(ray.get(ray.remote(lambda: capacity.nodes[0].cpus > 0).remote()))
assert dict(os.environ).items() <= before.items()
"""
ALWAYS = """
from study.run import main
sys.exit(main(sys.argv[1:]))
"""
REASON = "Ray did not start (Timed out waiting for file gcs_server_port)"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder that holds the broken server."""
    server = tmp_path / "server"
    server.write_text(BROKEN_SERVER)
    server.chmod(0o755)
    return tmp_path


@pytest.mark.slow
def test_a_ray_that_does_not_start_is_tried_once_more(programs: Programs, place: Path) -> None:
    study = programs.start("-c", BROKEN + ONCE, cwd=place)
    done = study.finish()
    assert (done.returncode, done.stdout) == (0, f"{REASON}: trying once more\nTrue\n"), done.stderr
    assert study.processes() == study.session_directories() == []


@pytest.mark.slow
def test_a_ray_that_never_starts_is_a_line_with_the_cause(programs: Programs, place: Path) -> None:
    study = programs.start("-c", BROKEN + ALWAYS, *BUDGET, cwd=place)
    done = study.finish()
    first, last = done.stderr.splitlines()
    assert (done.returncode, first) == (1, f"{REASON}: trying once more")
    found = re.fullmatch(
        rf"the study failed: {re.escape(REASON)}, twice; the load average is \d+\.\d on \d+ CPUs, /tmp has \d+\.\d GiB"
        r" free, and (/tmp/fairverdict-ray-logs-\w+/gcs_server\.out) says more\. When that is mended, begin again",
        last,
    )
    assert found, last
    assert Path(found[1]).read_text() == "no server here\n"
    shutil.rmtree(Path(found[1]).parent)
    assert study.processes() == study.session_directories() == []


# Another account tries to list, read and replace what Ray keeps on this machine.
AS_NOBODY = """
import os, subprocess
from pathlib import Path
from study.cluster.session import ray_session

LOOK = '''
for path; do
    ls -d "$path" || cat "$path" || mv "$path" "$path-theirs" && echo "reached $path"
done
exit 0
'''
with ray_session(None):
    (directory,) = Path("/tmp").glob(f"fairverdict-{os.getpid()}-*")
    session = next(directory.glob("*/session_latest")).resolve()
    inside = [*(session / "sockets").iterdir(), *(session / "logs").glob("raylet*"), session]
    command = ["sh", "-c", LOOK, "sh", *inside]
    nobody = {"user": "nobody", "group": "nogroup", "extra_groups": []}
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, **nobody)
    print(len(inside), done.returncode, done.stdout.strip(), done.stderr.count("ermission denied") >= 3 * len(inside))
    print(oct(directory.stat().st_mode & 0o777), max(len(str(path)) for path in inside) <= 107)
"""


@pytest.mark.slow
def test_another_account_cannot_reach_the_sockets_and_logs(programs: Programs, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can act as another account")
    done = programs.start("-c", AS_NOBODY, cwd=tmp_path).finish()
    looked, state = [line for line in done.stdout.splitlines() if line]
    assert int(looked.split()[0]) >= 4, done.stdout
    assert looked.split()[1:] == ["0", "True"], (done.stdout, done.stderr)
    assert state == "0o700 True"
