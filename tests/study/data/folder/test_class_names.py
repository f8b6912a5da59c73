"""Which names of classes are accepted, how they are ordered, and which ones are refused with both shown."""

from collections.abc import Callable
from pathlib import Path

import pytest

from study.data import datasets
from study.data.image_folder import load_image_folder
from study.errors import BadInput
from study.settings.config import StudyConfig

Put = Callable[..., Path]


def _refusal(root: Path) -> str:
    with pytest.raises(BadInput) as caught:
        datasets.check(StudyConfig(dataset="folder", data_dir=root))
    return str(caught.value)


@pytest.mark.parametrize(
    "name", ["क्‍ष", "می‌خواهم", "👩‍🚀", "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f", "東京　駅"]
)
def test_text_that_people_write_names_a_class(put: Put, tmp_path: Path, name: str) -> None:
    for part in ("train", "test"):
        put(f"{part}/{name}/1.png", 1)
        put(f"{part}/other/1.png", 2)
    assert name in load_image_folder(tmp_path / "pets").classes


@pytest.mark.parametrize("name", ["a\x07b", "a\x1b[31mb", "a\u2028b", "a\u202eb", " "])
def test_control_characters_are_refused(root: Path, put: Put, name: str) -> None:
    put(f"train/{name}/1.png", 1)
    put(f"test/{name}/1.png", 2)
    assert "is not printable text: rename the folder" in _refusal(root)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ("Cat", "'Cat' and 'cat' differ only in case"),
        ("cat ", "'cat' and 'cat ' differ only in spaces"),
        ("c\u3000at", r"'cat' and 'c\u3000at' differ only in spaces"),
    ],
)
def test_classes_that_look_alike_are_refused(root: Path, put: Put, other: str, reason: str) -> None:
    put(f"train/{other}/1.png", 1)
    put(f"test/{other}/1.png", 2)
    assert reason in _refusal(root)


def test_classes_that_differ_only_in_normalisation_are_refused(root: Path, put: Put) -> None:
    put("train/caf\u00e9/1.png", 1)
    put("train/cafe\u0301/1.png", 2)
    assert r"'cafe\u0301' and 'caf\xe9' differ only in Unicode normalisation" in _refusal(root)


def test_train_and_test_that_differ_only_in_case_say_so(root: Path) -> None:
    (root / "test/cat").rename(root / "test/Cat")
    assert "differ: the class names 'cat' and 'Cat' differ only in case" in _refusal(root)


def test_names_of_train_and_test_are_matched_after_normalisation(root: Path, put: Put) -> None:
    put("train/caf\u00e9/1.png", 1)
    put("test/cafe\u0301/1.png", 2)
    data = load_image_folder(root)
    assert data.classes == ("caf\u00e9", "cat", "dog")
    assert data.train.labels.tolist() == [0, 1, 1, 2, 2]
    assert data.test_files[0] == "cafe\u0301/1.png"


def test_numbers_are_in_their_natural_order(put: Put, tmp_path: Path) -> None:
    for number, name in enumerate(("10", "2", "1", "class 9", "class 10", "0001")):
        put(f"train/{name}/1.png", number)
        put(f"test/{name}/1.png", 10 + number)
    assert load_image_folder(tmp_path / "pets").classes == ("0001", "1", "2", "10", "class 9", "class 10")


def test_a_title_names_the_data_set(root: Path) -> None:
    assert datasets.read(StudyConfig(dataset="folder", data_dir=root, title="My pets")).title == "My pets"
    with pytest.raises(BadInput, match=r"--title 'a\\nb' is not printable text"):
        datasets.check(StudyConfig(dataset="folder", data_dir=root, title="a\nb"))


def test_a_class_with_too_few_images_is_named(root: Path, put: Put) -> None:
    for number in range(20):
        put(f"train/dog/more-{number}.png", 100 + number)
    (root / "train/cat/0.png").unlink()
    with pytest.raises(BadInput, match=r"the smallest class has 1 of 23 training images.*\(class 'cat'\)"):
        datasets.load_dataset(StudyConfig(dataset="folder", data_dir=root))
