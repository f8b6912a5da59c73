"""Ctrl-C and SIGTERM: the first ends a study in order, the second at once."""

import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import Any

INTERRUPTED = 130
_SHOW_CURSOR = "\x1b[?25h"
_NUMBERS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Turns the first signal into a KeyboardInterrupt, and ends the process with status 130 at the second.

    Until the first call of `listen` there is nothing to end in order: the first signal ends the process. An exception
    would be no use there, because the import of a compiled module may turn it into another one or swallow it.

    A machine that is pre-empted sends SIGTERM, which means the same as Ctrl-C.

    Args:
        parting: returns the line that is printed before the process is ended.
    """

    def __init__(self, parting: Callable[[], str]) -> None:
        self._parting = parting
        self._listens = False
        self._caught = False
        # Python calls a handler once for all signals that came while its main thread was in compiled code. So a thread
        # counts them, from the byte that Python writes as each arrives.
        self._arrivals, arrived = socket.socketpair()
        arrived.setblocking(False)
        signal.set_wakeup_fd(arrived.detach(), warn_on_full_buffer=False)
        Thread(target=self._count, name="interrupts", daemon=True).start()
        self._take()

    def listen(self) -> None:
        """End in order from now on. Takes the signals back if a library has taken them."""
        self._listens = True
        self._take()

    def _take(self) -> None:
        for number in _NUMBERS:
            signal.signal(number, self._handle)

    def _handle(self, number: int, frame: Any) -> None:
        if not self._listens:
            self._end()
        if not self._caught:
            self._caught = True
            raise KeyboardInterrupt

    def _count(self) -> None:
        for _ in range(2):
            while self._arrivals.recv(1)[0] not in _NUMBERS:
                pass
        self._end()

    def _end(self) -> None:
        # The live table may have hidden the cursor.
        cursor = _SHOW_CURSOR if sys.stderr.isatty() else ""
        with suppress(BrokenPipeError):
            os.write(sys.stderr.fileno(), f"{cursor}{self._parting()}\n".encode())
        os._exit(INTERRUPTED)
