"""Runs a study as the child of a Python session, and interrupts it when that session ends.

The session holds the other end of this process's standard input and writes nothing. A kernel that is restarted or
killed closes it.
"""

import os
import signal
import sys
from threading import Thread

from study.cli.commands import main


def _end_with_the_session() -> None:
    # Not sys.stdin, whose lock this thread would hold at the end of the process.
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    Thread(target=_end_with_the_session, daemon=True).start()
    sys.exit(main(["run", *sys.argv[1:]]))
