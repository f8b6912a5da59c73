"""Lets the copy of a study in a bucket follow its folder, in a thread of its own."""

import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import Event, Thread
from types import TracebackType
from typing import Self

from analysis.numbers import listed, plural
from analysis.results.study_folder import StudyFolder
from study.errors import StorageFailed, Superseded, one_line
from study.mirror.carrier import Carrier
from study.mirror.layout import is_bucket, place_of, read_mark
from study.storage.checkpoints import CheckpointStore

# The copy is at most about this old while the bucket answers.
FOLLOW_EVERY_SECONDS = 5.0
# A line says that the bucket is away after this time.
SILENT_SECONDS = 60.0
# A session waits at most this long at its end for the bucket to take the rest.
PATIENCE_SECONDS = 120.0
PAUSE_SECONDS = 2.0
# The last line names at most this many files.
_LISTED = 3
# A reason in a line has at most this many characters.
_LONGEST_REASON = 400


class Unfollowed:
    """Takes the place of Follower for a study without a bucket.

    Args:
        checkpoints: the checkpoints of the study.
    """

    def __init__(self, checkpoints: CheckpointStore) -> None:
        self._checkpoints = checkpoints

    def check(self) -> None:
        """Do nothing: without a bucket, the lock of the folder keeps other drivers out."""

    def discard(self, run: str) -> None:
        """Delete the checkpoint of a run whose end is in the study's folder."""
        self._checkpoints.delete(run)

    def discard_all(self) -> None:
        """Delete every checkpoint."""
        self._checkpoints.clear()


class Follower:
    """Brings what is new in a study's folder into the bucket, every few seconds. Use as a context manager.

    At the end of the block it brings the rest, for at most PATIENCE_SECONDS if the bucket is away.

    Args:
        folder: the study's folder, which nobody else may work on.
        storage: the URI of the bucket.
        checkpoints: the checkpoints of the study.
        say: prints a line, also from a thread.
    """

    def __init__(
        self, folder: StudyFolder, storage: str, checkpoints: CheckpointStore, say: Callable[[str], None]
    ) -> None:
        self._folder, self._place, self._say = folder, place_of(storage), say
        self._checkpoints = checkpoints.impatient()
        self._carrier = Carrier(folder, storage)
        self._superseded: Superseded | None = None
        self._ended = Event()
        self._thread = Thread(target=self._follow, name="copy of the study", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()
        if self._superseded is None:
            self._bring_rest()
        if self._superseded is not None and error is not self._superseded:
            self._say(str(self._superseded))

    def check(self) -> None:
        """Raise Superseded if a newer driver works on the study."""
        if self._superseded is not None:
            raise self._superseded

    def discard(self, run: str) -> None:
        """Delete the checkpoint of a run whose end is in the study's folder, once the end is in the bucket, too."""
        self._carrier.afterwards(partial(self._checkpoints.delete, run))

    def discard_all(self) -> None:
        """Delete every checkpoint once everything that is in the study's folder now is in the bucket."""
        self._carrier.afterwards(self._checkpoints.clear)

    def _follow(self) -> None:
        is_told, answered = False, time.monotonic()
        while True:
            try:
                self._carrier.bring(is_last=False)
                is_told, answered = False, time.monotonic()
            except Superseded as error:
                self._superseded = error
                return
            except (StorageFailed, OSError) as error:
                silence = time.monotonic() - answered
                if silence >= SILENT_SECONDS and not is_told:
                    is_told = True
                    self._say(
                        f"{self._place} has taken no file of the study for {silence:.0f} s ({_reason(error)}); the"
                        " study goes on, and its files follow"
                    )
            if self._ended.wait(FOLLOW_EVERY_SECONDS):
                return

    def _bring_rest(self) -> None:
        """Bring everything. Name the files that did not arrive in time."""
        deadline, is_told = time.monotonic() + PATIENCE_SECONDS, False
        while True:
            try:
                self._carrier.bring(is_last=True)
                self._carrier.note_all_is_there()
                return
            except Superseded as error:
                self._superseded = error
                return
            except (StorageFailed, OSError) as error:
                if time.monotonic() >= deadline:
                    self._name_rest(error)
                    return
                if not is_told:
                    is_told = True
                    self._say(f"Waiting for {self._place} to take the rest, at most {PATIENCE_SECONDS:.0f} s")
            time.sleep(PAUSE_SECONDS)

    def _name_rest(self, error: Exception) -> None:
        left = self._carrier.left()
        named = left[:_LISTED] + ([plural(len(left) - _LISTED, "other file")] if len(left) > _LISTED else [])
        lacks = f"lacks {listed(named)}" if left else "keeps checkpoints that nobody needs"
        self._say(
            f"{self._place} {lacks} ({_reason(error)}). Everything is in {self._folder.path}, and --resume brings it"
            " there"
        )


@contextmanager
def following(
    folder: StudyFolder, storage: str | None, checkpoints: CheckpointStore, say: Callable[[str], None]
) -> Iterator[Follower | Unfollowed]:
    """Let a copy in the storage follow a study until the block ends, if the storage is a bucket.

    Args:
        folder: the study's folder, which holds study.json.
        storage: a folder or a URI; None without one.
        checkpoints: the checkpoints of the study.
        say: prints a line, also from a thread.
    """
    if storage is None or not is_bucket(storage):
        yield Unfollowed(checkpoints)
        return
    with Follower(folder, storage, checkpoints, say) as follower:
        yield follower


def lacks_files(folder: StudyFolder) -> bool:
    """Return whether a study's last session ended before its copy had every file."""
    mark = read_mark(folder)
    return mark is not None and not mark.is_complete


def _reason(error: Exception) -> str:
    return textwrap.shorten(one_line(error), _LONGEST_REASON, placeholder=" ...")
