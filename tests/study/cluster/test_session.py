"""A Ray of this machine. The tests of real clusters are in tests/cluster."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.pace import within
from tests.processes import BUDGET, TEMPORARY, Program, Programs

# These describe another Ray, with which no Ray of this machine would start or answer.
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
# Holds a session on a machine with one GPU, and answers each line of its input, an expression, until the input ends.
# An expression is computed in a worker that gets the share of the GPU before it.
LIVING = """
import json, os, sys
from functools import partial
import ray
from study.cluster.health import lifeline
from study.cluster.session import ray_session

def lost(line):
    print(line, flush=True)
    os._exit(1)

ray.init = partial(ray.init, num_gpus=1)
# The driver takes Ray for lost sooner than usual.
lifeline.ASK_EVERY_SECONDS, lifeline.LOST_AFTER_SECONDS = 0.5, 3.0
with ray_session(None), lifeline.lifeline(lost, print):
    print(json.dumps([os.getpid(), sys.executable]), flush=True)
    for line in sys.stdin:
        share, expression = json.loads(line)
        compute = ray.remote(num_gpus=share)(lambda text: eval(text, {"os": os, "sys": sys}))
        try:
            answer = ray.get(compute.remote(expression))
        except ray.exceptions.RayTaskError as error:
            answer = str(error)
        print(json.dumps(answer), flush=True)
"""
# Uses a Ray of its own, and then another one that asks for no token.
ONE_AFTER_THE_OTHER = """
import ray
from ray.cluster_utils import Cluster
from study.cluster.session import ray_session

class Counter:
    def count(self):
        return 1

def count():
    return ray.get(ray.remote(Counter).remote().count.remote())

with ray_session(None):
    counted = count()
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
try:
    with ray_session(cluster.address):
        print("counted", counted + count())
finally:
    cluster.shutdown()
"""
BELOW_UV_RUN = "import os, sys; os.execvp(sys.argv[1], sys.argv[1:])"


class Living:
    """Stands for a session of another process, which lives while the tests of this file run.

    Attributes:
        program: the process that holds it.
        directory: its temporary folder.
        python: the interpreter of its driver.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        first = program.stdout.readline()
        assert first, program.stderr.read()
        pid, self.python = json.loads(first)
        (self.directory,) = TEMPORARY.glob(f"fairverdict-{pid}-*")

    def begin(self, expression: str, share: float = 0) -> None:
        """Let a worker with this share of the GPU compute an expression."""
        self.program.stdin.write(json.dumps([share, expression]) + "\n")
        self.program.stdin.flush()

    def in_worker(self, expression: str, share: float = 0) -> object:
        """Compute an expression in a worker with this share of the GPU."""
        self.begin(expression, share)
        return json.loads(self.program.stdout.readline())


def _describe_another_ray(patch: pytest.MonkeyPatch) -> None:
    for name, value in ANOTHER_RAY.items():
        patch.setenv(name, value)


@pytest.fixture(scope="module")
def session_that_lives(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Living]]:
    """Yield what returns the session of this file, or another one once it has ended."""
    place, programs = tmp_path_factory.mktemp("living"), Programs()
    (place / "pyproject.toml").write_text('[project]\nname = "mine"\nversion = "0"\n')
    (place / ".venv").symlink_to(sys.prefix)
    uv = [str(Path(sys.prefix) / "bin" / "uv"), "run", "--no-sync", "--offline", "--no-cache", "python"]
    sessions: list[Living] = []
    with ExitStack() as stack:
        stack.callback(programs.end)

        def get() -> Living:
            if not sessions or sessions[-1].program.process.poll() is not None:
                with pytest.MonkeyPatch.context() as patch:
                    _describe_another_ray(patch)
                    program = programs.start("-c", BELOW_UV_RUN, *uv, "-c", LIVING, cwd=place)
                sessions.append(Living(program))
                stack.callback(shutil.rmtree, sessions[-1].directory, ignore_errors=True)  # an ended one has none
            return sessions[-1]

        yield get


@pytest.fixture
def living(session_that_lives: Callable[[], Living]) -> Living:
    """Return a session below `uv run`, in an environment that describes another Ray."""
    return session_that_lives()


@pytest.mark.slow
def test_workers_run_this_python_also_below_uv_run(living: Living) -> None:
    assert living.in_worker("sys.executable") == living.python


@pytest.mark.slow
def test_a_run_without_a_share_of_the_gpu_does_not_see_it(living: Living) -> None:
    assert [living.in_worker("os.environ['CUDA_VISIBLE_DEVICES']", share) for share in (0, 0.25)] == ["", "0"]


@pytest.mark.slow
def test_ray_starts_no_process_that_does_nothing_for_a_study(living: Living) -> None:
    assert living.program.workers("raylet/raylet") and living.program.workers("log_monitor.py")
    assert not living.program.workers("dashboard/dashboard.py") and not living.program.workers("autoscaler")


@pytest.mark.slow
def test_a_worker_collects_no_garbage_before_its_first_run(living: Living) -> None:
    assert living.in_worker("__import__('gc').isenabled()") is False


@pytest.mark.slow
def test_a_process_that_had_a_ray_of_its_own_joins_one_without_a_token(
    programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    done = programs.start("-c", ONE_AFTER_THE_OTHER, cwd=tmp_path).finish()
    assert done.stdout.splitlines()[-1:] == ["counted 2"], done.stderr


# Another account tries to list, read and replace what Ray keeps on this machine.
LOOK = """
for path; do
    ls -d "$path" || cat "$path" || mv "$path" "$path-theirs" && echo "reached $path"
done
exit 0
"""


@pytest.mark.slow
def test_another_account_cannot_reach_the_sockets_and_logs(living: Living) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can act as another account")
    session = next(living.directory.glob("*/session_latest")).resolve()
    inside = [*(session / "sockets").iterdir(), *(session / "logs").glob("raylet*"), session]
    assert len(inside) >= 4
    done = subprocess.run(
        ["sh", "-c", LOOK, "sh", *inside],
        cwd="/",
        capture_output=True,
        text=True,
        user="nobody",
        group="nogroup",
        extra_groups=[],
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.count("ermission denied") >= 3 * len(inside)
    assert living.directory.stat().st_mode & 0o777 == 0o700
    assert max(len(str(path)) for path in inside) <= 107


# Ray's server writes to its log and ends, so Ray waits for it in vain: 1 s here, 30 s otherwise.
BROKEN_SERVER = """#!/bin/sh
for word; do
  case "$word" in --log_dir=*) echo "no server here" > "${word#--log_dir=}/gcs_server.out";; esac
done
exit 1
"""
# A study whose Ray never starts, then a session whose Ray starts at the second try.
BROKEN = """
import os, sys
import ray
from ray._private import services
from study.cluster import session
from study.run import main

whole, services.GCS_SERVER_EXECUTABLE = services.GCS_SERVER_EXECUTABLE, "./server"
os.environ["RAY_gcs_server_port_wait_time_s"] = "1"
before, say_error, tokens = dict(os.environ), session.say_error, []

def note(line):
    say_error(line)
    tokens.append(os.environ["RAY_AUTH_TOKEN"])

def mend(line):
    note(line)
    services.GCS_SERVER_EXECUTABLE = whole

session.say_error = note
print(main(sys.argv[1:]))
session.say_error = mend
with session.ray_session(None):
    tokens.append(ray.get(ray.remote(lambda: os.environ["RAY_AUTH_TOKEN"]).remote()))
assert dict(os.environ) == before
print(*tokens)
"""
REASON = "Ray did not start (Timed out waiting for file gcs_server_port)"


@pytest.mark.slow
def test_a_ray_that_does_not_start_is_tried_once_more_beside_another_study(
    living: Living, programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Show also that a study whose Ray never starts ends with the cause, that each session has its own token, and that
    the environment, which describes another Ray, is as before.
    """
    server = tmp_path / "server"
    server.write_text(BROKEN_SERVER)
    server.chmod(0o755)
    left, foreign = TEMPORARY / "fairverdict-1-of_a_run", TEMPORARY / f"fairverdict-{os.getpid()}"
    for path in (left, foreign):
        (path / "session").mkdir(parents=True)

    _describe_another_ray(monkeypatch)
    study = programs.start("-c", BROKEN, *BUDGET, "--archs", "mobilenet", cwd=tmp_path)
    done = study.finish()
    assert done.returncode == 0, done.stderr
    first, last, again = done.stderr.splitlines()
    assert first == again == f"{REASON}: trying once more"
    found = re.fullmatch(
        rf"the study failed: {re.escape(REASON)}, twice; the load average is \d+\.\d on \d+ CPUs, /tmp has \d+\.\d GiB"
        r" free, and (/tmp/fairverdict-ray-logs-\w+/gcs_server\.out) says more\. When that is mended, begin again",
        last,
    )
    assert found, last
    assert Path(found[1]).read_text() == "no server here\n"
    shutil.rmtree(Path(found[1]).parent)
    assert study.processes() == study.session_directories() == []

    *_, status, tokens = done.stdout.splitlines()
    assert status == "1"
    of_study, of_session, of_worker = tokens.split()
    assert of_session == of_worker != of_study
    assert len(of_study) == len(of_worker) == 64

    assert not left.exists(), "a driver that was killed had made it"
    assert foreign.exists(), "it only begins its name as a session does"
    shutil.rmtree(foreign)
    assert living.directory.exists(), "its study lives"
    assert living.in_worker("os.environ['RAY_AUTH_TOKEN']") not in (of_study, of_worker)


@pytest.mark.slow
def test_the_end_of_the_control_service_is_noticed(living: Living) -> None:
    """End the session while its driver waits for a task, as the driver of a study does."""
    living.begin("__import__('time').sleep(3600)")
    living.program.workers("gcs_server")[0].kill()
    done = living.program.finish()
    assert done.returncode == 1
    assert re.fullmatch(r"Ray's control service \(GCS\) has not answered for \d+ s\n", done.stdout), done.stderr
    with within(10):
        living.program.wait_until_gone()
