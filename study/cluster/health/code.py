"""Compares the code of two processes: this project's own files, and the versions of what trains."""

import functools
import gc
import hashlib
import importlib
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import ray
import torch

from study.errors import OtherCode, StorageFailed

_PACKAGES = ("models", "analysis", "study")
# Python's code, and the C code of the kernels.
_SUFFIXES = (".py", ".c")
# A line names at most 3 differences.
_MOST_NAMED = 3

# A hash for each file and a version for each program, by name.
Code = Mapping[str, str]


@functools.cache
def own_code() -> Code:
    """Return the code of this process. The files are read once."""
    versions = {"Python": platform.python_version(), "torch": torch.__version__, "Ray": ray.__version__}
    files = {}
    for package in _PACKAGES:
        folder = Path(importlib.import_module(package).__path__[0])
        for path in sorted(folder.rglob("*")):
            if path.suffix in _SUFFIXES:
                name = f"{package}/{path.relative_to(folder).as_posix()}"
                files[name] = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    return {**versions, **files}


def difference(here: Code, there: Code) -> str | None:
    """Return in words how another process's code differs from this process's code; None if both are equal."""
    names = [name for name in {**here, **there} if here.get(name) != there.get(name)]
    if not names:
        return None
    words = [_in_words(name, here.get(name), there.get(name)) for name in names[:_MOST_NAMED]]
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(words) + more


def _in_words(name: str, here: str | None, there: str | None) -> str:
    if here is None or there is None:
        return f"{name} is only {'there' if here is None else 'here'}"
    return f"another {name}" if "/" in name else f"{name} {there} instead of {here}"


@contextmanager
def on_this_node(expected: Code) -> Iterator[None]:
    """Make a run in a worker: check its code first, and name its node if it is unfit.

    Let Python collect garbage from now on (study/cluster/health/starting.py).

    Args:
        expected: the code of the driver.

    Raises:
        OtherCode: if this process has other code.
        StorageFailed: if the run raises it.
    """
    gc.enable()
    node = ray.get_runtime_context().get_node_id()
    if (differs := difference(expected, own_code())) is not None:
        raise OtherCode(differs, node)
    try:
        yield
    except StorageFailed as error:
        raise StorageFailed(str(error), node) from error
