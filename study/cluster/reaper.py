"""A process that outlives a driver and ends what its Ray left.

Ray's processes notice by themselves that their driver was killed, but some only 25 s later: one that was just started
tries to reach a server that is gone, and an agent to tell it why it ends.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

_MARK = "FAIRVERDICT_SESSION"
_LOOK_EVERY_SECONDS = 0.05


@contextmanager
def reaping(session: str) -> Iterator[None]:
    """Ends all processes that are started within and inherit its environment, once it is left or this process killed.

    Args:
        session: a name that no other study on this machine has.
    """
    # In a session of its own, where a terminal's Ctrl-C does not reach it. That its input ends is how it knows.
    command = [sys.executable, "-m", "study.cluster.reaper", session]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True):
        os.environ[_MARK] = session
        try:
            yield
        finally:
            del os.environ[_MARK]


def _reap(session: str) -> None:
    sys.stdin.read()
    # Again until there is none: one that is not ended yet may start another.
    while left := [process for process in psutil.process_iter() if _belongs_to(process, session)]:
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        time.sleep(_LOOK_EVERY_SECONDS)


def _belongs_to(process: psutil.Process, session: str) -> bool:
    try:
        return process.environ().get(_MARK) == session
    except psutil.Error:  # ended meanwhile, or somebody else's
        return False


if __name__ == "__main__":
    _reap(sys.argv[1])
