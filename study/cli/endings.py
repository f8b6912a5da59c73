"""How a study ends: one line for the user, and an exit status."""

import errno
import shlex
from typing import TYPE_CHECKING

from study.cli.interrupts import INTERRUPTED
from study.errors import BadInput, StudyFailed, Superseded
from study.errors import say_error as say_error

if TYPE_CHECKING:
    from study.cli.request import Request

# A full, failing or forbidden disk gives these.
_DISK_FAILURES = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM)


def ending_of(error: BaseException, request: "Request | None") -> tuple[str, int] | None:
    """Return the last line and the exit status for an error, or None if the error is a fault of the program."""
    if isinstance(error, BadInput):
        return f"error: {error}", 2
    from analysis.results.errors import UnusableStudy  # here, because a file of the user's may hide `analysis`

    match error:
        case UnusableStudy():
            return f"error: {error}", 2
        case KeyboardInterrupt():
            return parting(request), INTERRUPTED
        case Superseded():
            return f"the study ended here: {error}", 1
        case StudyFailed():
            return f"the study failed: {error}. When that is mended, {_go_on(request)}", 1
        case OSError() if error.errno in _DISK_FAILURES:
            place = "" if error.filename is None else f": {error.filename}"
            return f"the study failed: {error.strerror}{place}. When that is mended, {_go_on(request)}", 1
    from analysis.results.files import DamagedFile  # here, because it imports pandas, for which a typo would wait

    return (f"the study failed: {error}", 1) if isinstance(error, DamagedFile) else None


def parting(request: "Request | None") -> str:
    """Return the last line of an interrupted study."""
    if request is None or not _has_begun(request):
        return "interrupted before the study began"
    return f"interrupted; {_go_on(request)}"


def _go_on(request: "Request | None") -> str:
    if request is None or not _has_begun(request):
        return "begin again"
    from analysis.command import typed_command  # here, because a file of the user's may hide `analysis`

    results, name = str(request.folder.path.parent), _name(request)
    words = [*typed_command("study.run").split(), "--resume", "--results-dir", results, "--name", name]
    if request.searches > 1:
        words += ["--searches", str(request.searches)]
    if request.config.storage is not None and "://" in request.config.storage:
        words += ["--storage", request.config.storage]  # another machine can go on, too
    return f"go on with: {shlex.join(words)}"


def _has_begun(request: "Request") -> bool:
    path = request.folder.path
    if request.searches > 1:  # with the first of them all have begun
        path = path.with_name(f"{_name(request)}-1")
    return (path / "study.json").exists()


def _name(request: "Request") -> str:
    """Return the name of the study, or of all studies of --searches, without the number of this one."""
    name = request.folder.path.name
    return name if request.searches == 1 else name.rpartition("-")[0]
