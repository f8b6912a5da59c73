"""Many image files: unreadable files are named at once, images are decoded once, and their depth is noticed."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from study.data import decoding
from study.data.decoding import read_images
from study.errors import BadInput


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "fairverdict" / "folder"


def _write(root: Path, *values: int) -> list[str]:
    """Write an image of each grey value. Return the paths."""
    root.mkdir(exist_ok=True)
    paths = [root / f"{value:03}.png" for value in values]
    for path, value in zip(paths, values, strict=True):
        Image.new("RGB", (32, 32), (value, value, value)).save(path)
    return [str(path) for path in paths]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the files that were decoded so far."""
    names: list[str] = []
    read = decoding.read

    def note(path: str, bit_depth: int, image_size: int) -> object:
        names.append(Path(path).name)
        return read(path, bit_depth, image_size)

    monkeypatch.setattr(decoding, "read", note)
    return names


def test_all_unreadable_files_are_named_in_one_line(tmp_path: Path) -> None:
    paths = _write(tmp_path / "images", *range(20))
    for path in paths[:13]:
        Path(path).write_text("<html>")
    Path(paths[1]).write_bytes(b"")
    Path(paths[2]).unlink()
    with pytest.raises(BadInput) as caught:
        read_images(paths, tmp_path / "images")
    line = str(caught.value)
    assert line.startswith(f"13 of 20 files are not readable images: '{paths[0]}' (it is an HTML page), '{paths[1]}'")
    assert "(it is empty), " in line and "(No such file or directory), " in line
    assert [path in line for path in paths] == [True] * 10 + [False] * 10
    assert line.endswith(" and 3 more: remove or replace them")
    assert "\n" not in line


def test_what_was_decoded_is_not_decoded_again_when_a_file_was_bad(tmp_path: Path, decoded: list[str]) -> None:
    root = tmp_path / "images"
    paths = _write(root, 1, 2, 3, 4)
    Path(paths[1]).write_text("no image")
    for _ in range(2):
        with pytest.raises(BadInput, match="it is text"):
            read_images(paths, root)
    assert sorted(decoded) == ["001.png", "002.png", "002.png", "003.png", "004.png"]
    decoded.clear()
    _write(root, 2)
    assert read_images(paths, root).pixels[:, 0, 0, 0].tolist() == [1, 2, 3, 4]
    assert decoded == ["002.png"]
    os.remove(paths[0])
    assert read_images([*paths[1:], *_write(root, 9)], root).pixels[:, 0, 0, 0].tolist() == [2, 3, 4, 9]
    assert decoded == ["002.png", "009.png"]


def test_other_folders_share_nothing(tmp_path: Path, decoded: list[str]) -> None:
    one, other = _write(tmp_path / "one", 1, 2), _write(tmp_path / "other", 1, 2, 3)
    for paths in (one, other):
        for path in paths:
            os.utime(path, ns=(0, 0))
    read_images(one, tmp_path / "one")
    read_images(other, tmp_path / "other")
    assert sorted(decoded) == ["001.png", "001.png", "002.png", "002.png", "003.png"]


def test_each_size_has_a_cache_of_its_own(tmp_path: Path, decoded: list[str]) -> None:
    paths = _write(tmp_path / "images", 1, 2)
    for size in (32, 48, 32, 48):
        images = read_images(paths, tmp_path / "images", image_size=size)
        assert images.pixels.shape == (2, size, size, 3)
        assert images.pixels[:, -1, -1, 0].tolist() == [1, 2]
    assert len(decoded) == 4
    paths += _write(tmp_path / "images", 3)
    assert read_images(paths, tmp_path / "images", image_size=48).pixels.shape == (3, 48, 48, 3)
    assert decoded[4:] == ["003.png"], "the cache of the smaller folder is used, in the same size"


def _write_16_bits(path: Path, largest: int) -> str:
    values = np.linspace(0, largest, 1024).round().astype(np.uint16).reshape(32, 32)
    Image.fromarray(values).save(path)
    return str(path)


def test_values_of_12_bits_are_noticed_and_fill_the_range(
    tmp_path: Path, decoded: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    paths = _write(tmp_path, 200)
    paths += [_write_16_bits(tmp_path / "a.png", 4095), _write_16_bits(tmp_path / "b.png", 2047)]
    said = (
        "2 of 3 images have 16 bits a pixel, but no value over 4,095: they are read as 12-bit images (--bit-depth 16"
        " reads them as they are)"
    )
    for _ in range(2):
        images = read_images(paths, tmp_path)
        assert images.bit_depth == 12
        assert images.pixels.max(axis=(1, 2, 3)).tolist() == [200, 255, 127]
        assert capsys.readouterr().err.splitlines()[-1] == said, "also if the images come from the cache"
    assert len(decoded) == 5
    full = read_images(paths, tmp_path, bit_depth=16)
    assert full.bit_depth == 16
    assert full.pixels.max(axis=(1, 2, 3)).tolist() == [200, 16, 8]
    assert said not in capsys.readouterr().err
    with pytest.raises(BadInput, match=r"a\.png' is not a readable image \(its values reach 4,095"):
        read_images(paths, tmp_path, bit_depth=11)
    assert read_images(paths, tmp_path).pixels.max() == 255


def test_a_value_of_16_bits_leaves_all_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [_write_16_bits(tmp_path / "a.png", 4095), _write_16_bits(tmp_path / "b.png", 40_000)]
    images = read_images(paths, tmp_path)
    assert images.bit_depth == 16
    assert images.pixels.max(axis=(1, 2, 3)).tolist() == [16, 156]
    assert capsys.readouterr().err == f"Reading 2 images from {tmp_path}\n"


def test_images_of_8_bits_have_no_depth(tmp_path: Path) -> None:
    assert read_images(_write(tmp_path, 7), tmp_path).bit_depth is None
