"""Finds studies in a bucket, and fetches one of them to a machine that lacks it."""

import json
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from analysis.results.errors import UnusableStudy
from analysis.results.files import DamagedFile, write_bytes
from analysis.results.study_folder import StudyFolder
from study.errors import BadInput, StorageFailed
from study.mirror.layout import (
    STUDY,
    Copy,
    Mark,
    is_bucket,
    place_of,
    read_copy,
    read_mark,
    sessions_of,
    within,
    write_mark,
)
from study.storage.claim import check_name, create, held, set_aside
from study.storage.leftovers import COPIES
from study.storage.lock import Locked, exclusive
from study.storage.object_store import ObjectStore, check_storage

# At most this many objects are read at a time: each takes some 30 ms, and a run's weights take memory.
_AT_A_TIME = 8


def bring_home(results_dir: Path, name: str | None, storage: str | None, say: Callable[[str], None]) -> None:
    """Fetch the study that `--resume` goes on with, if this machine has none or an older one than its bucket.

    An older one is moved to a new folder beside it.

    Args:
        results_dir: the folder of the studies.
        name: the study's name, or its id if several studies in the bucket have its name; None if it is not given.
        storage: the storage that is given; a study that is here names its own.
        say: prints a line.

    Raises:
        BadInput: if the bucket holds several studies that may be meant, or the folder is in use.
        DamagedFile: if the copy is not as it was written.
        StorageFailed: if the bucket does not answer and the study is not here.
    """
    if storage is not None and is_bucket(storage):
        check_storage(storage)
    try:
        folder = _here(results_dir, name)
        study = {} if folder is None else folder.read_study()
    except DamagedFile:  # whoever reads the study next names it, and says what to do
        return
    if folder is not None:
        config = study.get("config")
        storage, identity = config.get("storage") if isinstance(config, dict) else None, str(study.get("id"))
        if storage is None or not is_bucket(storage) or not _is_behind(folder, storage, identity):
            return
        path = folder.path
    else:
        if storage is None or not is_bucket(storage) or (chosen := _chosen(storage, name)) is None:
            return
        identity, own = chosen
        path = results_dir / check_name(name or own)
    copy, aside = _fetch(ObjectStore(storage, within(identity)), path)
    if aside is not None:
        say(f"{path} was older than {place_of(storage)}, where the study went on; the older folder is now {aside}")
    say(f"Fetched {path} from {place_of(storage)} (session {copy.session})")


def check_unused(storage: str | None, name: str) -> None:
    """Raise BadInput if a bucket holds a study of this name, which a new study would be mistaken for."""
    if storage is None or not is_bucket(storage):
        return
    if any(study.get("name") == name for study in studies_in(storage).values()):
        raise BadInput(
            f"the study {name} exists already in {place_of(storage)}: go on with it by --resume and the same flags, or"
            " choose another --name"
        )


def studies_in(storage: str) -> dict[str, Mapping[str, Any]]:
    """Return the newest study.json of each study in a bucket, by its id.

    Raises:
        StorageFailed: at once if the bucket does not answer, because its name may be mistyped.
        DamagedFile: if a study.json is not a JSON object.
    """
    identities = ObjectStore(storage, COPIES, patience=0.0).folders()
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        found = pool.map(lambda identity: _newest_study(ObjectStore(storage, within(identity), 0.0)), identities)
        return {identity: study for identity, study in zip(identities, found, strict=True) if study is not None}


def _newest_study(store: ObjectStore) -> Mapping[str, Any] | None:
    for session in reversed(sessions_of(store)):
        if (content := store.read(f"{session}/{STUDY}")) is not None:
            try:
                return dict(json.loads(content))
            except (ValueError, TypeError) as error:
                raise DamagedFile(f"{store.path(f'{session}/{STUDY}')} is not a JSON object") from error
    return None


def _here(results_dir: Path, name: str | None) -> StudyFolder | None:
    """Return the folder of the study that is meant; None if it is not on this machine."""
    try:
        return StudyFolder.newest(results_dir) if name is None else StudyFolder.open(results_dir / check_name(name))
    except UnusableStudy:
        return None


def _is_behind(folder: StudyFolder, storage: str, identity: str) -> bool:
    """Return whether a session elsewhere is newer than the last one here. If the bucket is away, the study says so."""
    mark = read_mark(folder)
    if mark is None:
        return False
    try:
        newest = max(sessions_of(ObjectStore(storage, within(identity), patience=0.0)), default="")
    except StorageFailed:
        return False
    return newest > mark.session


def _chosen(storage: str, name: str | None) -> tuple[str, str] | None:
    """Return the id and the name of the study that is meant; None if the bucket does not hold it. Raises BadInput."""
    names = {identity: str(study.get("name")) for identity, study in studies_in(storage).items()}
    meant = {identity: own for identity, own in names.items() if name is None or name in (own, identity)}
    if len(meant) > 1 and name is None:
        raise BadInput(
            f"{place_of(storage)} holds {len(meant)} studies: say by --name which one to go on with"
            f" ({', '.join(sorted(meant.values()))})"
        )
    if len(meant) > 1:
        raise BadInput(
            f"{place_of(storage)} holds {len(meant)} studies of the name {name}: give the id of one as --name"
            f" ({', '.join(sorted(meant))})"
        )
    return next(iter(meant.items()), None)


def _fetch(store: ObjectStore, path: Path) -> tuple[Copy, Path | None]:
    """Fetch a study into its folder. It appears there whole or not at all.

    Returns:
        The copy, and the folder to which results in the study's folder were moved; None if there were none.

    Raises:
        BadInput: if another process fetches it or works on it, or its folder cannot be made.
        DamagedFile: if the copy is not as it was written.
        StorageFailed: if the bucket does not answer.
    """
    beside = path.with_name(f".{path.name}.fetched.tmp")
    temporary = beside / "study"  # two floors down, where nobody looks for studies
    try:
        beside.mkdir(parents=True, exist_ok=True)
        with exclusive(beside):
            shutil.rmtree(temporary, ignore_errors=True)  # another fetch was killed
            copy = _read(store, StudyFolder(temporary))
            aside = None
            if path.exists():
                with held(path):
                    aside = set_aside(path)
            create(path.parent, path.name)
            temporary.rename(path)
            beside.rmdir()
    except Locked:
        raise BadInput(f"another process fetches the study {path}: wait for it, or end it") from None
    return copy, aside


def _read(store: ObjectStore, folder: StudyFolder) -> Copy:
    """Read a copy into a folder."""
    copy = read_copy(store)
    with ThreadPoolExecutor(_AT_A_TIME) as pool:

        def bring(path: str, name: str) -> None:
            write_bytes(folder.path / path, _content(store, name))

        for future in [pool.submit(bring, path, name) for path, name in copy.whole.items()]:
            future.result()
        for path, segments in copy.growing.items():
            names = [f"{segment.session}/{path}/{segment.name}" for segment in segments]
            content, end = [], 0
            for segment, name, part in zip(
                segments, names, pool.map(lambda name: _content(store, name), names), strict=True
            ):
                if segment.start != end or not segment.holds(part):
                    raise DamagedFile(f"{store.path(name)} is damaged, or the segment before it is missing")
                content.append(part[: segment.end - segment.start])
                end = segment.end
            write_bytes(folder.path / path, b"".join(content))
    write_mark(folder, Mark(copy.session, True))
    return copy


def _content(store: ObjectStore, name: str) -> bytes:
    content = store.read(name)
    if content is None:
        raise DamagedFile(f"{store.path(name)} is missing")
    return content
