"""Writes files whole or not at all, and reads them with an error that names the file."""

import hashlib
import io
import json
import math
import os
import shutil
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

import numpy as np
import pandas as pd
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

CHECKSUMS = "SHA256SUMS"


class DamagedFile(Exception):
    """Says in one line which file is damaged or missing, and how."""


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Calls `write` with a temporary file beside `path`, flushes it to the disk, and renames it to `path`."""
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


def write_bytes(path: Path, content: bytes) -> None:
    """Writes bytes."""
    write_atomically(path, lambda file: file.write(content))


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Writes the value as `json_text` formats it."""
    write_text(path, json_text(value))


def json_text(value: Any) -> str:
    """Formats a value as indented JSON. A number that is not finite becomes null."""
    return json.dumps(without_nan(value), indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def read_json(path: Path, *, verified: bool = False) -> Any:
    """Reads JSON.

    Args:
        path: the file, which is read once.
        verified: true if its checksum must be the one in SHA256SUMS beside it.

    Raises:
        DamagedFile: if it is not JSON, or `verified` and missing or changed.
        FileNotFoundError: if it is missing and not `verified`.
    """
    content = _read_verified(path) if verified else path.read_bytes()
    try:
        return json.loads(content)
    except ValueError as error:
        raise DamagedFile(f"{path} is not readable as JSON: {error}") from error


def without_nan(value: Any) -> Any:
    """Returns the nested value with None in place of every float that is not finite."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


@contextmanager
def appearing_whole(path: Path) -> Iterator[Path]:
    """Yields a temporary folder. It replaces `path` at the end of the block, or is removed if the block fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    temporary.mkdir()
    try:
        yield temporary
        if path.exists():
            shutil.rmtree(path)
        temporary.rename(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def remove_temporaries(folder: Path) -> None:
    """Removes the temporary files of killed writers anywhere below the folder. No process may be writing there."""
    for path in sorted(folder.rglob(".*.tmp")):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def write_checksums(folder: Path, *names: str) -> None:
    """Adds the SHA-256 of files in the folder to SHA256SUMS there, which `sha256sum --check` reads."""
    sums = _checksums(folder) | {name: _sha256(folder / name) for name in names}
    write_text(folder / CHECKSUMS, "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items())))


def verify(path: Path) -> None:
    """Compares a file, large or small, with SHA256SUMS beside it. Raises DamagedFile if it is missing or changed."""
    _check_is_file(path)
    _compare(path, _sha256(path))


def _read_verified(path: Path) -> bytes:
    """Reads a small file once and verifies what it read."""
    _check_is_file(path)
    content = path.read_bytes()
    _compare(path, hashlib.sha256(content).hexdigest())
    return content


def _check_is_file(path: Path) -> None:
    if not path.is_file():
        raise DamagedFile(f"{path} is missing")


def _compare(path: Path, digest: str) -> None:
    if _checksums(path.parent).get(path.name) != digest:
        raise DamagedFile(f"{path} is damaged: its checksum is not the one in {CHECKSUMS}")


def _checksums(folder: Path) -> dict[str, str]:
    path = folder / CHECKSUMS
    lines = path.read_text(errors="replace").splitlines() if path.is_file() else []
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Writes a table without its index."""
    write_atomically(path, lambda file: file.write(csv_bytes(table)))


def csv_bytes(table: pd.DataFrame) -> bytes:
    """Returns the bytes that `write_csv` writes."""
    return table.to_csv(index=False).encode()


def read_csv(
    path: Path,
    columns: Sequence[str],
    optional: Sequence[str] = (),
    texts: Collection[str] = (),
) -> pd.DataFrame | None:
    """Reads a table; None if there is no file. An optional column that is missing has no values.

    Args:
        path: the file.
        columns: the names of columns that it must have, and of optional ones.
        optional: the names of columns that may be missing.
        texts: the names of columns whose cells stay text, whatever they look like: "None" is no missing value.

    Raises:
        DamagedFile: if it is not a table, or if it lacks one of the other columns.
    """
    if not path.exists():
        return None
    try:
        # Opened here, because pandas would take a `~` at the start of the path for the user's home.
        with path.open("rb") as file:
            content = file.read()
        table = pd.read_csv(io.BytesIO(content))
        if texts:
            kept = pd.read_csv(io.BytesIO(content), usecols=texts.__contains__, dtype=str, keep_default_na=False)
            table = table.assign(**{str(name): kept[name] for name in kept})
    except ValueError as error:
        raise DamagedFile(f"{path} is not readable as a table: {error}") from error
    if missing := set(columns) - set(table.columns) - set(optional):
        raise DamagedFile(f"{path} lacks the columns {', '.join(sorted(missing))}")
    return table.assign(**{name: np.nan for name in optional if name not in table.columns})


def write_npz(path: Path, **arrays: np.ndarray) -> None:
    """Writes arrays by name."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    write_atomically(path, lambda file: file.write(buffer.getbuffer()))


def read_npz(path: Path, names: Sequence[str], optional: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """Reads the arrays of these names, and the optional ones that are there, without unpickling. Raises DamagedFile."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in (*names, *(name for name in optional if name in file))}
    except (OSError, ValueError, KeyError, EOFError, RuntimeError, zlib.error, zipfile.BadZipFile) as error:
        raise DamagedFile(f"{path} is not readable as arrays {', '.join(names)}: {error}") from error


def write_safetensors(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Writes weights by name."""
    write_atomically(path, lambda file: file.write(save(arrays)))


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Reads weights by name. Raises DamagedFile."""
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise DamagedFile(f"{path} is not readable as weights: {error}") from error
