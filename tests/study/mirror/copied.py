"""A small study folder, and what tests of its copy in a bucket look at."""

import json
from pathlib import Path

from analysis.results.files import write_checksums
from analysis.results.study_folder import StudyFolder
from study.storage.leftovers import COPIES

ID = "a" * 32


def begin(path: Path, identity: str = ID, name: str | None = None, storage: str | None = None) -> StudyFolder:
    """Make a study folder with some of each kind of file."""
    folder = StudyFolder(path)
    folder.write_study({"id": identity, "name": name or path.name, "config": {"storage": storage}})
    folder.write_config("[study]\n")
    append(folder, "ask", "epoch")
    folder.log.write_text("began\n")
    return folder


def append(folder: StudyFolder, *lines: str) -> None:
    """Append lines to the journal."""
    folder.tune.mkdir(exist_ok=True)
    with folder.journal.open("a") as file:
        file.writelines(f"{line}\n" for line in lines)


def add_run(folder: StudyFolder, seed: int) -> Path:
    """Make a final run."""
    path = folder.final.path_of("net-tuned", seed)
    path.mkdir(parents=True)
    (path / "metrics.json").write_text(json.dumps({"seed": seed}))
    (path / "model.safetensors").write_bytes(bytes(range(256)))
    write_checksums(path, "metrics.json", "model.safetensors")
    return path


def objects(bucket: Path, identity: str = ID) -> list[str]:
    """Return the names of the objects of a study, without the random part of their sessions."""
    place = bucket / COPIES / identity
    names = (path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file())
    return sorted(f"{name[:5]}{name[14:]}" for name in names)


def contents(folder: Path) -> dict[str, bytes]:
    """Return what each file of a study's folder holds, but for the mark of its copy."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if name != "tune/copy.json"}


def take_away(bucket: Path) -> None:
    """Let nothing be read from the bucket or written there."""
    bucket.rename(bucket.with_name("away"))
    bucket.touch()


def bring_back(bucket: Path) -> None:
    """Undo `take_away`."""
    bucket.unlink()
    bucket.with_name("away").rename(bucket)
