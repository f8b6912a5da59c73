"""Standard output and standard error, which may be lost: a terminal closes, a reader leaves, a disk is full."""

import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

_NAMES = ("stdout", "stderr")


@contextmanager
def lasting_streams() -> Iterator[None]:
    """Makes standard output and standard error outlast their terminal, reader or disk.

    After its first failed write a stream takes all text and writes nothing. If a standard descriptor is closed, the
    null device takes its place. A stream that has no descriptor, such as a notebook's, stays as it is.
    """
    before = {name: getattr(sys, name) for name in _NAMES}
    _open_closed_descriptors()
    made = {name: _lasting(stream) for name, stream in before.items()}
    for name, stream in made.items():
        setattr(sys, name, stream)
    try:
        yield
    finally:
        for name, stream in made.items():
            stream.flush()
            setattr(sys, name, before[name])


def loss_of(stream: Any) -> OSError | None:
    """Returns the error since which a stream of `lasting_streams` writes nothing; None if it writes."""
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw.loss if isinstance(raw, _Lasting) else None


class _Lasting(io.FileIO):
    """A descriptor that takes all data and, from its first failed write on, writes nothing."""

    loss: OSError | None = None

    def write(self, data: Any) -> int:
        while self.loss is None:
            try:
                written = super().write(data)
            except OSError as error:
                self.loss = error
            else:
                if written is not None:
                    return written
                # Another program has made a terminal non-blocking, and the terminal is busy.
                select.select([], [self], [])
        return len(data)


def _lasting(stream: Any) -> Any:
    """Returns a lasting stream in place of a text stream that has a descriptor, and another stream as it is."""
    if stream is None:  # the descriptor was closed when Python started
        return open(os.devnull, "w", encoding="utf-8")
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    with suppress(OSError):
        stream.flush()
    try:
        raw = _Lasting(stream.fileno(), "wb", closefd=False)
    except (OSError, ValueError):  # text in memory, or a closed file
        return stream
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        stream.encoding,
        # Not every terminal has a ±. The error stream has a way of its own to write each character.
        "replace" if stream.errors in ("strict", "surrogateescape") else stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _open_closed_descriptors() -> None:
    """Open the null device at closed standard descriptors. Otherwise a file of the study would get such a number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # a new descriptor has the lowest free number
