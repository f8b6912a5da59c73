"""Ctrl-C and SIGTERM: the first ends a study in order, the second at once."""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

INTERRUPTED = 130
_SHOW_CURSOR = "\x1b[?25h"


class Interrupts:
    """Raises KeyboardInterrupt at the first signal; at the second ends the process, with status 130, where it stands.

    A machine that is pre-empted sends SIGTERM, which means the same as Ctrl-C.

    Args:
        parting: gives the line that is printed in the second case.
    """

    def __init__(self, parting: Callable[[], str]) -> None:
        self._parting = parting
        self._caught = False

    def listen(self) -> None:
        """Takes the signals, also from whoever took them since."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)

    def _handle(self, number: int, frame: Any) -> None:
        if not self._caught:
            self._caught = True
            raise KeyboardInterrupt
        # The live table may have hidden the cursor.
        cursor = _SHOW_CURSOR if sys.stderr.isatty() else ""
        os.write(sys.stderr.fileno(), f"{cursor}{self._parting()}\n".encode())
        os._exit(INTERRUPTED)
