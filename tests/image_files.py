"""Writes one picture as each kind of file that people have."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

Write = Callable[[Path, np.ndarray], None]


def _rgb(picture: np.ndarray) -> Image.Image:
    return Image.fromarray(picture)


def _clear(picture: np.ndarray) -> np.ndarray:
    """Opacity of each pixel: the left third is clear, the middle half clear."""
    columns = np.arange(picture.shape[1]) * 3 // picture.shape[1]
    return np.broadcast_to(np.array([0, 128, 255], np.uint8)[columns], picture.shape[:2])


def _rgba(picture: np.ndarray) -> Image.Image:
    return Image.fromarray(np.dstack([picture, _clear(picture)]))


def twelve_bits(picture: np.ndarray) -> np.ndarray:
    """The green channel as values of 12 bits in 16."""
    return picture[..., 1].astype(np.uint16) * 16


def _turned(kind: str, mode: str = "RGB") -> Write:
    def write(path: Path, picture: np.ndarray) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        image = _rgb(picture) if mode == "RGB" else _rgba(picture)
        image.save(path, kind, exif=exif)

    return write


def _film(path: Path, picture: np.ndarray) -> None:
    frames = [_rgb(np.ascontiguousarray(part)) for part in (picture, picture[::-1])]
    frames[0].save(path, "GIF", save_all=True, append_images=frames[1:])


KINDS: dict[str, Write] = {
    "rgb.png": lambda path, picture: _rgb(picture).save(path),
    "alpha.png": lambda path, picture: _rgba(picture).save(path),
    "grey-alpha.png": lambda path, picture: _rgba(picture).convert("LA").save(path),
    "grey16.png": lambda path, picture: Image.fromarray(twelve_bits(picture)).save(path),
    "grey16-clear.png": lambda path, picture: Image.fromarray(twelve_bits(picture)).save(
        path, transparency=int(twelve_bits(picture)[0, 0])
    ),
    "grey16.tif": lambda path, picture: Image.fromarray(twelve_bits(picture)).save(path),
    "palette.png": lambda path, picture: _rgb(picture).quantize(30).save(path),
    "palette-clear.png": lambda path, picture: _rgb(picture).quantize(30).save(path, transparency=4),
    "black-and-white.png": lambda path, picture: _rgb(picture).convert("1").save(path),
    "photo.jpg": lambda path, picture: _rgb(picture).save(path),
    "cmyk.jpg": lambda path, picture: _rgb(picture).convert("CMYK").save(path),
    "turned.jpg": _turned("JPEG"),
    "turned.webp": _turned("WEBP"),
    "turned-alpha.tif": _turned("TIFF", "RGBA"),
    "photo.jfif": lambda path, picture: _rgb(picture).save(path, "JPEG"),
    "frames.gif": _film,
    "photo.avif": lambda path, picture: _rgb(picture).save(path),
    "alpha.avif": lambda path, picture: _rgba(picture).save(path),
    "photo.jp2": lambda path, picture: _rgb(picture).save(path),
    "alpha.webp": lambda path, picture: _rgba(picture).save(path),
    "icon.ico": lambda path, picture: _rgba(picture).save(path, sizes=[picture.shape[1::-1]]),
    "photo.bmp": lambda path, picture: _rgb(picture).save(path),
    "photo.ppm": lambda path, picture: _rgb(picture).save(path),
    "wrong-name.png": lambda path, picture: _rgb(picture).save(path, "JPEG"),
}
