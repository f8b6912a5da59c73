"""Brings what is new in a study's folder to its copy in a bucket."""

from collections import Counter, deque
from collections.abc import Callable, Iterator

from analysis.results.files import CHECKSUMS
from analysis.results.study_folder import StudyFolder
from study.errors import Superseded
from study.mirror.layout import (
    GROWING,
    STUDY,
    Copy,
    Mark,
    place_of,
    read_copy,
    read_mark,
    session_after,
    sessions_of,
    whole_files,
    within,
    write_mark,
)
from study.mirror.segments import Segment, held_bytes
from study.storage.object_store import ObjectStore


class Carrier:
    """Keeps the copy of one study, as the newest session there. It never waits for a bucket that is away.

    Args:
        folder: the study's folder, which nobody else may work on.
        storage: the URI of the bucket.
    """

    def __init__(self, folder: StudyFolder, storage: str) -> None:
        self._folder, self._place = folder, place_of(storage)
        self._store = ObjectStore(storage, within(folder.read_study()["id"]), patience=0.0)
        self._session = ""
        self._unseen: Copy | None = None
        # The state of each whole file when it was brought, and how many bytes of each growing file were brought.
        self._brought: dict[str, tuple[int, ...]] = {}
        self._ends: Counter[str] = Counter()
        self._number = 0
        self._afterwards: deque[Callable[[], None]] = deque()

    def afterwards(self, action: Callable[[], None]) -> None:
        """Call an action once everything that is in the folder now is in the bucket."""
        self._afterwards.append(action)

    def bring(self, *, is_last: bool) -> None:
        """Bring what is new.

        Args:
            is_last: True when a session ends, which brings also the files that can be made again.

        Raises:
            Superseded: if a newer driver works on the study.
            StorageFailed: if the bucket does not take something. The next call goes on there.
        """
        if not self._session:
            self._begin_session()
        if self._unseen is not None:
            self._skip_what_is_there(self._unseen)
            self._unseen = None
        actions = len(self._afterwards)  # counted first: a later action may follow from a later file
        new = list(self._new_files(is_last=is_last))
        if not new and not actions:
            return
        self._check_newest(max(sessions_of(self._store), default=""), self._session)
        for path in new:
            if path in GROWING:
                self._bring_segment(path)
            else:
                self._bring_whole(path)
        for _ in range(actions):
            self._afterwards[0]()
            self._afterwards.popleft()

    def left(self) -> list[str]:
        """Return the paths of the files that the copy lacks at the end of a session."""
        return list(self._new_files(is_last=True))

    def note_all_is_there(self) -> None:
        """Note in the study's folder that its copy has every file."""
        write_mark(self._folder, Mark(self._session, True))

    def _begin_session(self) -> None:
        copy, mark = read_copy(self._store), read_mark(self._folder)
        if mark is not None:
            self._check_newest(copy.session, mark.session)
        session = session_after(copy.session)
        # The mark comes first: a folder whose driver is killed in between is not taken for an older one.
        write_mark(self._folder, Mark(session, False))
        self._session, self._unseen = session, copy
        self._bring_whole(STUDY)

    def _check_newest(self, newest: str, own: str) -> None:
        if newest > own:
            raise Superseded(
                f"a newer driver works on {self._folder.path.name} (session {newest} in {self._place}); --resume would"
                " take the study over from it"
            )

    def _skip_what_is_there(self, copy: Copy) -> None:
        """Take note of what earlier sessions brought: the beginnings of growing files, and the runs."""
        for path, segments in copy.growing.items():
            self._ends[path] = held_bytes(segments, self._folder.path / path)
        for path, name in copy.whole.items():
            sums = self._folder.path / path
            if sums.name != CHECKSUMS or not sums.exists() or self._store.read(name) != sums.read_bytes():
                continue
            names = (line.partition("  ")[2] for line in sums.read_text().splitlines())
            for file in (sums, *(sums.with_name(name) for name in names)):
                same = file.relative_to(self._folder.path).as_posix()
                if same in copy.whole:
                    self._brought[same] = self._state(same)

    def _new_files(self, *, is_last: bool) -> Iterator[str]:
        """Yield the paths of the files that differ from the copy, the journal before the runs that follow from it."""
        journal, log = GROWING
        if self._new_bytes(journal):
            yield journal
        for path in whole_files(self._folder, is_last=is_last):
            if self._brought.get(path) != self._state(path):
                yield path
        if self._new_bytes(log):
            yield log

    def _state(self, path: str) -> tuple[int, ...]:
        """Return a value that changes when a whole file is replaced; an empty one if it is missing."""
        try:
            stat = (self._folder.path / path).stat()
        except FileNotFoundError:
            return ()
        return stat.st_mtime_ns, stat.st_size, stat.st_ino

    def _new_bytes(self, path: str) -> bytes:
        """Return the whole lines of a growing file that the copy lacks."""
        file = self._folder.path / path
        if not file.exists() or file.stat().st_size <= self._ends[path]:
            return b""
        with file.open("rb") as opened:
            opened.seek(self._ends[path])
            content = opened.read()
        return content[: content.rfind(b"\n") + 1]

    def _bring_segment(self, path: str) -> None:
        content = self._new_bytes(path)
        # Each attempt has a number of its own: an attempt that seemed to fail may have arrived.
        self._number += 1
        segment = Segment.of(self._session, self._number, self._ends[path], content)
        self._store.write(f"{self._session}/{path}/{segment.name}", content)
        self._ends[path] = segment.end

    def _bring_whole(self, path: str) -> None:
        state = self._state(path)
        try:
            content = (self._folder.path / path).read_bytes()
        except FileNotFoundError:  # a run that is made again is removed first
            return
        self._store.write(f"{self._session}/{path}", content)
        self._brought[path] = state
