"""Reads an image file into the array that the networks take.

The study, `fairverdict predict` and the code in docs/use-the-winner.md all read with `read_image`, so that a network
sees each image as it saw the images that it was trained on.
"""

import io
import os
import stat
import struct
from contextlib import suppress
from typing import IO

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from models.data import IMAGE_SIZE
from models.images.kinds import FORMATS, HEAD_BYTES, READABLE, kind_of
from models.images.pixels import FULL_DEPTH, ReadImage, Unsuitable, to_pixels

_PNG = b"\x89PNG\r\n\x1a\n"
# The chunks of a PNG that hold colour profiles and text.
_PNG_METADATA = (b"iCCP", b"tEXt", b"zTXt", b"iTXt")


class UnreadableImage(ValueError):
    """Says in one line which file is not a readable image, and why.

    Attributes:
        path: the file.
        reason: why, as a part of a sentence.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path!r} is not a readable image ({reason}): remove or replace it")
        self.path, self.reason = path, reason


def read_image(path: str | os.PathLike[str], bit_depth: int | None = None, image_size: int = IMAGE_SIZE) -> np.ndarray:
    """Read an image file as square RGB: orientation applied, transparency on white, the central square scaled.

    The first frame of an animation is read. The pixels of an RGB image of the wanted size stay as they are.

    Args:
        path: a file of one of the formats in models/images/kinds.py, whatever its name ends with.
        bit_depth: bits of the values in 16-bit grey images, 8 to 16 (None: 16). If a study's images have fewer bits,
            the number is `bit_depth` in its study.json.
        image_size: pixels of a side of the result; `image_size` in the study.json.

    Returns:
        The pixels, uint8 [image_size, image_size, 3].

    Raises:
        UnreadableImage: if the file is not a readable image.
    """
    return read(os.fspath(path), bit_depth, image_size).pixels


def read(path: str, bit_depth: int | None = None, image_size: int = IMAGE_SIZE) -> ReadImage:
    """Read an image as `read_image` does, and also return the largest value of a 16-bit image."""
    head = b""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise Unsuitable("it is a folder" if os.path.isdir(path) else "it is not a file")
        with open(path, "rb") as file:
            head = file.read(HEAD_BYTES)
            return _decode(file, bit_depth or FULL_DEPTH, image_size)
    except Exception as error:  # Pillow's plug-ins raise any exception on a damaged file
        raise UnreadableImage(path, _reason(error, head)) from error


def _reason(error: Exception, head: bytes) -> str:
    if isinstance(error, Unsuitable):
        return str(error)
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    if isinstance(error, MemoryError):
        return "there is not enough memory to read it"
    kind = kind_of(head)
    if isinstance(error, UnidentifiedImageError):
        return f"it is {kind}, but damaged" if kind in READABLE else f"it is {kind}"
    return f"it is {kind}, but damaged: {' '.join(str(error).split()) or type(error).__name__}"


def _decode(file: IO[bytes], bit_depth: int, size: int) -> ReadImage:
    """Decode a file. If that fails, decode it without its colour profile and texts, which Pillow refuses if large."""
    try:
        return to_pixels(_open(file), bit_depth, size)
    except Unsuitable:
        raise
    except Exception:
        bare = _without_metadata(file)
        if bare is None:
            raise
        return to_pixels(_open(bare), bit_depth, size)


def _open(file: IO[bytes]) -> ImageFile.ImageFile:
    """Open an image as Image.open does, but without its limit on the size, which is one for the whole program.

    Raises:
        UnidentifiedImageError: if it has none of FORMATS.
    """
    Image.init()
    file.seek(0)
    prefix = file.read(16)
    for name in FORMATS:
        factory, accept = Image.OPEN[name]
        if accept is None or accept(prefix) is True:
            file.seek(0)
            with suppress(SyntaxError, IndexError, TypeError, struct.error):
                return factory(file, "")
    raise UnidentifiedImageError


def _without_metadata(file: IO[bytes]) -> io.BytesIO | None:
    """Return a PNG without its colour profile and texts; None if the file is no PNG or has none."""
    file.seek(0)
    if file.read(len(_PNG)) != _PNG:
        return None
    bare, is_changed = io.BytesIO(), False
    bare.write(_PNG)
    while len(head := file.read(8)) == 8:
        length, name = struct.unpack(">I4s", head)
        if name in _PNG_METADATA:
            file.seek(length + 4, os.SEEK_CUR)
            is_changed = True
        else:
            bare.write(head + file.read(length + 4))
    return bare if is_changed else None
