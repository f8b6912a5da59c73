"""Explains the error of a worker in one line."""

import ray

from study.errors import StudyFailed

_LOWER = "lower --concurrency, or give each run more by --cpus-per-trial or --gpus-per-trial"
# The messages of torch on a GPU, and of torch, numpy, Python and Ray on the host.
_OUT_OF_MEMORY = {
    "out of GPU memory": ("CUDA out of memory", "HIP out of memory"),
    "out of memory": ("can't allocate memory", "Unable to allocate", "MemoryError", "running low on memory"),
}


def explain(error: BaseException | str) -> str:
    """Says in one line why a trial or a run failed, and what to lower if memory ran out.

    Args:
        error: the exception that Ray raised, or its text with the traceback.
    """
    cause = error.cause if isinstance(error, ray.exceptions.RayTaskError) else error
    if isinstance(cause, StudyFailed):
        return str(cause)
    # Ray may give an error's text instead of its cause.
    name = "" if isinstance(cause, str) else f"{type(cause).__name__}: "
    lines = f"{name}{cause}".strip().splitlines()
    for kind, signs in _OUT_OF_MEMORY.items():
        for line in lines:
            if any(sign in line for sign in signs):
                return f"{kind}: {_LOWER} ({line})"
    # The point is the last line of an exception, but the first of Ray's own, and CUDA adds lines of advice.
    point = next((line for line in lines if "CUDA error" in line), lines[-1])
    return lines[0] if isinstance(cause, ray.exceptions.RayError) else f"{name}{point.removeprefix(name)}"
