"""Names the objects of a study in a bucket, and says which files of its folder are copied there.

    <storage>/studies/<id>/<session>/<path>                                a file that is written whole
    <storage>/studies/<id>/<session>/<path>/<number>-<start>-<checksum>    new bytes of a file that grows

Each session of a driver has a folder of its own, and a later session has a later name. So a driver that comes back
after its study went on elsewhere changes nothing of the newer session, and the newest object of each path counts.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from analysis.results.files import CHECKSUMS, DamagedFile, read_json, write_json
from analysis.results.study_folder import StudyFolder
from study.mirror.segments import Segment, that_count
from study.storage.leftovers import COPIES
from study.storage.object_store import ObjectStore

STUDY = "study.json"
# These files grow by whole lines.
GROWING = ("tune/journal.jsonl", "study.log")
# These files are written whole, and a study needs them to go on. SHA256SUMS comes after the files that it lists.
WHOLE = (
    *(STUDY, "config.toml", "split.csv", "repeats.csv", "repeats.npz", "tune/told.json", f"tune/{CHECKSUMS}"),
    *("confirm/*/seed-*/*", "final/*/seed-*/*", "final/latency.json", "final/samples.npz", f"final/{CHECKSUMS}"),
)
# These files can be made again from the others, so they are copied once, when a session ends.
_AT_THE_END = ("trials.csv", "history.csv", "optuna.db", "final/best.json")
_REPORT = "report/"
_RUN = re.compile(r"(confirm|final)/[^/]+/seed-\d+")
_SESSION = re.compile(r"\d{5}-[0-9a-f]{8}")


def is_bucket(storage: str | None) -> bool:
    """Return whether a storage is a URI, so that studies are copied there. A folder holds checkpoints alone."""
    return storage is not None and "://" in storage


def place_of(storage: str) -> str:
    """Return a storage's URI as lines show it: without its options."""
    return storage.partition("?")[0]


def within(identity: str) -> str:
    """Return the path below a storage of the study with this id."""
    return f"{COPIES}/{identity}"


def sessions_of(store: ObjectStore) -> list[str]:
    """Return the names of a study's sessions, the newest last. Raises StorageFailed."""
    return [name for name in store.folders() if _SESSION.fullmatch(name)]


def session_after(newest: str) -> str:
    """Return a name for the session after this one; "" if there was none.

    Two drivers that begin at a time get names of their own, and one of them is the later.
    """
    return f"{int(newest.partition('-')[0] or 0) + 1:05d}-{uuid4().hex[:8]}"


class Mark(NamedTuple):
    """Says in a study's folder how far its copy follows it.

    Attributes:
        session: the session that wrote last into this folder.
        is_complete: True if the copy had every file when that session ended.
    """

    session: str
    is_complete: bool


def read_mark(folder: StudyFolder) -> Mark | None:
    """Return the mark of a study's folder; None if it has no copy. Raises DamagedFile."""
    path = _mark(folder)
    if not path.exists():
        return None
    match read_json(path):
        case {"session": str(session), "is_complete": bool(is_complete)}:
            return Mark(session, is_complete)
    raise DamagedFile(f"{path} is not as it was written")


def write_mark(folder: StudyFolder, mark: Mark) -> None:
    """Replace the mark of a study's folder."""
    write_json(_mark(folder), mark._asdict())


def _mark(folder: StudyFolder) -> Path:
    return folder.tune / "copy.json"


@dataclass(frozen=True)
class Copy:
    """Lists the objects that make up a study's copy.

    Attributes:
        session: the newest session; "" if there is none.
        whole: the name of the object of each whole file, by its path in the study's folder.
        growing: the segments that count of each file that grows, by its path.
    """

    session: str = ""
    whole: Mapping[str, str] = field(default_factory=dict)
    growing: Mapping[str, Sequence[Segment]] = field(default_factory=dict)


def read_copy(store: ObjectStore) -> Copy:
    """List a study's copy.

    A run counts from the newest session that brought its SHA256SUMS, the last of its files. A file that can be made
    again counts from the newest session alone, because an older one does not agree with the rest.

    Args:
        store: the place of the study, which `within` names.

    Raises:
        StorageFailed: if the storage does not answer.
    """
    files = store.files()
    found = [(name, *name.partition("/")[::2]) for name in sorted(files) if _SESSION.fullmatch(name.partition("/")[0])]
    last = found[-1][1] if found else ""
    made = {path.rpartition("/")[0]: session for _, session, path in found if path.endswith(f"/{CHECKSUMS}")}
    whole: dict[str, str] = {}
    segments: dict[str, list[Segment]] = {path: [] for path in GROWING}
    for name, session, path in found:
        parent, _, end = path.rpartition("/")
        if parent in segments:
            if (segment := Segment.parse(session, end, files[name].size)) is not None:
                segments[parent].append(segment)
        elif _RUN.fullmatch(parent):
            if made.get(parent) == session:
                whole[path] = name
        elif session == last or not (path in _AT_THE_END or path.startswith(_REPORT)):
            whole[path] = name
    return Copy(last, whole, {path: that_count(parts) for path, parts in segments.items() if parts})


def whole_files(folder: StudyFolder, *, is_last: bool) -> Iterator[str]:
    """Yield the paths of the files to copy that are there and written whole, in the order in which to copy them.

    Args:
        is_last: True when a session ends, which adds the files that can be made again.
    """
    for pattern in (*WHOLE, *((*_AT_THE_END, f"{_REPORT}**/*") if is_last else ())):
        found = [path for path in folder.path.glob(pattern) if path.is_file() and not path.name.startswith(".")]
        for path in sorted(found, key=lambda path: (path.parent, path.name == CHECKSUMS, path.name)):
            yield path.relative_to(folder.path).as_posix()
