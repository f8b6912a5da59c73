"""Image files: the pixels of each kind, the reason why another file is not one, and the limits on size."""

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from models.images import read_image
from models.images.reading import UnreadableImage
from tests.image_files import KINDS, twelve_bits
from tests.processes import HANGS_AFTER

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (32, 32, 3), dtype=np.uint8)
SMOOTH = (np.indices((32, 32)).sum(axis=0)[..., np.newaxis] * [4, 3, 2]).astype(np.uint8)
# Formats that lose some of the picture.
LOSSY = ("photo.jpg", "cmyk.jpg", "photo.jfif", "photo.avif", "frames.gif", "palette.png", "wrong-name.png")


def _over_white(picture: np.ndarray) -> np.ndarray:
    """The picture as tests/image_files.py makes it transparent: a third clear, a third half clear, on white."""
    opacity = np.array([0, 128, 255])[np.arange(32) * 3 // 32][np.newaxis, :, np.newaxis] / 255
    return picture * opacity + 255 * (1 - opacity)


def _grey(picture: np.ndarray) -> np.ndarray:
    return np.repeat(np.asarray(Image.fromarray(picture).convert("L"))[..., np.newaxis], 3, axis=2)


EXPECTED = {
    "rgb.png": SMOOTH,
    "photo.bmp": SMOOTH,
    "photo.ppm": SMOOTH,
    "photo.jp2": SMOOTH,
    "turned.jpg": np.rot90(SMOOTH, -1),
    "turned.webp": np.rot90(SMOOTH, -1),
    "turned-alpha.tif": np.rot90(_over_white(SMOOTH), -1),
    "alpha.png": _over_white(SMOOTH),
    "alpha.webp": _over_white(SMOOTH),
    "alpha.avif": _over_white(SMOOTH),
    "icon.ico": _over_white(SMOOTH),
    "grey-alpha.png": _over_white(_grey(SMOOTH)),
    "grey16.png": np.repeat(SMOOTH[..., 1:2], 3, axis=2),
    "grey16.tif": np.repeat(SMOOTH[..., 1:2], 3, axis=2),
} | dict.fromkeys(LOSSY, SMOOTH)


@pytest.mark.parametrize("kind", EXPECTED)
def test_each_kind_is_read_as_people_see_it(kind: str, tmp_path: Path) -> None:
    KINDS[kind](tmp_path / kind, SMOOTH)
    image = read_image(tmp_path / kind, bit_depth=12)
    assert image.dtype == np.uint8
    error = np.abs(image - EXPECTED[kind].astype(float))
    assert error.mean() < (6 if kind in (*LOSSY, "turned.jpg", "turned.webp", "alpha.webp", "alpha.avif") else 0.7)


@pytest.mark.parametrize("size", [8, 48, 224])
@pytest.mark.parametrize("kind", ["rgb.png", "alpha.png", "grey16.png", "turned.jpg"])
def test_each_kind_is_read_at_other_sizes(kind: str, size: int, tmp_path: Path) -> None:
    KINDS[kind](tmp_path / kind, SMOOTH)
    image = read_image(tmp_path / kind, bit_depth=12, image_size=size)
    expected = Image.fromarray(np.round(EXPECTED[kind]).astype(np.uint8)).resize(
        (size, size), Image.Resampling.BILINEAR
    )
    assert image.dtype == np.uint8
    assert np.abs(image - np.asarray(expected).astype(float)).mean() < (6 if kind == "turned.jpg" else 0.7)


def test_a_turned_picture_that_is_not_square(tmp_path: Path) -> None:
    upright = np.zeros((64, 32, 4), np.uint8)
    upright[:32] = (255, 0, 0, 255)
    upright[32:] = (0, 0, 255, 255)
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("turned.tif", "turned.png", "turned.webp"):
        Image.fromarray(np.ascontiguousarray(np.rot90(upright))).save(tmp_path / name, exif=exif, lossless=True)
        image = read_image(tmp_path / name)
        np.testing.assert_array_equal(image[:15], np.broadcast_to([255, 0, 0], (15, 32, 3)))
        np.testing.assert_array_equal(image[17:], np.broadcast_to([0, 0, 255], (15, 32, 3)))


# --- 16 bits


def test_16_bits_are_scaled_to_8(tmp_path: Path) -> None:
    values = RNG.integers(0, 65536, (32, 32)).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "x.png")
    np.testing.assert_array_equal(read_image(tmp_path / "x.png")[..., 0], np.round(values / 257))
    np.testing.assert_array_equal(read_image(tmp_path / "x.png"), read_image(tmp_path / "x.png", bit_depth=16))


def test_12_bits_in_16_fill_the_range(tmp_path: Path) -> None:
    values = np.arange(1024, dtype=np.uint16).reshape(32, 32) * 4
    values[-1, -1] = 4095
    Image.fromarray(values).save(tmp_path / "x.png")
    image = read_image(tmp_path / "x.png", bit_depth=12)
    np.testing.assert_array_equal(image[..., 2], np.round(values / 4095 * 255))
    assert read_image(tmp_path / "x.png").max() == 16, "without the depth it is nearly black"
    with pytest.raises(UnreadableImage, match="its values reach 4,095, which exceeds 11 bits"):
        read_image(tmp_path / "x.png", bit_depth=11)


def test_a_file_that_says_its_depth_is_scaled_by_it(tmp_path: Path) -> None:
    values = np.arange(1024).reshape(32, 32) * 4
    text = "P2\n32 32\n4095\n" + "\n".join(map(str, values.ravel()))
    (tmp_path / "text.pgm").write_text(text)
    (tmp_path / "raw.pgm").write_bytes(b"P5\n32 32\n4095\n" + values.astype(">u2").tobytes())
    (tmp_path / "packed.tif").write_bytes(_tiff_of_12_bits(values))
    for name in ("text.pgm", "raw.pgm", "packed.tif"):
        difference = read_image(tmp_path / name)[..., 0] - values * 255 / 4095
        assert np.abs(difference).max() <= 0.51, name


def _tiff_of_12_bits(values: np.ndarray) -> bytes:
    """A grey TIFF of 32x32 pixels with 12 bits each, two in three bytes."""
    first, second = values.ravel()[::2], values.ravel()[1::2]
    pixels = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=1).astype(np.uint8).tobytes()
    tags = ((256, 32), (257, 32), (258, 12), (259, 1), (262, 1), (273, 8), (277, 1), (278, 32), (279, len(pixels)))
    entries = b"".join(struct.pack("<HHII", tag, 4 if tag in (273, 279) else 3, 1, value) for tag, value in tags)
    return struct.pack("<2sHI", b"II", 42, 8 + len(pixels)) + pixels + struct.pack("<H", len(tags)) + entries + bytes(4)


def test_the_transparent_value_of_16_bits_is_white(tmp_path: Path) -> None:
    values = twelve_bits(SMOOTH)
    values[:8] = 65535  # beyond the 12 bits, as no value of the picture is
    Image.fromarray(values).save(tmp_path / "x.png", transparency=65535)
    image = read_image(tmp_path / "x.png", bit_depth=12)
    assert (image[:8] == 255).all()
    assert np.abs(image[8:, :, 0] - SMOOTH[8:, :, 1].astype(float)).max() <= 1


# --- metadata


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize("place", ["before the pixels", "after the pixels"])
@pytest.mark.parametrize("kind", ["iCCP", "zTXt", "iTXt", "tEXt", "wrong checksum"])
def test_metadata_never_decide(kind: str, place: str, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "PNG")
    much = zlib.compress(bytes(3_000_000))
    chunk = {
        "iCCP": _chunk(b"iCCP", b"profile\0\0" + much),
        "zTXt": _chunk(b"zTXt", b"text\0\0" + much),
        "iTXt": _chunk(b"iTXt", b"text\0\1\0\0\0" + much),
        "tEXt": _chunk(b"tEXt", b"text\0" + b"x" * 2_000_000) * 40,
        "wrong checksum": _chunk(b"tEXt", b"text\0x")[:-1] + b"?",
    }[kind]
    content = buffer.getvalue()
    cut = content.index(b"IDAT") - 4 if place == "before the pixels" else content.index(b"IEND") - 4
    (tmp_path / "x.png").write_bytes(content[:cut] + chunk + content[cut:])
    np.testing.assert_array_equal(read_image(tmp_path / "x.png"), PIXELS)


def test_a_megabyte_of_colour_profile_is_passed_over(tmp_path: Path) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("notes", "x" * 2_000_000, zip=True)
    profile = RNG.bytes(2_000_000)
    Image.fromarray(PIXELS).save(tmp_path / "x.png", icc_profile=profile, pnginfo=text)
    np.testing.assert_array_equal(read_image(tmp_path / "x.png"), PIXELS)


# --- what is no image


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100), "it is a HEIC image"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(100), "it is a HEIC image"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + bytes(100), "it is a film (MPEG-4)"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
            "it is a Git LFS pointer: `git lfs pull` ",
        ),
        (b"\n<!DOCTYPE html>\n<title>Not found</title>", "it is an HTML page"),
        (b"\xef\xbb\xbf<HTML>", "it is an HTML page"),
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "it is an SVG drawing"),
        (b"%PDF-1.7\n", "it is a PDF"),
        (b"PK\3\4" + bytes(30), "it is a zip file"),
        (b"8BPS\0\1" + bytes(30), "it is a Photoshop file"),
        (bytes(128) + b"DICM" + bytes(30), "it is a DICOM image"),
        (bytes(5000), "it is nothing but zero bytes"),
        ("Grüße".encode(), "it is text"),
        (b"\x81\x02\x03\x04" * 9, "it is of no known kind"),
        (b"\x89PNG\r\n\x1a\n" + b"?" * 60, "it is a PNG image, but damaged"),
        (b"\xff\xd8\xff\xe0" + b"?" * 60, "it is a JPEG image, but damaged"),
    ],
    ids=lambda value: value[6:30] if isinstance(value, str) else "",
)
def test_a_file_that_is_no_image_is_called_what_it_is(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(content)
    with pytest.raises(UnreadableImage) as caught:
        read_image(path)
    assert str(caught.value).startswith(f"'{path}' is not a readable image ({reason}")
    assert str(caught.value).endswith("): remove or replace it")


def test_a_path_that_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage, match="it is a folder"):
        read_image(tmp_path)
    with pytest.raises(UnreadableImage, match="it is not a file"):
        read_image("/dev/null")
    with pytest.raises(UnreadableImage, match="No such file or directory"):
        read_image(tmp_path / "x.png")


# --- large images

_READ = """
import resource, sys
from models.images import read_image
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
image = read_image(sys.argv[1])
print(image[4, 4].tolist(), image[-4, -4].tolist(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize(("width", "height", "mode"), [(12_000, 9_000, "RGB"), (16_384, 12_288, "L")])
def test_a_photograph_of_a_hundred_megapixels_takes_little_memory(
    width: int, height: int, mode: str, tmp_path: Path
) -> None:
    image = Image.new(mode, (width, height), "black")
    image.paste("white", (0, 0, width, height // 2))
    image.save(tmp_path / "x.jpg")
    del image
    command = [sys.executable, "-c", _READ, str(tmp_path / "x.jpg")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=HANGS_AFTER)
    top, bottom, kilobytes = eval(done.stdout.replace("] ", "], "))
    assert np.abs(np.array([top, bottom]) - [[255] * 3, [0] * 3]).max() <= 2
    assert kilobytes < 150_000
    assert done.stderr == "", "no warning of Pillow"


def test_the_limits_on_size(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", 12_000, 9_000, 8, 2, 0, 0, 0)
    (tmp_path / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", b""))
    with pytest.raises(UnreadableImage, match="it has 108 megapixels, over the limit of 89: scale it down"):
        read_image(tmp_path / "x.png")
    Image.new("L", (16, 16)).save(tmp_path / "x.jpg")
    content = (tmp_path / "x.jpg").read_bytes()
    place = content.index(b"\xff\xc0") + 5
    (tmp_path / "x.jpg").write_bytes(content[:place] + struct.pack(">HH", 60_000, 60_000) + content[place + 4 :])
    with pytest.raises(UnreadableImage, match="it has 3,600 megapixels, over the limit of 268: scale it down"):
        read_image(tmp_path / "x.jpg")
