"""Folders of images: what becomes of each kind of file, what is refused, and what is kept for the next time."""

import io
import os
import struct
import sys
import time
import zlib
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import ImageFolder

from study.data import decoding, image_cache
from study.data.folder.layout import find_layout
from study.data.image_folder import load_image_folder
from study.errors import BadInput

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (32, 32, 3), dtype=np.uint8)
GREY = PIXELS[..., 0]
GREY_RGB = np.repeat(GREY[..., np.newaxis], 3, axis=2)
# Left half opaque, right half clear.
ALPHA = np.repeat(np.where(np.arange(32) < 16, 255, 0).astype(np.uint8)[np.newaxis], 32, axis=0)
OVER_WHITE = np.where(ALPHA[..., np.newaxis] == 255, PIXELS, 255)
GREY_OVER_WHITE = np.where(ALPHA[..., np.newaxis] == 255, GREY_RGB, 255)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "fairverdict" / "folder"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes with an image each in train and in test."""
    return _make(tmp_path / "pets", ("cat", "dog"), ("cat", "dog"))


def _make(root: Path, train: tuple[str, ...], test: tuple[str, ...]) -> Path:
    for part, classes in (("train", train), ("test", test)):
        (root / part).mkdir(parents=True)
        for value, name in enumerate(classes):
            (root / part / name).mkdir()
            Image.new("RGB", (32, 32), (value, value, value)).save(root / part / name / "image.png")
    return root


def test_test_images_keep_the_names_of_their_files(root: Path) -> None:
    assert load_image_folder(root).test_files == ("cat/image.png", "dog/image.png")


@pytest.mark.parametrize("target", [".", "..", "../dog/back"])
def test_a_link_that_leads_round_in_a_circle_is_refused(root: Path, target: str) -> None:
    (root / "train/dog/back").symlink_to("../cat")
    (root / "train/cat/again").symlink_to(target)
    with pytest.raises(BadInput, match="leads to a folder that it lies in"):
        load_image_folder(root)


def _load_one(root: Path, name: str) -> np.ndarray:
    """The pixels [32, 32, 3] of the image `name`, written to train/cat by the test, as loaded."""
    (root / "train" / "cat" / "image.png").unlink()
    data = load_image_folder(root)
    assert len(data.train) == 2, f"{name} is to be the one image of its class"
    image: np.ndarray = data.train.images[0]
    return image


# --- the data set


def test_the_images_are_those_that_torchvision_finds_in_its_order(tmp_path: Path) -> None:
    root = tmp_path / "pets"
    names = ("b.png", "a.PNG", "c.jpeg", "sub/z.bmp", "sub/a.png", "a sub/deep/b.png")
    for number, (part, kind, name) in enumerate(product(("train", "test"), ("cat", "dog"), names)):
        path = root / part / kind / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), (8 * number, 8 * number, 8 * number)).save(path)
    (root / "train/cat/notes.txt").write_text("no image")
    (root / "train/cat/more").symlink_to(root / "train/dog")
    dataset = load_image_folder(root)
    for part, images in (("train", dataset.train), ("test", dataset.test)):
        found = ImageFolder(str(root / part))
        assert images.labels.tolist() == found.targets
        expected = [np.asarray(image)[0, 0, 0] for image, _ in found]
        assert images.images[:, 0, 0, 0].tolist() == pytest.approx(expected, abs=1)


def test_classes_labels_and_order(tmp_path: Path) -> None:
    root = _make(tmp_path / "pets", ("dog", "cat", "Ape"), ("Ape", "cat", "dog"))
    for index in range(3):
        Image.fromarray(np.full((32, 32, 3), 100 + index, dtype=np.uint8)).save(root / f"train/dog/{index}.png")
    data = load_image_folder(root)
    assert (data.title, data.classes) == ("pets", ("Ape", "cat", "dog"))
    assert data.train.labels.tolist() == [0, 1, 2, 2, 2, 2]
    assert data.train.images[:, 5, 5, 1].tolist() == [2, 1, 100, 101, 102, 0]
    assert data.test.labels.tolist() == [0, 1, 2]
    assert data.test.images[:, 5, 5, 1].tolist() == [0, 1, 2]


def test_more_images_than_one_task_keep_their_order(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "IMAGES_PER_TASK", 3)
    (root / "train/cat/image.png").unlink()
    for index in range(20):
        Image.new("RGB", (32, 32), (index, 0, 0)).save(root / f"train/cat/{index:02}.png")
    assert load_image_folder(root).train.images[:20, 0, 0, 0].tolist() == list(range(20))


@pytest.mark.parametrize("title", ["~", "[red] name's", "Tiere äöü 猫", " ", "100%{x}"])
def test_odd_names(tmp_path: Path, title: str, monkeypatch: pytest.MonkeyPatch) -> None:
    classes = ("katze-ü", "猫 [bold]")
    _make(tmp_path / title, classes, classes)
    Image.new("RGB", (32, 32)).save(tmp_path / title / "train" / classes[1] / "a\nb #?%20.PNG")
    monkeypatch.chdir(tmp_path)
    data = load_image_folder(Path(title))
    assert (data.title, data.classes, len(data.train)) == (title, classes, 3)
    monkeypatch.chdir(title)
    assert load_image_folder(Path()).title == title


def test_file_names_need_not_be_text(root: Path) -> None:
    name = os.fsdecode(b"\xff\xfe.png")
    Image.new("RGB", (32, 32)).save(root / "train" / "cat" / name)
    assert len(load_image_folder(root).train) == 3


def test_other_files_are_ignored_and_folders_in_classes_are_read(root: Path) -> None:
    (root / "train/cat/notes.txt").write_text("no image")
    (root / "train/cat/.DS_Store").write_bytes(b"\0")
    (root / "train/README.md").write_text("no class")
    (root / "train/cat/more").mkdir()
    Image.new("RGB", (32, 32)).save(root / "train/cat/more/x.png")
    assert load_image_folder(root).train.labels.tolist() == [0, 0, 1]


# --- kinds of images


@pytest.mark.parametrize(
    ("name", "image", "expected"),
    [
        ("colour.png", Image.fromarray(PIXELS), PIXELS),
        ("colour.bmp", Image.fromarray(PIXELS), PIXELS),
        ("colour.tif", Image.fromarray(PIXELS), PIXELS),
        ("colour.ppm", Image.fromarray(PIXELS), PIXELS),
        ("grey.png", Image.fromarray(GREY), GREY_RGB),
        ("grey.pgm", Image.fromarray(GREY), GREY_RGB),
        ("black-and-white.png", Image.fromarray(GREY > 127), np.where(GREY_RGB > 127, 255, 0)),
        ("grey16.png", Image.fromarray(GREY.astype(np.uint16) * 257), GREY_RGB),
        ("grey16.tif", Image.fromarray(GREY.astype(np.uint16) * 257), GREY_RGB),
        ("grey16-big-endian.tif", Image.fromarray(GREY.astype(">u2") * np.array(257, ">u2")), GREY_RGB),
        ("grey16.pgm", Image.fromarray(GREY.astype(np.int32) * 257), GREY_RGB),
        ("grey-alpha.png", Image.fromarray(np.dstack([GREY, ALPHA])), GREY_OVER_WHITE),
        ("alpha.png", Image.fromarray(np.dstack([PIXELS, ALPHA])), OVER_WHITE),
        ("alpha.webp", Image.fromarray(np.dstack([PIXELS, ALPHA])), OVER_WHITE),
        ("opaque.png", Image.fromarray(np.dstack([PIXELS, np.full_like(ALPHA, 255)])), PIXELS),
        ("cmyk.tif", Image.fromarray(np.dstack([255 - PIXELS, np.zeros_like(ALPHA)]), mode="CMYK"), PIXELS),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_kinds(root: Path, name: str, image: Image.Image, expected: np.ndarray) -> None:
    lossless = name.endswith(".webp")
    image.save(root / "train" / "cat" / name, lossless=lossless, exact=lossless)
    np.testing.assert_array_equal(_load_one(root, name), expected)


def test_half_clear_pixels_are_mixed_with_white(root: Path) -> None:
    Image.new("RGBA", (40, 40), (200, 0, 100, 128)).save(root / "train/cat/half.png")
    assert np.abs(_load_one(root, "half.png") - np.array([227.0, 127.0, 177.0])).max() <= 1


def test_palette(root: Path) -> None:
    palette = Image.fromarray(ALPHA // 255).convert("P")
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.save(root / "train/cat/palette.png")
    expected = np.where(ALPHA[..., np.newaxis] == 255, [40, 50, 60], [10, 20, 30])
    np.testing.assert_array_equal(_load_one(root, "palette.png"), expected)


@pytest.mark.parametrize("transparency", [0, b"\x00\xff"], ids=["index", "table"])
def test_palette_with_transparency(root: Path, transparency: int | bytes) -> None:
    palette = Image.fromarray(ALPHA // 255).convert("P")
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.save(root / "train/cat/palette.png", transparency=transparency)
    expected = np.where(ALPHA[..., np.newaxis] == 255, [40, 50, 60], 255)
    np.testing.assert_array_equal(_load_one(root, "palette.png"), expected)


def test_transparent_colour_of_a_colour_image(root: Path) -> None:
    pixels = np.where(ALPHA[..., np.newaxis] == 255, [1, 2, 3], [9, 8, 7]).astype(np.uint8)
    Image.fromarray(pixels).save(root / "train/cat/key.png", transparency=(9, 8, 7))
    np.testing.assert_array_equal(_load_one(root, "key.png"), np.where(pixels == [9, 8, 7], 255, pixels))


def test_jpeg_keeps_the_decoded_pixels(root: Path) -> None:
    path = root / "train/cat/photo.JPEG"
    Image.fromarray(PIXELS).save(path)
    with Image.open(path) as image:
        expected = np.asarray(image)
    np.testing.assert_array_equal(_load_one(root, path.name), expected)


def test_cmyk_jpeg(root: Path) -> None:
    Image.new("CMYK", (50, 50), (255, 0, 0, 0)).save(root / "train/cat/cmyk.jpg")
    assert np.abs(_load_one(root, "cmyk.jpg") - np.array([0.0, 255.0, 255.0])).max() <= 3


@pytest.mark.parametrize("name", ["turned.jpg", "turned.png", "turned.tif", "turned16.png"])
def test_orientation(root: Path, name: str) -> None:
    upright = np.zeros((32, 32), dtype=np.uint8)
    upright[:16] = 255  # the upper half is white
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise for viewing
    stored = np.rot90(upright)
    image = Image.fromarray(stored.astype(np.uint16) * 257 if "16" in name else stored)
    image.save(root / "train/cat" / name, exif=exif)
    loaded = _load_one(root, name)
    assert loaded[:15].min() > 240
    assert loaded[17:].max() < 15


def test_scaling_keeps_shape_and_centre(root: Path) -> None:
    for name, size, centre in (("wide", (96, 40), (28, 0, 68, 40)), ("tall", (40, 96), (0, 28, 40, 68))):
        image = Image.new("RGB", size, "red")
        image.paste((0, 0, 255), centre)
        image.save(root / "test" / "dog" / f"{name}.png")
    Image.new("RGB", (1, 1), "green").save(root / "test/dog/zz-tiny.png")
    tall, wide, tiny = load_image_folder(root).test.images[2:]
    for image in (tall, wide):
        inside = image[1:-1, 1:-1]  # the border is interpolated with what lies beyond it
        np.testing.assert_array_equal(inside, np.broadcast_to([0, 0, 255], inside.shape))
    np.testing.assert_array_equal(tiny, np.broadcast_to([0, 128, 0], tiny.shape))


def test_scaling_down_averages(root: Path) -> None:
    board = np.indices((320, 320)).sum(axis=0) % 2 * 255
    Image.fromarray(board.astype(np.uint8)).save(root / "train/cat/board.png")
    assert np.abs(_load_one(root, "board.png") - 127.5).max() < 8


# --- what is refused


def _png_header(width: int, height: int) -> bytes:
    """A small file that says it is large, with no pixels in it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def _encoded(kind: str, image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


LARGE = Image.fromarray(RNG.integers(0, 256, (200, 200, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.png", b"", "it is empty"),
        ("text.jpg", b"this is no image\n" * 100, "it is text"),
        ("script.jpg", _encoded("EPS", LARGE), "it is a PostScript file"),
        ("truncated.png", _encoded("PNG", LARGE)[:20_000], "it is a PNG image, but damaged: .* truncated"),
        ("truncated.jpg", _encoded("JPEG", LARGE)[:5_000], "it is a JPEG image, but damaged: .* truncated"),
        ("truncated.bmp", _encoded("BMP", LARGE)[:5_000], "it is a BMP image, but damaged: .* truncated"),
        ("truncated.webp", _encoded("WEBP", LARGE)[:5_000], "it is a WebP image, but damaged"),
        ("bomb.png", _png_header(20_000, 20_000), "400 megapixels, over the limit of 89: scale it down"),
        ("small-bomb.png", _png_header(10_000, 10_000), "100 megapixels, over the limit of 89: scale it down"),
        ("float.tif", _encoded("TIFF", Image.fromarray(np.zeros((40, 40), np.float32))), "floating-point pixels"),
        ("int32.tif", _encoded("TIFF", Image.fromarray(np.full((40, 40), 200, np.int32))), "32-bit .* pixels"),
    ],
    ids=lambda value: value if isinstance(value, str) and "." in value else "",
)
def test_unreadable_images_are_named(root: Path, name: str, content: bytes, reason: str) -> None:
    path = root / "test" / "dog" / name
    path.write_bytes(content)
    with pytest.raises(BadInput, match=reason) as caught:
        load_image_folder(root)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_names_that_are_no_files(root: Path) -> None:
    link = root / "train/cat/link.png"
    link.symlink_to("nowhere")
    with pytest.raises(BadInput, match=r"link\.png' is not a readable image \(No such file"):
        load_image_folder(root)
    link.unlink()
    link.symlink_to(os.devnull)
    with pytest.raises(BadInput, match=r"link\.png' is not a readable image \(it is not a file"):
        load_image_folder(root)


def test_bad_layouts(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"there is no folder '.*/none'"):
        load_image_folder(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match=r"there is no folder '.*/empty/train': a data folder holds train/<class>"):
        load_image_folder(tmp_path / "empty")
    (tmp_path / "half" / "train" / "cat").mkdir(parents=True)
    with pytest.raises(BadInput, match=r"there is no folder '.*/half/test'"):
        load_image_folder(tmp_path / "half")
    with pytest.raises(BadInput, match=r"'.*/bare/train' has no classes: a data folder"):
        load_image_folder(_make(tmp_path / "bare", (), ()))
    with pytest.raises(BadInput, match="the one class 'cat': add at least one"):
        load_image_folder(_make(tmp_path / "one", ("cat",), ("cat",)))
    with pytest.raises(BadInput, match=r"different classes .only in train: 'dog'"):
        load_image_folder(_make(tmp_path / "less", ("cat", "dog"), ("cat",)))
    with pytest.raises(BadInput, match="only in test: '0', '1', '2', '3', '4' and 2 more"):
        load_image_folder(_make(tmp_path / "more", ("cat", "dog"), ("cat", "dog", *map(str, range(7)))))
    with pytest.raises(BadInput, match=r"class name 'a\\nb' .* not printable"):
        load_image_folder(_make(tmp_path / "lines", ("a\nb", "c"), ("a\nb", "c")))


def test_a_class_without_images(root: Path) -> None:
    (root / "test/dog/image.png").rename(root / "test/dog/image.txt")
    assert find_layout(root).classes == ("cat", "dog")
    with pytest.raises(BadInput, match=r"has no image in the classes dog \(it has 1 \.txt, which are not read\): add"):
        load_image_folder(root)


# --- what is kept


def _forbid_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str, bit_depth: int) -> None:
        raise AssertionError(f"{path} was read again")

    monkeypatch.setattr(decoding, "read", refuse)


def test_second_load_reads_no_image(root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (root / "train/cat/image.png").write_bytes(_encoded("PNG", LARGE))
    first = load_image_folder(root)
    _forbid_decoding(monkeypatch)
    assert load_image_folder(root).fingerprint() == first.fingerprint()
    root.rename(tmp_path / "moved")
    assert load_image_folder(tmp_path / "moved").fingerprint() == first.fingerprint()


def test_a_cache_of_the_former_name_is_used(root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_image_folder(root)
    cache.parent.rename(cache.parent.with_name("netverdict"))
    _forbid_decoding(monkeypatch)
    assert load_image_folder(root).fingerprint() == first.fingerprint()
    assert not cache.exists()


def test_changed_folders_are_read_again(root: Path) -> None:
    path = root / "train/cat/image.png"
    path.write_bytes(_encoded("BMP", Image.new("RGB", (32, 32), (6, 6, 6))))
    load_image_folder(root)
    before = path.stat()
    path.write_bytes(_encoded("BMP", Image.new("RGB", (32, 32), (7, 7, 7))))
    assert path.stat().st_size == before.st_size
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert load_image_folder(root).train.images[0, 0, 0, 0] == 7, "not even an old date hides a change"
    path.rename(root / "train/dog/another.png")
    path.write_bytes(_encoded("PNG", LARGE))
    assert load_image_folder(root).train.labels.tolist() == [0, 1, 1]
    (root / "train/dog/another.png").unlink()
    assert len(load_image_folder(root).train) == 2


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "other"])
def test_damaged_cache_is_replaced(
    root: Path, cache: Path, damage: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(8):  # the gap in numpy's checking shows in larger arrays
        Image.fromarray(PIXELS).save(root / f"train/cat/{index}.png")
    first = load_image_folder(root)
    (kept,) = cache.iterdir()
    content = bytearray(kept.read_bytes())
    content[content.index(b"NUMPY") + 7] -= 2  # a shorter header, a shift of the array that numpy alone overlooks
    contents = {"flipped": bytes(content), "cut": bytes(content[:5000]), "empty": b"", "other": b"text"}
    kept.write_bytes(contents[damage])
    capsys.readouterr()
    assert load_image_folder(root).fingerprint() == first.fingerprint()
    said = capsys.readouterr().err
    assert f"The image cache {kept} is damaged" in said
    assert "Reading 12 images" in said
    _forbid_decoding(monkeypatch)
    assert load_image_folder(root).fingerprint() == first.fingerprint()
    assert list(cache.iterdir()) == [kept]


def test_a_cache_that_cannot_be_written_is_done_without(
    root: Path, cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill_the_disk(*args: object, **arrays: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", fill_the_disk)
        assert len(load_image_folder(root).train) == 2
    assert capsys.readouterr().err.splitlines()[1:] == [
        f"The image cache {cache} cannot be written ([Errno 28] No space left on device): free or repair it"
    ]
    assert not list(cache.iterdir())
    cache.rmdir()
    cache.touch()
    assert len(load_image_folder(root).train) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_few_caches_are_kept(root: Path, cache: Path) -> None:
    kept: list[Path] = []
    for index in range(image_cache.CACHES_KEPT + 2):
        Image.new("RGB", (32, 32)).save(root / f"train/cat/{index}.png")
        load_image_folder(root)
        (new,) = set(cache.iterdir()) - set(kept)
        os.utime(new, (index, index))
        kept = [path for path in kept if path.exists()] + [new]
    assert len(kept) == image_cache.CACHES_KEPT
    assert [path.stat().st_mtime for path in kept] == [2, 3, 4, 5]


def test_leavings_of_killed_processes_are_removed(root: Path, cache: Path) -> None:
    cache.mkdir(parents=True)
    for name, age in (("old.tmp", 2 * image_cache.STALE_SECONDS), ("new.tmp", 0.0)):
        (cache / name).touch()
        os.utime(cache / name, (time.time() - age,) * 2)
    load_image_folder(root)
    assert [path.name for path in cache.glob("*.tmp")] == ["new.tmp"]


# --- what is shown


def test_progress_without_a_terminal_is_one_line(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load_image_folder(root)
    assert capsys.readouterr() == ("", f"Reading 4 images from {root}\n")
    load_image_folder(root)
    assert capsys.readouterr() == ("", "")


def test_progress_on_a_terminal_is_a_bar(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", terminal)
        load_image_folder(root)
    assert "4/4" in terminal.getvalue()
    assert "from" not in terminal.getvalue()


def test_odd_metadata_is_passed_over_in_silence(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x05"  # ends where the first of five entries should be
    LARGE.save(root / "train/cat/odd.jpg", exif=exif)
    with pytest.warns(UserWarning, match="Corrupt EXIF"), Image.open(root / "train/cat/odd.jpg") as image:
        image.getexif()
    assert len(load_image_folder(root).train) == 3
    assert capsys.readouterr().err == f"Reading 5 images from {root}\n"
