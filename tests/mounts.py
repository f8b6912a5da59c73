"""Mounts that a test alone sees."""

import ctypes
import os
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

_CLONE_NEWNS = 0x20000


def with_mounts(commands: str, function: Callable[[], Any], *arguments: object) -> Any:
    """Call a function in a thread that sees mounts of its own, and return its result. Skip the test without root.

    Args:
        commands: a program of the shell that makes the mounts.
        function: called after that.
        arguments: what the program knows as "$0", "$1", ...
    """
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system")

    def call() -> Any:
        if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNS) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        words = ["sh", "-e", "-c", f"mount --make-rprivate /; {commands}", *map(str, arguments)]
        subprocess.run(words, check=True)
        return function()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result()
