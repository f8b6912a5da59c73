"""Turns an image into the square RGB pixels that the networks take."""

import threading
from contextlib import nullcontext
from functools import cache
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageFile, ImageOps, JpegImagePlugin

# The bits of a 16-bit image's values, unless the image or the user says that they have fewer.
FULL_DEPTH = 16
# At most this many pixels, because the header of a damaged or malicious file may claim any number.
MOST_PIXELS = 89_478_485
# At most this many pixels of a JPEG, which is decoded at up to an eighth of its size if it has over MOST_PIXELS.
MOST_PIXELS_OF_JPEG = 2**28
# An image in a report has at most this many pixels a side, because all images are in its one file.
MOST_SHOWN_SIZE = 96
# An image of over this many pixels is decoded while no other such image is, because it may take over a gigabyte.
_LARGE = 50_000_000
_ALONE = threading.Lock()
# A JPEG of reduced size keeps at least 8 times the wanted pixels a side, so that scaling it further down averages.
_DRAFT = 8
_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_BITS_PER_SAMPLE = 258


class Unsuitable(ValueError):
    """Says why a sound image cannot be used."""


class ReadImage(NamedTuple):
    """Holds the pixels of an image.

    Attributes:
        pixels: uint8 [size, size, 3].
        largest: the largest value of a 16-bit image that does not say how many bits its values have; else None.
    """

    pixels: np.ndarray
    largest: int | None


def scale(image: Image.Image, size: int) -> np.ndarray:
    """Scale the central square of an image to uint8 [size, size, 3]. An RGB image of that size stays as it is."""
    return np.asarray(ImageOps.fit(image.convert("RGB"), (size, size), Image.Resampling.BILINEAR))


def scale_all(images: np.ndarray, size: int) -> np.ndarray:
    """Scale images uint8 [n, height, width] or [n, height, width, 1 or 3] to uint8 [n, size, size, 3], as `scale`."""
    if images.shape[1:] == (size, size, 3):
        return images
    if images.ndim == 4 and images.shape[3] == 1:
        images = images[..., 0]
    scaled = np.empty((len(images), size, size, 3), np.uint8)
    for index, image in enumerate(images):
        scaled[index] = scale(Image.fromarray(image), size)
    return scaled


def to_pixels(image: ImageFile.ImageFile, bit_depth: int, size: int) -> ReadImage:
    """Decode an opened image and turn it into square RGB pixels.

    Args:
        image: the image, not yet decoded.
        bit_depth: bits of the values in a 16-bit grey image that does not say so itself, 8 to 16.
        size: pixels of a side of the result.

    Raises:
        Unsuitable: if it is too large, or its pixels have no known range.
        Exception: if it is damaged.
    """
    _check_size(image, _DRAFT * size)
    own_depth = _own_depth(image)
    is_tiff = image.format == "TIFF"
    with _ALONE if image.width * image.height > _LARGE else nullcontext():
        image.load()
        upright = _upright(image)
        largest = None
        if upright.mode == "F" or (upright.mode == "I" and is_tiff):
            raise Unsuitable("signed, 32-bit and floating-point pixels have no fixed range")
        if upright.mode.startswith("I"):
            rgb, largest = _from_16_bits(upright, own_depth or bit_depth)
        elif upright.has_transparency_data:
            colours = upright.convert("RGBA")
            rgb = Image.alpha_composite(Image.new("RGBA", colours.size, "white"), colours).convert("RGB")
        else:
            rgb = upright.convert("RGB")
        pixels = scale(rgb, size)
    return ReadImage(pixels, largest if own_depth is None else None)


def _check_size(image: ImageFile.ImageFile, least: int) -> None:
    """Reduce a JPEG of over MOST_PIXELS while it is decoded, to at least `least` pixels a side.

    Raises Unsuitable if an image is too large.
    """
    size = image.width * image.height
    is_jpeg = isinstance(image, JpegImagePlugin.JpegImageFile)
    if size > (most := MOST_PIXELS_OF_JPEG if is_jpeg else MOST_PIXELS):
        raise Unsuitable(f"it has {size / 1e6:,.0f} megapixels, over the limit of {most / 1e6:.0f}: scale it down")
    if size > MOST_PIXELS:
        image.draft(None, (least, least))


def _own_depth(image: ImageFile.ImageFile) -> int | None:
    """Return the bits of the values that Pillow gives, if the image says it; None if it just has 16."""
    if image.format == "TIFF":
        (bits, *_) = image.tag_v2.get(_BITS_PER_SAMPLE, (FULL_DEPTH,))  # type: ignore[attr-defined]
        return int(bits) if bits < FULL_DEPTH else None
    # Pillow stretches values whose maximum is in the header. An image that is decoded already has no tile.
    is_stretched = image.format == "PPM" and any(tile.codec_name != "raw" for tile in image.tile)
    return FULL_DEPTH if is_stretched else None


def _upright(image: Image.Image) -> Image.Image:
    """Turn an image as its metadata say. Damaged metadata say nothing."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # the parsers of EXIF and XMP raise any exception
        return image
    method = _TRANSPOSITIONS.get(orientation) if isinstance(orientation, int) else None
    return image if method is None else image.transpose(method)


def _from_16_bits(image: Image.Image, bit_depth: int) -> tuple[Image.Image, int]:
    """Scale grey values of this many bits to 8 bits, the transparent value to white. Return the largest value too."""
    values = np.asarray(image)
    clear = values == key if isinstance(key := image.info.get("transparency"), int) else None
    if clear is not None:
        values = np.where(clear, 0, values)
    largest = int(values.max())
    if values.min() < 0 or largest >= 2**bit_depth:
        raise Unsuitable(f"its values reach {largest:,}, which exceeds {bit_depth} bits")
    grey = _scale(bit_depth)[values]
    if clear is not None:
        grey[clear] = 255
    return Image.fromarray(grey).convert("RGB"), largest


@cache
def _scale(bit_depth: int) -> np.ndarray:
    """Return the 8-bit value of each value of this many bits, uint8 [2**bit_depth]."""
    most = 2**bit_depth - 1
    scaled: np.ndarray = np.round(np.arange(most + 1) * 255 / most).astype(np.uint8)
    return scaled
