"""The search: configuration, Optuna and ASHA per architecture, the Ray Tune driver, the study folder."""

import os

# Ray reads these when it is imported, so they are set before anything here can import it.
os.environ.update(
    {
        name: os.environ.get(name, value)
        for name, value in {
            # A local Ray listens on the loopback interface only.
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "RAY_USAGE_STATS_ENABLED": "0",
            # CUDA_VISIBLE_DEVICES is left as it is for tasks that take no GPU.
            "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
            # The driver draws its own progress and handles its own signals.
            "RAY_AIR_NEW_OUTPUT": "0",
            "TUNE_DISABLE_SIGINT_HANDLER": "1",
            # The ledger is what a search is resumed from and read from, so Tune need not write it all down as well.
            "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
            "TUNE_GLOBAL_CHECKPOINT_S": "1e9",
        }.items()
    }
)
