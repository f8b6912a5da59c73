"""Repeated pictures are found: in train and test, within test, and under two labels."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.images.pixels import scale_all
from study.data import datasets
from study.data.digits import load_digits
from study.data.folder.repeats import Signatures, near_pairs
from study.errors import BadInput
from study.settings.config import StudyConfig
from tests.study.data.conftest import picture

Put = Callable[..., Path]


@pytest.fixture
def config(put: Put, tmp_path: Path) -> StudyConfig:
    """Two classes with six pictures each in train and three in test, all of them different."""
    for label, name in enumerate(("cat", "dog")):
        for number in range(9):
            put(f"{'train' if number < 6 else 'test'}/{name}/{number}.png", 100 * label + number)
    return StudyConfig(dataset="folder", data_dir=tmp_path / "pets")


def _with(config: StudyConfig, duplicates: str) -> StudyConfig:
    return StudyConfig(dataset="folder", data_dir=config.data_dir, duplicates=duplicates)  # type: ignore[arg-type]


def test_different_pictures_are_left_alone(config: StudyConfig) -> None:
    data = datasets.read(config)
    assert (len(data.train), len(data.test)) == (12, 6)
    assert (data.findings.repeats, data.findings.notes) == ((), ())


@pytest.mark.parametrize(
    ("extension", "quality", "size", "likeness"),
    [("png", None, 96, "equal"), ("jpg", 60, 96, "nearly equal"), ("png", None, 64, "nearly equal")],
)
def test_a_test_picture_leaves_training(
    config: StudyConfig, put: Put, extension: str, quality: int | None, size: int, likeness: str
) -> None:
    put(f"train/cat/copy.{extension}", 7, quality=quality, size=size)
    data = datasets.read(config)
    assert (len(data.train), len(data.test)) == (12, 6)
    assert f"cat/copy.{extension}" not in data.train_files
    assert data.findings.repeats == (("train and test", f"train/cat/copy.{extension}", "test/cat/7.png", likeness),)
    (note,) = data.findings.notes
    assert note.startswith(f"1 of 13 training images is also in the test set ({likeness}; train/cat/copy.{extension} =")
    assert note.endswith("They are left out of training")


def test_the_pairs_to_show_are_of_each_kind_and_picture_and_the_doubtful_first(config: StudyConfig, put: Put) -> None:
    for number in range(12):
        put(f"train/cat/equal-{number:02}.png", 7)
        put(f"train/dog/near-{number:02}.png", 107, size=64)
    put("test/cat/again.png", 8)
    put("train/dog/cat.png", 3)
    config = replace(config, image_size=120)
    data = datasets.read(config)
    rows = [(data.findings.repeats[row], pair) for row, pair in data.findings.pairs]
    assert [row[0] for row, _ in rows] == ["train and test", "within test", "two labels", *["train and test"] * 5]
    assert [row[3] for row, _ in rows[3:]] == ["equal", *["nearly equal", "equal"] * 2]
    assert rows[2][0][1:3] == ("train/dog/cat.png", "train/cat/3.png")
    for row, pair in rows:
        assert pair.shape == (2, 96, 96, 3)
        assert np.array_equal(*pair) == (row[3] == "equal")
    test = data.test.images[data.test_files.index("cat/8.png")]
    np.testing.assert_array_equal(rows[1][1][1], scale_all(test[np.newaxis], 96)[0])
    assert datasets.read(replace(config, duplicates="keep")).findings.pairs[0][0] == data.findings.pairs[0][0]


@pytest.mark.parametrize("image_size", [16, 72])
def test_copies_are_found_at_other_image_sizes(config: StudyConfig, put: Put, image_size: int) -> None:
    put("train/cat/copy.jpg", 7, quality=60, size=64)
    put("train/dog/same.png", 108)
    data = datasets.read(replace(config, image_size=image_size))
    assert data.train.images.shape == (12, image_size, image_size, 3)
    assert data.findings.repeats == (
        ("train and test", "train/cat/copy.jpg", "test/cat/7.png", "nearly equal"),
        ("train and test", "train/dog/same.png", "test/dog/8.png", "equal"),
    )


def test_keep_keeps_and_refuse_refuses(config: StudyConfig, put: Put) -> None:
    put("train/cat/copy.png", 7)
    data = datasets.read(_with(config, "keep"))
    assert len(data.train) == 13
    assert len(data.findings.repeats) == 1
    assert "left out" not in data.findings.notes[0]
    with pytest.raises(BadInput, match=r"1 of 13 training images.* = test/cat/7\.png.*pass --duplicates drop or keep"):
        datasets.read(_with(config, "refuse"))


def test_a_picture_twice_in_the_test_set_is_said(config: StudyConfig, put: Put) -> None:
    put("test/cat/again.png", 7)
    put("test/cat/smaller.png", 7, size=64)
    data = datasets.read(config)
    assert len(data.test) == 8
    assert [row[:2] for row in data.findings.repeats] == [
        ("within test", "test/cat/again.png"),
        ("within test", "test/cat/smaller.png"),
    ]
    assert "2 of 8 test images repeat another test image, so intervals are too narrow" in data.findings.notes[0]


@pytest.mark.parametrize(
    ("seed", "size", "other"), [(3, 96, "train/cat/3.png"), (7, 96, "test/cat/7.png"), (7, 64, "test/cat/7.png")]
)
def test_a_picture_under_two_labels_is_said(config: StudyConfig, put: Put, seed: int, size: int, other: str) -> None:
    put("train/dog/cat.png", seed, size=size)
    findings = datasets.read(config).findings
    (row,) = [row for row in findings.repeats if row[0] == "two labels"]
    assert ({*row[1:3]}, row[3]) == ({"train/dog/cat.png", other}, "equal" if size == 96 else "nearly equal")
    assert f"1 image also has another label ({row[3]}; {row[1]} = {row[2]})" in findings.notes


def test_a_test_set_that_is_a_copy_of_the_training_set_is_refused(put: Put, tmp_path: Path) -> None:
    for part in ("train", "test"):
        for label, name in enumerate(("cat", "dog")):
            for number in range(12):
                put(f"{part}/{name}/{number}.png", 100 * label + number)
    config = StudyConfig(dataset="folder", data_dir=tmp_path / "pets")
    with pytest.raises(BadInput, match="every training image of the class 'cat' is also in the test set"):
        datasets.read(config)
    assert len(datasets.read(_with(config, "keep")).findings.repeats) == 24


def test_many_copies_hide_no_near_picture(config: StudyConfig, put: Put) -> None:
    for number in range(9):
        put(f"train/cat/copy-{number}.png", 7, size=64)
    assert len(datasets.read(config).train) == 12


def test_flat_images_repeat_only_if_their_pixels_are_equal() -> None:
    flat = np.stack([np.full((32, 32, 3), value, np.uint8) for value in (10, 11, 200)])
    signatures = Signatures(flat)
    assert not len(near_pairs(signatures, signatures))


def test_different_digits_are_not_taken_for_copies() -> None:
    digits = load_digits()
    signatures = Signatures(np.concatenate([digits.train.images, digits.test.images]))
    assert len(near_pairs(signatures, signatures)) <= 2, "one pair of 1,797 digits, seen from both sides"


@pytest.mark.slow
def test_the_search_finds_what_comparing_all_pairs_finds() -> None:
    rng = np.random.default_rng(0)
    base = np.stack([np.asarray(picture(seed, 32)) for seed in range(60)])
    noisy = np.clip(base + rng.normal(0, 1, base.shape) * np.linspace(0, 12, 60)[:, None, None, None], 0, 255)
    images = np.concatenate([base, noisy.astype(np.uint8)])
    pixels = images.reshape(len(images), -1).astype(np.float64)
    distance = np.sqrt(np.square(pixels[:, None] - pixels[None]).mean(axis=2))
    contrast = np.minimum(pixels.std(axis=1)[:, None], pixels.std(axis=1)[None])
    expected = {(a, b) for a, b in np.argwhere(distance <= 0.1 * contrast).tolist() if a != b}
    signatures = Signatures(images)
    assert 20 < len(expected) < 120
    assert {tuple(pair) for pair in near_pairs(signatures, signatures).tolist()} == expected
