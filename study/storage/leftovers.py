"""Says which folder of a shared storage belongs to which study, and finds the folders that no study claims."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from study.errors import BadInput
from study.storage.checkpoints import is_checkpoint
from study.storage.object_store import ObjectStore

# The copies of studies lie below this folder of a storage, each in a folder that has the study's id as its name.
COPIES = "studies"
# A study's folder of checkpoints has its id as its name. Older versions had the study's name and the start of its id.
_FOLDER = re.compile(r"[0-9a-f]{32}|.+-[0-9a-f]{8}")


@dataclass(frozen=True)
class Leftover:
    """Describes a folder of checkpoints.

    Attributes:
        name: its name in the storage.
        files: number of its files.
        size: bytes of its files.
        newest: when the newest file was written.
    """

    name: str
    files: int
    size: int
    newest: datetime


def folder_of(study: Mapping[str, Any], storage: str) -> str:
    """Return the name of a study's folder in a storage. It stays the same if the study is renamed or moved.

    Args:
        study: the contents of study.json.
        storage: a path or URI that ObjectStore takes.

    Raises:
        BadInput: if study.json holds no id.
        StorageFailed: if the storage does not answer.
    """
    names = _names(study)
    if not names:
        raise BadInput("study.json holds no id, which names the checkpoints in the storage: put study.json back")
    return next((name for name in names[1:] if ObjectStore(storage, name).files()), names[0])


def unclaimed(studies: Iterable[Mapping[str, Any]], storage: str) -> list[Leftover]:
    """Return the folders of checkpoints in a storage that belong neither to these studies nor to copies there, by name.

    A folder counts only if its name is like a study's and all its files begin as checkpoints do.

    Raises:
        StorageFailed: if the storage does not answer.
    """
    claimed = {name for study in studies for name in _names(study)} | {*ObjectStore(storage, COPIES).folders()}
    found = []
    for name in ObjectStore(storage).folders():
        if name in claimed or not _FOLDER.fullmatch(name):
            continue
        store = ObjectStore(storage, name)
        files = store.files()
        # A killed writer on a local disk leaves the last kind, which may be empty.
        if files and all(is_checkpoint(store, file) or file.endswith(".pt.tmp") for file in files):
            size, newest = sum(file.size for file in files.values()), max(file.mtime for file in files.values())
            found.append(Leftover(name, len(files), size, newest))
    return found


def _names(study: Mapping[str, Any]) -> list[str]:
    """Return the names that a study's folder may have: today's first, then an older version's."""
    identity = study.get("id")
    return [identity, f"{study.get('name')}-{identity[:8]}"] if isinstance(identity, str) and identity else []
