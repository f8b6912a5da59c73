"""The environment that Ray and its workers start with; set before anything imports ray."""

import os

# How glibc keeps the memory of a process that trains.
ALLOCATION = {
    # What is freed stays for the next step: page faults took 5 to 10 % of a step on the CPU.
    "MALLOC_MMAP_THRESHOLD_": str(2**30),
    "MALLOC_TRIM_THRESHOLD_": str(2**30),
    # In huge pages, which took 2 to 8 % off it.
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}

# Ray reads these when it is imported and its workers inherit them, so they are set before anything can import it.
os.environ.update(
    {
        name: os.environ.get(name, value)
        for name, value in {
            # A local Ray listens on the loopback interface only.
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "RAY_USAGE_STATS_ENABLED": "0",
            # A task that memory runs out on would be tried again without end.
            "RAY_task_oom_retries": "2",
            # What becomes of a worker is told in the study's own words.
            "RAY_DEDUP_LOGS_SKIP_REGEX": ".",
            # Tasks that take no GPU see none.
            "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
            # The driver draws its own progress and handles its own signals.
            "RAY_AIR_NEW_OUTPUT": "0",
            "TUNE_DISABLE_SIGINT_HANDLER": "1",
            **ALLOCATION,
            # The ledger is what a search is resumed from and read from, so Tune need not write it all down as well.
            "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
            "TUNE_GLOBAL_CHECKPOINT_S": "1e9",
            # Tune would ask for a trial only once the one before it runs, so that workers started one after another.
            "TUNE_MAX_PENDING_TRIALS_PG": "1000",
        }.items()
    }
)
