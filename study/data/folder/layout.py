"""Recognises how a folder of images is laid out: train/ and test/, or one folder of classes."""

import os
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from models.images.kinds import EXTENSIONS
from study.data.folder.listing import entries, extension
from study.data.folder.names import are_alike, check_class_names, difference, is_hidden, listed, natural_order, normal
from study.errors import BadInput

LAYOUT = "train/<class>/* and test/<class>/*, or <class>/*"
_ROLES = {
    "train": {"train", "training"},
    "test": {"test", "testing"},
    "validation": {"val", "valid", "validation", "dev"},
}
# Files of CIFAR-10 and CIFAR-100 as their authors publish them.
_CIFAR = ("data_batch_1", "cifar-10-batches-py", "cifar-10-python.tar.gz")
# At most 3 folders around the images, each alone in the next: more are no archive that somebody unpacked.
_MOST_WRAPPERS = 3


@dataclass(frozen=True)
class Layout:
    """Holds where the images of each class are.

    Attributes:
        root: the folder that names the data set.
        parts: for "train" and "test", or for "all" if the study splits the images, the folder of the part.
        folders: the folder of each class in each part, by the class's name, in the order of the labels.
        notes: sentences about what was passed over, for the user.
        unread: the number of files that lie outside of all classes, by extension.
    """

    root: Path
    parts: dict[str, Path]
    folders: dict[str, dict[str, Path]]
    notes: tuple[str, ...] = ()
    unread: Mapping[str, int] = field(default_factory=dict)

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the names of the classes in natural order."""
        return tuple(next(iter(self.folders.values())))


def find_layout(root: Path) -> Layout:
    """Recognises the layout of a folder of images. Opens no image.

    Raises:
        BadInput: if there is no such folder, its layout is not known, the classes of train/ and test/ differ, there
            are fewer than two, or a name is not text. The line names the remedy.
    """
    if os.path.isfile(root):
        _refuse_file(root)
    if not os.path.isdir(root):
        raise BadInput(f"there is no folder {str(root)!r}: give --data-dir a folder that holds {LAYOUT}")
    found = _find(root, _MOST_WRAPPERS)
    if found.root == root:
        return found
    return replace(found, notes=(f"The images are in {found.root.relative_to(root)}/", *found.notes))


def holds_images(root: Path) -> bool:
    """Return whether a folder has the layout of a folder of images, so that it is no place for a download."""
    inner = {name: _list(root / name) for name in _list(root)[0] if not is_hidden(name)}
    if {"train", "test"} <= {_role(name) for name, (folders, _) in inner.items() if folders}:
        return True
    return sum(any(file.lower().endswith(EXTENSIONS) for file in files) for _, files in inner.values()) > 1


def _list(place: Path) -> tuple[list[str], list[str]]:
    """Return the names of the folders and of the files in a folder; nothing if it cannot be listed."""
    _, folders, files = next(os.walk(place), ("", [], []))
    return folders, files


def _find(root: Path, wrappers: int) -> Layout:
    folders = _folders(root)
    roles: dict[str, Path] = {}
    for folder in folders:
        if (role := _role(folder.name)) is not None:
            if role in roles:
                raise BadInput(f"{str(root)!r} has both {roles[role].name}/ and {folder.name}/: keep one of them")
            roles[role] = folder
    if not any(_folders(path) for path in roles.values()) and any(_has_image(path) for path in roles.values()):
        roles = {}  # a class may be named "train"
    if "train" in roles and "test" in roles:
        return _find_parts(root, roles)
    if roles.keys() & {"train", "test"}:
        _refuse_half(root, roles)
    if cifar := next((name for name in _CIFAR if os.path.exists(root / name)), None):
        raise BadInput(f"{str(root)!r} holds CIFAR-10's own files ({cifar}): pass --dataset cifar10 --data-dir PATH")
    if not folders:
        _refuse_flat(root)
    if len(folders) == 1 and not _has_image(folders[0]) and _folders(folders[0]) and wrappers:
        return _find(folders[0], wrappers - 1)
    if _role(root.name) == "train" and (test := _sibling_test(root)) is not None:
        raise BadInput(
            f"{str(root)!r} is the training part alone, beside {test.name}/: give --data-dir the folder of both,"
            f" {str(root.resolve().parent)!r}"
        )
    classes = _classes(root, folders)
    return _checked(Layout(root, {"all": root}, {"all": classes}, *_strays({"all": root})))


def _find_parts(root: Path, roles: dict[str, Path]) -> Layout:
    """Return the layout of a folder with train/ and test/."""
    parts = {part: roles[part] for part in ("train", "test")}
    folders: dict[str, dict[str, Path]] = {}
    for part, place in parts.items():
        found = _folders(place)
        if not found and part == "test" and _has_image(place):
            raise BadInput(
                f"the folder {str(place)!r} has images but no classes, so the study cannot use them: give --data-dir"
                f" {str(parts['train'])!r}, which the study then splits"
            )
        if not found:
            raise BadInput(f"the folder {str(place)!r} has no classes: a data folder holds {LAYOUT}")
        folders[part] = _classes(place, found)
    _check_same(root, folders)
    folders["test"] = {name: folders["test"][name] for name in folders["train"]}
    notes, unread = _strays(parts)
    if "validation" in roles:
        notes = (
            f"{roles['validation'].name}/ is not read: validation images are a tenth of {parts['train'].name}/",
            *notes,
        )
    return _checked(Layout(root, parts, folders, notes, unread))


def _checked(layout: Layout) -> Layout:
    if len(layout.classes) < 2:
        raise BadInput(f"{str(layout.root)!r} has the one class {layout.classes[0]!r}: add at least one more")
    return layout


def _check_same(root: Path, folders: dict[str, dict[str, Path]]) -> None:
    """Raises BadInput if train and test have different classes."""
    for part, other in (("train", "test"), ("test", "train")):
        if missing := natural_order(folders[part].keys() - folders[other].keys()):
            for name in missing:
                if like := next((known for known in folders[other] if are_alike(name, known)), None):
                    raise BadInput(f"train and test of {str(root)!r} differ: {difference(name, like)}")
            raise BadInput(
                f"train and test of {str(root)!r} have different classes (only in {part}: {listed(missing)}):"
                " give both the same"
            )


def _classes(place: Path, folders: Iterable[Path]) -> dict[str, Path]:
    """Return the folder of each class by the class's name in NFC, in natural order. Raises BadInput for odd names."""
    check_class_names([folder.name for folder in folders], str(place))
    by_name = {normal(folder.name): folder for folder in folders}
    return {name: by_name[name] for name in natural_order(by_name)}


def _strays(parts: dict[str, Path]) -> tuple[tuple[str, ...], Counter[str]]:
    """Return a note about the images that lie beside the classes, and the number of all files there by extension."""
    notes, unread = [], Counter[str]()
    for place in parts.values():
        files = [entry.name for entry in entries(place) if not _is_folder(entry)]
        unread.update(extension(name) for name in files)
        if images := [name for name in files if name.lower().endswith(EXTENSIONS)]:
            count = "1 image lies" if len(images) == 1 else f"{len(images):,} images lie"
            notes.append(f"{count} directly in {place.name}/, in no class: not read")
    return tuple(notes), unread


def _refuse_file(path: Path) -> None:
    if zipfile.is_zipfile(path):
        raise BadInput(
            f"{str(path)!r} is a zip file: unpack it (python -m zipfile -e {path.name} DIR) and pass --data-dir DIR"
        )
    raise BadInput(f"there is no folder {str(path)!r}, but a file: give --data-dir a folder that holds {LAYOUT}")


def _refuse_half(root: Path, roles: dict[str, Path]) -> None:
    """Raises BadInput for a folder with only one of train/ and test/."""
    if "test" in roles:
        raise BadInput(f"there is no folder {str(root / 'train')!r}: a data folder holds {LAYOUT}")
    rename = f"rename {roles['validation'].name}/ to test/, or " if "validation" in roles else ""
    raise BadInput(
        f"there is no folder {str(root / 'test')!r}: {rename}give --data-dir {str(roles['train'])!r}, which the study"
        " then splits into training and test images"
    )


def _refuse_flat(root: Path) -> None:
    """Raises BadInput for a folder without folders."""
    if _has_image(root):
        raise BadInput(f"{str(root)!r} holds images but no folders of classes: a data folder holds {LAYOUT}")
    raise BadInput(f"there is no folder {str(root / 'train')!r}: a data folder holds {LAYOUT}")


def _sibling_test(train: Path) -> Path | None:
    """Return the folder of test images with classes beside train/, if there is one."""
    beside = _folders(train.resolve().parent)
    return next((folder for folder in beside if _role(folder.name) == "test" and _folders(folder)), None)


def _role(name: str) -> str | None:
    return next((role for role, names in _ROLES.items() if name.casefold() in names), None)


def _folders(place: Path) -> list[Path]:
    return [Path(entry.path) for entry in entries(place) if _is_folder(entry)]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError as error:
        raise BadInput(f"{entry.path!r} cannot be read ({error.strerror}): repair or remove it") from error


def _has_image(place: Path) -> bool:
    return any(entry.name.lower().endswith(EXTENSIONS) and not _is_folder(entry) for entry in entries(place))
