"""Sets the environment of Ray and its workers. Import this before anything imports ray."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from study.errors import BadInput

# glibc's settings for a process that trains.
ALLOCATION = {
    # Freed memory stays for the next step: page faults would take a good part of a step on the CPU.
    "MALLOC_MMAP_THRESHOLD_": str(2**30),
    "MALLOC_TRIM_THRESHOLD_": str(2**30),
    # Huge pages make a step on the CPU faster.
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}

# Ray reads these when it is imported, and its workers inherit them.
os.environ.update(
    {
        name: os.environ.get(name, value)
        for name, value in {
            # A local Ray listens only on the loopback interface.
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "RAY_USAGE_STATS_ENABLED": "0",
            # A task that runs out of memory would be tried again for ever. The study counts the attempts.
            "RAY_task_oom_retries": "0",
            # Workers keep the driver's own niceness; Ray would add 15, and they would hardly advance on a busy machine.
            "RAY_worker_niceness": "0",
            # The study reports the failures of workers itself.
            "RAY_DEDUP_LOGS_SKIP_REGEX": ".",
            # Tasks that take no GPU see none.
            "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
            # Workers run this process's Python. If `uv run` started this process, Ray would start them through it, in a
            # copy of the current folder, and they would not come up.
            "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
            # Workers import these before Ray puts the current folder first on their path. A user's file there may have
            # the same name. The last module makes a worker's start shorter.
            "RAY_preload_python_modules": "analysis,models,study,study.cluster.health.starting",
            # The driver draws its own progress and handles its own signals.
            "RAY_AIR_NEW_OUTPUT": "0",
            "TUNE_DISABLE_SIGINT_HANDLER": "1",
            **ALLOCATION,
            # A search is resumed from the ledger, so Tune need not write its own files.
            "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
            "TUNE_GLOBAL_CHECKPOINT_S": "1e9",
            # Tune would start the workers one after another: it would ask for a trial only when the one before it runs.
            "TUNE_MAX_PENDING_TRIALS_PG": "1000",
        }.items()
    }
)

# These describe another Ray, such as the cluster that `ray job submit` runs this process for.
_ANOTHER_RAY = (
    "RAY_AUTH_MODE",
    "RAY_AUTH_TOKEN",
    "RAY_AUTH_TOKEN_PATH",
    "RAY_JOB_CONFIG_JSON_ENV_VAR",
    "RAY_REDIS_ADDRESS",
    "RAY_RUNTIME_ENV_HOOK",
    "RAY_RUNTIME_ENV_PLUGINS",
    "RAY_USE_TLS",
)

# Ray unpacks the working folder of a job (`ray job submit --working-dir`) below this.
_JOB_S_FOLDER = "/runtime_resources/working_dir_files/"

try:
    Path.home()
except RuntimeError:
    # Ray Tune does not import without a home folder. Nothing can be written in this one.
    os.environ["HOME"] = os.devnull


def leave_another_ray() -> None:
    """Removes the settings of another Ray from this process's environment. A Ray of this machine does not start with
    them, or its workers do not."""
    for name in _ANOTHER_RAY:
        os.environ.pop(name, None)


def check_lasts(results_dir: Path) -> None:
    """Raises BadInput if the folder lies in Ray's copy of a job's working folder."""
    if _JOB_S_FOLDER in os.path.realpath(results_dir):
        raise BadInput(
            f"--results-dir {results_dir} lies in Ray's copy of the job's working folder, which Ray may delete: give"
            " a folder outside it, such as --results-dir '~/results'"
        )


@contextmanager
def kept() -> Iterator[None]:
    """Takes back what Ray and torch set in this process's environment, such as the debugger of `breakpoint`."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)
