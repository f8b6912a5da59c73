"""Ends the processes of a Ray session in a process that outlives the driver.

Ray's own processes also end when their driver is killed, but some only after tens of seconds.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

MARK = "FAIRVERDICT_SESSION"
_LOOK_EVERY_SECONDS = 0.05


@contextmanager
def reaping(session: str) -> Iterator[None]:
    """Ends all processes that were started in this context, when it is left or this process is killed.

    Args:
        session: the name of the session's folder, which no other study on this machine has.
    """
    # The reaper gets its own process session: a terminal's Ctrl-C does not reach it. It waits for the end of stdin.
    # It imports nothing from the current folder (-P), where a file of the user may have the name of a module.
    command = [sys.executable, "-P", __file__, session]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True):
        os.environ[MARK] = session
        try:
            yield
        finally:
            del os.environ[MARK]


def _reap(session: str) -> None:
    """Waits for the end of stdin, then kills the processes of the session."""
    sys.stdin.read()
    # Repeat until none is left: a process may start another before it ends.
    while left := [process for process in psutil.process_iter() if _belongs_to(process, session)]:
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        time.sleep(_LOOK_EVERY_SECONDS)


def _belongs_to(process: psutil.Process, session: str) -> bool:
    """Whether a process carries the session's mark in its environment, or is Ray's and logs into the session's folder.

    Ray's agents write their titles over a part of their environment, which may hold the mark.
    """
    with suppress(psutil.Error):  # it has ended, or belongs to another user
        if process.environ().get(MARK) == session:
            return True
        is_of_ray = "".join(process.cmdline()).startswith("ray::")
        return is_of_ray and any(f"/{session}/" in file.path for file in process.open_files())
    return False


if __name__ == "__main__":
    _reap(sys.argv[1])
