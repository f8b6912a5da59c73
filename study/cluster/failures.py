"""What is said of an error that a worker ended with."""

import ray

from study.errors import StudyFailed

_LOWER = "lower --concurrency, or give each run more by --cpus-per-trial or --gpus-per-trial"
# Of torch on a GPU; of torch, numpy, Python and Ray on the host.
_OUT_OF_MEMORY = {
    "out of GPU memory": ("CUDA out of memory", "HIP out of memory"),
    "out of memory": ("can't allocate memory", "Unable to allocate", "MemoryError", "running low on memory"),
}


def explain(error: BaseException | str) -> str:
    """One line that says why a trial or a run failed, and what to lower where memory ran out.

    Args:
        error: what Ray raised, or its text with the traceback.
    """
    cause = error.cause if isinstance(error, ray.exceptions.RayTaskError) else error
    if isinstance(cause, StudyFailed):
        return str(cause)
    # Ray may give an error's text in the place of its cause.
    name = "" if isinstance(cause, str) else f"{type(cause).__name__}: "
    lines = f"{name}{cause}".strip().splitlines()
    for kind, signs in _OUT_OF_MEMORY.items():
        for line in lines:
            if any(sign in line for sign in signs):
                return f"{kind}: {_LOWER} ({line})"
    # An exception ends with its point, but CUDA's with advice; Ray's own messages begin with it.
    point = next((line for line in lines if "CUDA error" in line), lines[-1])
    return lines[0] if isinstance(cause, ray.exceptions.RayError) else f"{name}{point.removeprefix(name)}"
