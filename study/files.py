"""Files that are written whole or not at all, and read back with an error that names them."""

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any
from uuid import uuid4


class DamagedFile(Exception):
    """A file cannot be read as what it should be; the message names it."""


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Calls `write` with a temporary file beside `path`, flushes it to the disk, and gives it its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    try:
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text."""
    write_atomically(path, lambda file: file.write(text.encode()))


def write_json(path: Path, value: Any) -> None:
    """Writes indented JSON in which a number that is not finite is null."""
    write_text(path, json.dumps(without_nan(value), indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Reads JSON. Raises DamagedFile if it is not JSON, FileNotFoundError if it is not there."""
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise DamagedFile(f"{path} is not readable as JSON: {error}") from error


def without_nan(value: Any) -> Any:
    """The same nested value with None in place of every float that is not finite."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
