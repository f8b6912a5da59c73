"""What is said of errors: one line, and what to lower where memory ran out."""

import numpy as np
import pytest
import ray
import torch

from study.cluster.failures import explain
from study.errors import StorageFailed


def _error_of(allocate: object) -> BaseException:
    try:
        allocate()  # type: ignore[operator]
    except Exception as error:
        return error
    raise AssertionError


@pytest.mark.parametrize(
    "error",
    [
        _error_of(lambda: torch.empty(10**15)),
        _error_of(lambda: np.empty(10**15)),
        _error_of(lambda: bytearray(10**15)),
        ray.exceptions.OutOfMemoryError("Task was killed\nbecause the node is running low on memory."),
    ],
    ids=["torch", "numpy", "Python", "Ray"],
)
def test_out_of_memory_says_what_to_lower(error: BaseException) -> None:
    for wrapped in (error, ray.exceptions.RayTaskError("train", "Traceback", error), f"Traceback\n{error!r}\nthe end"):
        text = explain(wrapped)
        assert text.startswith("out of memory: lower --concurrency")
        assert len(text.splitlines()) == 1


def test_out_of_gpu_memory_says_so() -> None:
    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has 1 GiB")
    text = explain(ray.exceptions.RayTaskError("train", "Traceback", error))
    assert text.startswith("out of GPU memory: lower --concurrency")
    assert "Tried to allocate 2.00 GiB" in text


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ArithmeticError("first\nlast"), "ArithmeticError: last"),
        (KeyError(), "KeyError:"),
        ("Traceback\n  a line\nArithmeticError: last", "ArithmeticError: last"),
        (
            RuntimeError("CUDA error: not permitted\nCompile with `TORCH_USE_CUDA_DSA`."),
            "RuntimeError: CUDA error: not",
        ),
        (ray.exceptions.WorkerCrashedError(), "WorkerCrashedError: The worker died unexpectedly"),
        (StorageFailed("the checkpoint x cannot be written"), "the checkpoint x cannot be written"),
    ],
)
def test_other_errors_are_one_line(error: BaseException, text: str) -> None:
    assert explain(error).startswith(text)
    assert len(explain(error).splitlines()) == 1
