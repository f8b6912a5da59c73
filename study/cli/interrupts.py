"""Ctrl-C, SIGTERM and SIGHUP: the first ends a study in order, a second Ctrl-C or SIGTERM at once.

Ctrl-Z stops the study's workers, too.
"""

import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread, current_thread, main_thread
from types import TracebackType
from typing import Any, Self

from study.errors import say_error

INTERRUPTED = 130
STOPPING = "stopping; Ctrl-C again stops at once"
_SHOW_CURSOR = "\x1b[?25h"
_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# The study waits at most 0.5 s for the answer to the first signal: another thread may hold the screen.
_ANSWER_WITHIN_SECONDS = 0.5


class Interrupts:
    """Turns the first signal into a KeyboardInterrupt, and ends the process with status 130 at the second.

    Use as a context manager: it restores the handlers that it replaces. In a thread that is not the main thread it
    changes nothing, because only the main thread may set handlers.

    Until the first call of `listen` there is nothing to end in order: the first signal ends the process. An exception
    would be no use there, because the import of a compiled module may turn it into another one or swallow it.

    An interactive session, such as Jupyter, is never ended: each signal is a KeyboardInterrupt there.

    A machine that is pre-empted sends SIGTERM, and a terminal that closes sends SIGHUP. Both mean the same as Ctrl-C.
    But a SIGHUP is never the second signal, because the kernel and the shell each send one when a terminal closes, and
    systemd sends one after each SIGTERM. A SIGHUP that is ignored, as `nohup` arranges it, stays ignored.

    A terminal's Ctrl-Z does not reach Ray's workers: each is a process group of its own. So they are stopped and
    continued with this process.

    Args:
        parting: returns the line that is printed before the process is ended.
    """

    def __init__(self, parting: Callable[[], str]) -> None:
        self._parting = parting
        self._is_active = current_thread() is main_thread()
        self._is_interactive = hasattr(sys, "ps1")
        self._listens = False
        self._caught = False
        self._answered = Event()

    def __enter__(self) -> Self:
        if self._is_active:
            # Python calls a handler once for all signals that came while its main thread was in compiled code. So a
            # thread counts them, from the byte that Python writes as each arrives.
            self._arrivals, self._arrived = socket.socketpair()
            self._arrived.setblocking(False)
            self._counter = Thread(target=self._count, name="interrupts", daemon=True)
            self._counter.start()
            self._handlers = {number: signal.getsignal(number) for number in _NUMBERS}
            if self._handlers[signal.SIGHUP] == signal.SIG_IGN:
                del self._handlers[signal.SIGHUP]
            self._suspend = signal.getsignal(signal.SIGTSTP)
            self._wakeup = signal.set_wakeup_fd(self._arrived.fileno(), warn_on_full_buffer=False)
            self._unraisable, sys.unraisablehook = sys.unraisablehook, self._tell_dropped
            self._take()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._is_active:
            for number, handler in self._handlers.items():
                signal.signal(number, handler or signal.SIG_DFL)  # None: no handler of Python's
            signal.signal(signal.SIGTSTP, self._suspend or signal.SIG_DFL)
            signal.set_wakeup_fd(self._wakeup)
            sys.unraisablehook = self._unraisable
            self._arrived.close()  # which ends the thread
            self._counter.join()
            self._arrivals.close()

    def check(self) -> None:
        """Raise KeyboardInterrupt if a signal came. Loops call it: Python drops an exception inside a destructor."""
        if self._caught and self._listens:
            raise KeyboardInterrupt

    def _tell_dropped(self, dropped: Any) -> None:
        """Print an exception that Python drops, unless it is a signal's, which `check` raises once more."""
        if not (self._caught and dropped.exc_type is KeyboardInterrupt):
            self._unraisable(dropped)

    def listen(self) -> None:
        """End in order from now on. Takes the signals back if a library has taken them."""
        self._listens = True
        if self._is_active:
            self._take()

    def _take(self) -> None:
        for number in self._handlers:
            signal.signal(number, self._handle)
        if self._suspend == signal.SIG_DFL:
            signal.signal(signal.SIGTSTP, _suspend)

    def _handle(self, number: int, frame: Any) -> None:
        if not self._listens and not self._is_interactive:
            self._end()
        if self._caught and not self._is_interactive:
            return  # the thread ends the process
        self._caught = True
        if self._listens:
            self._answered.wait(_ANSWER_WITHIN_SECONDS)
        raise KeyboardInterrupt

    def _count(self) -> None:
        """Answer the first signal, and end the process at the second."""
        count = 0
        while arrived := self._arrivals.recv(1):
            if arrived[0] in _NUMBERS and not (count and arrived[0] == signal.SIGHUP):
                count += 1
            if count and self._listens and not self._answered.is_set():
                with suppress(OSError):
                    # A live table has put a stream here that prints above it.
                    print(STOPPING, file=sys.stderr, flush=True)
                self._answered.set()
            if count == 2 and not self._is_interactive:
                self._end()

    def abort(self, line: str, status: int) -> None:
        """Print a last line and end the process at once, from any thread. An interactive session only sees the line."""
        if self._is_interactive:
            say_error(line)
            return
        # The live table may have hidden the cursor.
        cursor = _SHOW_CURSOR if sys.stderr.isatty() else ""
        with suppress(OSError):
            os.write(sys.stderr.fileno(), f"{cursor}{line}\n".encode())
        os._exit(status)

    def _end(self) -> None:
        self.abort(self._parting(), INTERRUPTED)


def _suspend(number: int, frame: Any) -> None:
    """Stop this process and its workers. They go on when this process does."""
    workers = _other_groups()
    _signal_groups(workers, signal.SIGSTOP)
    signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    signal.raise_signal(signal.SIGTSTP)  # returns when the process goes on
    signal.signal(signal.SIGTSTP, _suspend)
    _signal_groups(workers, signal.SIGCONT)


def _other_groups() -> set[int]:
    """Return the process groups of this process's descendants in its terminal session, without its own group."""
    import psutil  # here, because help and typing errors need not wait for it

    groups = set()
    for child in psutil.Process().children(recursive=True):
        with suppress(ProcessLookupError):
            if os.getsid(child.pid) == os.getsid(0):
                groups.add(os.getpgid(child.pid))
    return groups - {os.getpgrp()}


def _signal_groups(groups: set[int], number: signal.Signals) -> None:
    for group in groups:
        with suppress(ProcessLookupError):
            os.killpg(group, number)
