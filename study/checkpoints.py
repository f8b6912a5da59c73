"""Checkpoints of training runs: one a run, on any storage that every node can reach."""

import io
import zlib
from typing import Any

import torch
from pyarrow import fs

from study.errors import StorageFailed
from study.files import DamagedFile

_MAGIC = b"netverdict checkpoint 1\n"


class CheckpointStore:
    """Keeps the newest state of each run, replaced as a whole.

    Args:
        uri: a folder's absolute path, or a URI that pyarrow understands, such as s3://bucket/folder?region=eu-west-1.
        within: relative path that keeps the runs of one study apart from others in the same place.

    Raises:
        ValueError: if it is neither.
    """

    def __init__(self, uri: str, within: str = "") -> None:
        try:
            fs.FileSystem.from_uri(uri)
        except (OSError, ValueError) as error:
            raise ValueError(f"{uri!r} is neither an absolute path nor a storage URI: {error}") from error
        self._uri = uri
        self._within = within

    def save(self, run: str, state: dict[str, Any]) -> None:
        """Replaces the checkpoint of the run of this name, a relative path. Raises StorageFailed if it cannot."""
        buffer = io.BytesIO()
        torch.save(state, buffer)
        payload = buffer.getbuffer()
        filesystem, path = self._locate(run)
        # An object store shows an object once it is complete; a file system needs the rename.
        local = isinstance(filesystem, fs.LocalFileSystem)
        target = f"{path}.tmp" if local else path
        try:
            filesystem.create_dir(path.rpartition("/")[0], recursive=True)
            with filesystem.open_output_stream(target) as file:
                file.write(_MAGIC + zlib.crc32(payload).to_bytes(4, "big"))
                file.write(payload)
            if local:
                filesystem.move(target, path)
        except OSError as error:
            raise StorageFailed(f"the checkpoint {path} cannot be written: {error}") from error

    def load(self, run: str) -> dict[str, Any] | None:
        """The newest state of the run, or None if there is none. Raises DamagedFile, which names the file."""
        filesystem, path = self._locate(run)
        try:
            with filesystem.open_input_stream(path) as file:
                content = file.read()
        except FileNotFoundError:
            return None
        head, checksum, payload = content[: len(_MAGIC)], content[len(_MAGIC) :][:4], content[len(_MAGIC) + 4 :]
        if head != _MAGIC or zlib.crc32(payload).to_bytes(4, "big") != checksum:
            raise DamagedFile(f"the checkpoint {path} is damaged")
        return dict(torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True))

    def delete(self, run: str) -> None:
        """Removes the checkpoint of the run, if there is one."""
        filesystem, path = self._locate(run)
        if filesystem.get_file_info(path).type == fs.FileType.File:
            filesystem.delete_file(path)

    def _locate(self, run: str) -> tuple[fs.FileSystem, str]:
        filesystem, root = fs.FileSystem.from_uri(self._uri)
        return filesystem, "/".join(part for part in (root.rstrip("/"), self._within, f"{run}.pt") if part)
