"""NVIDIA's Multi-Process Service (MPS), under which the kernels of several processes run on a GPU at the same time.

Without it they take turns, and runs that share a GPU train no more than one alone. On an H200 four runs at a time
trained 1.5 times as many epochs with it as without.
"""

import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

CONTROL = "nvidia-cuda-mps-control"
# Where a service that the environment does not name listens.
DEFAULT = Path("/tmp/nvidia-mps/control")
# Where containers have it, in addition to the PATH.
ELSEWHERE = "/usr/local/nvidia/bin"
PIPES, LOGS = "CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY"
SECONDS = 20.0
# Makes a context on the first GPU: the service starts for the first process that asks for one, or does not.
PROBE = """
import ctypes
cuda, context = ctypes.CDLL("libcuda.so.1"), ctypes.c_void_p()
steps = cuda.cuInit(0), cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0)
raise SystemExit(any(steps) and f"CUDA's errors {steps}")
"""


def start(directory: Path) -> bool:
    """Starts the service for processes that this one starts from now on, if the machine has it and it works.

    It is a process of its own, with this one's environment. Where a service runs already, as the environment or its
    default place tells, that is used. One that does not work is warned of and left alone.

    Args:
        directory: made for its pipes and logs; short, as paths of sockets are limited to 107 bytes.

    Returns:
        Whether it was started.
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
    """Takes back what `start` put into this process's environment."""
    for name in (PIPES, LOGS):
        os.environ.pop(name, None)
