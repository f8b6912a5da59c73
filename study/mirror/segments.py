"""The segments of a file that grows: each is an object with the bytes that were new, and none is written again."""

import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

_NAME = re.compile(r"(\d{6})-(\d{12})-([0-9a-f]{8})")


@dataclass(frozen=True, order=True)
class Segment:
    """Describes a segment by what the name and the size of its object say. Segments sort by the time of their writing.

    Attributes:
        session: the session of a driver that wrote it.
        number: its number in that session.
        start: the position in the file of its first byte.
        size: its bytes.
        checksum: the CRC-32 of its bytes.
        end: the position in the file after its last byte that counts: a later segment may begin before its end.
    """

    session: str
    number: int
    start: int
    size: int
    checksum: int
    end: int

    @classmethod
    def of(cls, session: str, number: int, start: int, content: bytes) -> "Segment":
        """Describe the segment of these bytes."""
        return cls(session, number, start, len(content), zlib.crc32(content), start + len(content))

    @classmethod
    def parse(cls, session: str, name: str, size: int) -> "Segment | None":
        """Describe the segment whose object has this name and size; None if it is no segment."""
        found = _NAME.fullmatch(name)
        if found is None:
            return None
        start = int(found[2])
        return cls(session, int(found[1]), start, size, int(found[3], 16), start + size)

    @property
    def name(self) -> str:
        """Return the name of its object."""
        return f"{self.number:06d}-{self.start:012d}-{self.checksum:08x}"

    def holds(self, content: bytes) -> bool:
        """Return whether these are its bytes."""
        return len(content) == self.size and zlib.crc32(content) == self.checksum


def that_count(segments: Iterable[Segment]) -> list[Segment]:
    """Return the segments that make up the file, in the order of their bytes.

    A segment replaces everything from its start on that was written before it: a driver that went on from there had
    dropped it.
    """
    kept: list[Segment] = []
    for segment in sorted(segments):
        while kept and kept[-1].start >= segment.start:
            kept.pop()
        if kept and kept[-1].end > segment.start:
            kept[-1] = replace(kept[-1], end=segment.start)
        kept.append(segment)
    return kept


def held_bytes(segments: Sequence[Segment], path: Path) -> int:
    """Return how many bytes from its beginning a file has in common with the segments that count."""
    common = 0
    if not path.exists():
        return common
    with path.open("rb") as file:
        for segment in segments:
            is_whole = segment.end == segment.start + segment.size
            if segment.start != common or not is_whole or not segment.holds(file.read(segment.size)):
                break
            common = segment.end
    return common
