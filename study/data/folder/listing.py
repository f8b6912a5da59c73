"""Lists the images below a folder, and counts the files that are not read."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np

from models.images.kinds import EXTENSIONS
from study.data.folder.names import is_hidden
from study.errors import BadInput

WITHOUT_EXTENSION = "without an extension"


@dataclass(frozen=True)
class Listing:
    """Holds the images of some classes.

    Attributes:
        paths: the image files, class by class.
        labels: the class of each file, int64 [n].
        unread: the number of files that are not read, by extension.
    """

    paths: list[str]
    labels: np.ndarray
    unread: Counter[str]


def list_images(part: Path, folders: Mapping[str, Path]) -> Listing:
    """Lists the images of train/, of test/ or of a folder of classes.

    Images come in the order of torchvision's ImageFolder, but hidden files and the system's own folders are left out.

    Args:
        part: the folder that error lines name.
        folders: the folder of each class, by the class's name in the order of the labels.

    Raises:
        BadInput: if a folder cannot be listed, a link leads nowhere or round in a circle, or a class has no image.
    """
    paths: list[str] = []
    labels: list[int] = []
    unread: Counter[str] = Counter()
    for label, folder in enumerate(folders.values()):
        for place, files in sorted(_walk(folder)):
            for file in sorted(files):
                if file.lower().endswith(EXTENSIONS):
                    paths.append(os.path.join(place, file))
                else:
                    refuse_dangling(os.path.join(place, file))
                    unread[extension(file)] += 1
        labels += [label] * (len(paths) - len(labels))
    if empty := sorted(set(range(len(folders))) - set(labels)):
        names = list(folders)
        others = f" (it has {counted(unread)}, which are not read)" if unread else ""
        raise BadInput(
            f"{str(part)!r} has no image in the classes {', '.join(names[label] for label in empty)}{others}: add files"
            f" whose names end with one of {' '.join(EXTENSIONS)}"
        )
    return Listing(paths, np.array(labels, dtype=np.int64), unread)


def counted(unread: Mapping[str, int]) -> str:
    """Return the numbers of files by extension as text, such as "12 .heic and 1 without an extension"."""
    kinds = [f"{number:,} {kind}" for kind, number in sorted(unread.items(), key=lambda item: (-item[1], item[0]))]
    return " and ".join(filter(None, (", ".join(kinds[:-1]), kinds[-1])))


def extension(file: str) -> str:
    """Return the extension of a file's name in lower case, such as ".heic"."""
    return os.path.splitext(file)[1].lower() or WITHOUT_EXTENSION


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return what lies in a folder, sorted by name, without hidden entries and the system's own.

    Raises:
        BadInput: if the folder cannot be listed, or a link in it leads nowhere.
    """
    try:
        with os.scandir(folder) as found:
            visible = sorted((entry for entry in found if not is_hidden(entry.name)), key=lambda entry: entry.name)
    except OSError as error:
        _refuse(error)
    for entry in visible:
        refuse_dangling(entry.path)
    return visible


def refuse_dangling(path: str) -> None:
    """Raises BadInput if a path is a link that leads nowhere."""
    if os.path.islink(path) and not os.path.exists(path):
        raise BadInput(f"the link {path!r} leads nowhere: repair or remove it")


def _walk(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Yields every folder below this one and the names of its files. Follows links."""
    for place, folders, files in os.walk(folder, followlinks=True, onerror=_refuse):
        folders[:] = [name for name in folders if not is_hidden(name)]
        links = [path for path in (os.path.join(place, name) for name in folders) if os.path.islink(path)]
        above = {os.path.realpath(path) for path in (Path(place), *Path(place).parents)} if links else set()
        for link in links:
            if os.path.realpath(link) in above:
                raise BadInput(
                    f"the link {link!r} leads to a folder that it lies in, so its images would count many times:"
                    " remove the link"
                )
        yield place, [name for name in files if not is_hidden(name)]


def _refuse(error: OSError) -> NoReturn:
    raise BadInput(f"the folder {str(error.filename)!r} cannot be read ({error.strerror}): make it readable") from error
