"""Claims a folder for a study: finds a free name, makes the folder, keeps other drivers out, and mends it."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from analysis.results.files import DamagedFile, remove_temporaries, verify
from analysis.results.study_folder import StudyFolder
from study.errors import BadInput
from study.storage.lock import Locked, exclusive

_OWN_FILES = {"study.json", "trials.csv", "history.csv", "optuna.db", "optuna.db-journal", "study.log"}
_RESULTS = {*_OWN_FILES, "tune", "final", "confirm", "report", "tensorboard", "wandb"}


def check_name(name: str) -> str:
    """Returns the name of a study. Raises BadInput unless it is one plain path component."""
    if (
        name in ("", ".", "..")
        or len(name.encode()) > 200
        or not re.fullmatch(r"[\w.+=@ -]{1,200}", name)
        or name != name.strip()
        or name.startswith("-")
    ):
        raise BadInput(
            f"--name {name!r} is not one plain path component: use letters, digits and . _ + = @ - (at most 200,"
            " no - first)"
        )
    return name


def check_free(results_dir: Path, name: str) -> None:
    """Checks that a new study can have this name. Leaves no trace.

    Raises:
        BadInput: if the name is bad or taken, the folder holds other files, or it cannot be written.
    """
    path = results_dir / check_name(name)
    if (path / "study.json").exists():
        raise BadInput(
            f"the study {path} exists already: go on with it by --resume --name {name}, or choose another --name"
        )
    if os.path.lexists(path) and not path.is_dir():
        raise BadInput(f"{path} exists and is not a folder: choose another --name")
    if path.is_dir() and any(not _is_own(entry) for entry in path.iterdir()):
        raise BadInput(f"the folder {path} holds files that are not a study's: choose another --name")
    existing = next(parent for parent in (path, *path.absolute().parents) if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise _unwritable(results_dir, error) from error


def create(results_dir: Path, name: str) -> StudyFolder:
    """Makes the folder of a new study and removes the files of a study that never began there.

    Raises:
        BadInput: if `check_free` raises it, or the folder cannot be written.
    """
    check_free(results_dir, name)
    path = results_dir / name
    try:
        path.mkdir(parents=True, exist_ok=True)
        for entry in path.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    except OSError as error:
        raise _unwritable(results_dir, error) from error
    return StudyFolder(path)


def set_aside(path: Path) -> Path | None:
    """Moves the results in a folder without study.json to a new folder beside it.

    A study writes study.json first, so results without it mean that it was lost.

    Returns:
        The new folder; None if there are no results.
    """
    if not any(entry.name in _RESULTS for entry in path.iterdir()):
        return None
    made = Path(tempfile.mkdtemp(prefix=f"{path.name}-set-aside-", dir=path.parent))
    aside = path.with_name(made.name)  # some versions of Python return an absolute path
    aside.chmod(path.stat().st_mode)
    for entry in list(path.iterdir()):
        entry.rename(aside / entry.name)
    return aside


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Keeps other drivers out of the folder of a study. Makes the folder if it is missing.

    Raises:
        BadInput: if another driver works in it, or it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        with exclusive(path):
            yield
    except Locked:
        raise BadInput(f"another process is at work on the study {path}: wait for it, or end it") from None


def mend(folder: StudyFolder) -> list[str]:
    """Removes the half-written files of a killed driver, and the damaged files that can be made again.

    Returns:
        One line for each damaged file, which names it.
    """
    remove_temporaries(folder.path)
    lines = [*folder.final.remove_damaged(), *folder.confirm.remove_damaged()]
    for path in (folder.latency, folder.samples):
        try:
            if path.exists():
                verify(path)
        except DamagedFile as error:
            path.unlink()
            lines.append(f"{error}; it is made again")
    return lines


def _unwritable(folder: Path, error: OSError) -> BadInput:
    return BadInput(f"the folder {folder} cannot be written ({error.strerror}): choose another --results-dir")


def _is_own(entry: Path) -> bool:
    """Whether an entry of a folder is a study's, or a temporary file of its study.json."""
    is_temporary = entry.name.startswith(".study.json.") and entry.name.endswith(".tmp")
    return entry.name in _RESULTS or entry.name == "config.toml" or is_temporary
