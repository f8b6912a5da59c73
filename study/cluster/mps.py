"""Starts NVIDIA's Multi-Process Service (MPS), which runs the kernels of several processes on a GPU at the same time.

Without it the processes take turns, and several runs on a GPU train no faster than one.
"""

import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

CONTROL = "nvidia-cuda-mps-control"
# A service listens here if the environment names no other place.
DEFAULT = Path("/tmp/nvidia-mps/control")
# Containers have the program here, in addition to the PATH.
ELSEWHERE = "/usr/local/nvidia/bin"
PIPES, LOGS = "CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY"
# Each command has at most 20 s, because the study waits for it.
SECONDS = 20.0
# Makes a context on the first GPU: only the first process that asks for one shows whether the service works.
PROBE = """
import ctypes
cuda, context = ctypes.CDLL("libcuda.so.1"), ctypes.c_void_p()
steps = cuda.cuInit(0), cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0)
raise SystemExit(any(steps) and f"CUDA's errors {steps}")
"""


def start(directory: Path) -> bool:
    """Starts the service for the processes that this one starts from now on, if the machine has it and it works.

    If a service runs already, at its default place or at the place that the environment names, it is used instead.
    Warns if the service does not work.

    Args:
        directory: the folder for its pipes and logs, which is made. Its path must be short, because a socket's path
            may have at most 107 bytes.

    Returns:
        True if the service was started.
    """
    control = shutil.which(CONTROL, path=os.pathsep.join((os.environ.get("PATH", ""), ELSEWHERE)))
    if control is None or PIPES in os.environ or DEFAULT.exists():
        return False
    directory.mkdir()
    names = {PIPES: str(directory), LOGS: str(directory)}
    try:
        for command in ([control, "-d"], [sys.executable, "-c", PROBE]):
            subprocess.run(
                command, env=os.environ | names, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True,
                timeout=SECONDS,
            )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or error
        warnings.warn(f"MPS does not work here, so runs on a GPU take turns: {said}", RuntimeWarning, stacklevel=2)
        return False
    os.environ.update(names)
    return True


def forget() -> None:
    """Removes the variables that `start` put into this process's environment."""
    for name in (PIPES, LOGS):
        os.environ.pop(name, None)
