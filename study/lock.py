"""Locks on folders that go with the process that holds them, however it ends."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# What file systems answer that lock no folders: some network ones.
_UNSUPPORTED = (errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL)


class Locked(Exception):
    """Another process holds the folder."""


@contextmanager
def exclusive(folder: Path) -> Iterator[bool]:
    """Holds a folder for this process. The lock is the kernel's (flock) and dies with the process.

    Yields:
        Whether it could be locked: False on a file system that cannot.

    Raises:
        Locked: if another process holds it.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Locked(f"{folder} is in use by another process") from None
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)
