"""Locks folders. A lock ends with the process that holds it, even if the process is killed."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

# The errors of file systems that cannot lock a folder. NFS locks only files that are open for writing.
_UNSUPPORTED = (errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL)

# The errors if this process may not make a file beside the folder.
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


class Locked(Exception):
    """Says that another process holds the folder."""


@contextmanager
def exclusive(folder: Path) -> Iterator[bool]:
    """Holds a folder for this process by the kernel's lock (flock) on the folder itself, which leaves no file.

    If the file system cannot lock folders, the lock is on a file `.<name>.lock` beside the folder, which stays.

    Yields:
        Whether the folder is locked: False if the file system can lock neither.

    Raises:
        Locked: if another process holds it.
    """
    real = folder.resolve()
    beside = real.with_name(f".{real.name}.lock")
    with ExitStack() as stack:
        yield _lock(folder, os.O_RDONLY | os.O_DIRECTORY, stack) or _lock(beside, os.O_RDWR | os.O_CREAT, stack)


def is_held(folder: Path) -> bool:
    """Return whether a process of this machine holds a folder with `exclusive`. Leaves no trace."""
    real = folder.resolve()
    for path in (folder, real.with_name(f".{real.name}.lock")):
        if not path.exists():
            continue
        descriptor = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
        finally:
            os.close(descriptor)
    return False


def _lock(path: Path, flags: int, stack: ExitStack) -> bool:
    """Locks a path until the stack is left. Returns False if it cannot be locked. Raises Locked."""
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
