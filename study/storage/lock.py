"""Locks on folders that go with the process that holds them, however it ends."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

# What file systems answer that lock no folders: NFS, which locks only files that are open for writing, and others.
_UNSUPPORTED = (errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL)

# And what answers who may make no file beside the folder.
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


class Locked(Exception):
    """Another process holds the folder."""


@contextmanager
def exclusive(folder: Path) -> Iterator[bool]:
    """Holds a folder for this process. The lock is the kernel's (flock) and dies with the process.

    Where folders cannot be locked, a file `.<name>.lock` beside it is, which stays.

    Yields:
        Whether it could be locked: False on a file system that can lock neither.

    Raises:
        Locked: if another process holds it.
    """
    real = folder.resolve()
    beside = real.with_name(f".{real.name}.lock")
    with ExitStack() as stack:
        yield _lock(folder, os.O_RDONLY | os.O_DIRECTORY, stack) or _lock(beside, os.O_RDWR | os.O_CREAT, stack)


def _lock(path: Path, flags: int, stack: ExitStack) -> bool:
    """Whether the lock could be had that goes with the stack."""
    try:
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        if flags & os.O_CREAT and error.errno in _FORBIDDEN:
            return False
        raise
    stack.callback(os.close, descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Locked(f"{path} is in use by another process") from None
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        return False
    return True
