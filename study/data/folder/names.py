"""The names of classes: their order, which ones are refused, and which files and folders are the system's own."""

import re
import unicodedata
from collections.abc import Iterable, Sequence

from study.errors import BadInput

# Control characters, lone surrogates (bytes that are not text) and separators of lines and paragraphs.
_CONTROLS = {"Cc", "Cs", "Zl", "Zp"}
# Marks that make a terminal show a text in another order than it is stored.
_REORDERING = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# Folders that operating systems, NAS devices and archives add by themselves. They hold no images of the user's own.
_SYSTEM = {"@eadir", "__macosx", "$recycle.bin", "system volume information", "lost+found"}
SHOWN = 5


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is hidden or the system's own, so that it is never an image or a class."""
    return name.startswith(".") or name.casefold() in _SYSTEM


def is_text(name: str) -> bool:
    """Return whether people may have written this name: letters of any script, emoji, but no control characters."""
    return not any(unicodedata.category(sign) in _CONTROLS or sign in _REORDERING for sign in name)


def natural_order(names: Iterable[str]) -> list[str]:
    """Sort names, and numbers in them by their value: 2 comes before 10."""
    return sorted(names, key=lambda name: ([_number_or_text(part) for part in re.split(r"(\d+)", name)], name))


def _number_or_text(part: str) -> tuple[int, str]:
    return (int(part), "") if part.isdecimal() else (-1, part)


def check_class_names(names: Sequence[str], where: str) -> None:
    """Raises BadInput if a name has control characters, or two names differ only in case, normalisation or spaces.

    Args:
        where: the folder of the classes, for the error line.
    """
    alike: dict[str, str] = {}
    for name in names:
        if not is_text(name) or not name.strip():
            raise BadInput(f"the class name {name!r} in {where!r} is not printable text: rename the folder")
        other = alike.setdefault(_likeness(name), name)
        if other is not name:
            raise BadInput(
                f"{difference(other, name)} in {where!r}: give both the same name, or clearly different ones"
            )


def difference(first: str, second: str) -> str:
    """Say that two class names differ only in case, Unicode normalisation or spaces, and show both."""
    if normal(first) == normal(second):
        return f"the class names {first!a} and {second!a} differ only in Unicode normalisation"
    if normal(first).casefold() == normal(second).casefold():
        return f"the class names {first!r} and {second!r} differ only in case"
    return f"the class names {first!a} and {second!a} differ only in spaces and case"


def are_alike(first: str, second: str) -> bool:
    """Return whether two names differ at most in case, Unicode normalisation and spaces."""
    return _likeness(first) == _likeness(second)


def _likeness(name: str) -> str:
    return "".join(normal(name).casefold().split())


def normal(name: str) -> str:
    """Return the name in Unicode's form NFC, in which names of train and test are compared."""
    return unicodedata.normalize("NFC", name)


def listed(names: Sequence[str], shown: int = SHOWN) -> str:
    """Return the first names in quotes, and the number of further names."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(map(repr, names[:shown])) + more
