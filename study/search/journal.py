"""The file that a ledger is written to: one event a line, as JSON with a checksum.

Each line is in the file before `append` returns, so a killed driver loses at most the line it was writing. A power
failure may lose the last epochs that arrived within a second, and the checkpoints bring them back. A damaged line costs
that line only: the damaged file is kept beside the journal, and the other lines stay.
"""

import errno
import json
import os
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import FileIO
from itertools import count
from pathlib import Path
from typing import Any

from analysis.results.files import write_atomically

# At least once a second what was written is brought to the disk: one flush for all epochs that arrive together.
FLUSH_EVERY_SECONDS = 1.0
# An error line lists at most this many line numbers, because a damaged block can hold hundreds of lines.
LISTED = 5


@dataclass(frozen=True)
class Damage:
    """Names the lines that a replay had to drop.

    Attributes:
        lines: their numbers, from 1.
        copy: the file as it was before they were dropped.
    """

    lines: Sequence[int]
    copy: Path

    def __str__(self) -> str:
        shown = ", ".join(map(str, self.lines[:LISTED]))
        more = f" and {len(self.lines) - LISTED} more" if len(self.lines) > LISTED else ""
        return f"line{'s' * (len(self.lines) > 1)} {shown}{more} dropped, the damaged file kept as {self.copy}"


class Journal:
    """Keeps an append-only file of events.

    Args:
        path: the file; it may be absent.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._flushed = float("-inf")

    def append(self, event: dict[str, Any], *, may_wait: bool = False) -> None:
        """Write an event to the file, whole or not at all.

        Args:
            may_wait: True lets it reach the disk up to FLUSH_EVERY_SECONDS later, with an event that comes after it.
        """
        line = _line(event)
        with self._open() as file:
            whole = file.tell()
            try:
                if file.write(line) < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
                if not may_wait or time.monotonic() - self._flushed >= FLUSH_EVERY_SECONDS:
                    os.fsync(file.fileno())
                    self._flushed = time.monotonic()
            except OSError:
                file.truncate(whole)
                raise

    def _open(self) -> FileIO:
        try:
            return FileIO(self.path, "ab")
        except FileNotFoundError:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return FileIO(self.path, "ab")

    def replay(self, apply: Callable[[dict[str, Any] | None], None]) -> Damage | None:
        """Apply every event in order, and leave a file that replays to the same end.

        A last line without a line end was never finished: it is cut off without a word.

        Args:
            apply: takes an event, or None for a line that cannot be read. It raises ValueError, KeyError or TypeError,
                and changes nothing that a later replay would need, if the event does not follow from the events before.

        Returns:
            The lines that were dropped; None if there were none.
        """
        if not self.path.exists():
            return None
        content = self.path.read_bytes()
        lines = content.split(b"\n")[:-1]
        kept, dropped = [], []
        for number, line in enumerate(lines, start=1):
            try:
                apply(_event(line))
                kept.append(line + b"\n")
            except (ValueError, KeyError, TypeError):
                dropped.append(number)
        whole = b"".join(kept)
        if not dropped:
            if len(whole) < len(content):
                os.truncate(self.path, len(whole))
            return None
        names = (self.path.with_name(f"{self.path.name}.damaged-{number}") for number in count(1))
        copy = next(path for path in names if not path.exists())
        # The copy comes first: a driver that is killed in between finds the damaged file again.
        write_atomically(copy, lambda file: file.write(content))
        write_atomically(self.path, lambda file: file.write(whole))
        return Damage(dropped, copy)


def _line(event: dict[str, Any]) -> bytes:
    """Return an event as a line of JSON that ends with a checksum of the rest."""
    content = json.dumps(event).encode()
    return content.removesuffix(b"}") + b', "crc32": %d}\n' % zlib.crc32(content)


def _event(line: bytes) -> dict[str, Any] | None:
    """Return the event of a line; None if the line is not as it was written."""
    try:
        event = json.loads(line)
        checksum = event.pop("crc32")
        is_whole = zlib.crc32(json.dumps(event).encode()) == checksum
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return event if is_whole else None
