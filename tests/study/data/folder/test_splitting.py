"""One folder of classes is split: in proportion, the same way each time, and copies and groups stay together."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from study.data import datasets
from study.data.folder.splitting import split_images
from study.errors import BadInput
from study.settings.config import StudyConfig

Put = Callable[..., Path]


@pytest.fixture
def root(put: Put, tmp_path: Path) -> Path:
    """Two classes of 20 and 10 different pictures; four frames of each patient."""
    for label, (name, count) in enumerate((("cat", 20), ("dog", 10))):
        for number in range(count):
            put(f"{name}/patient{number // 4}-{number}.png", 100 * label + number, size=32)
    return tmp_path / "pets"


def _config(root: Path, **settings: object) -> StudyConfig:
    return StudyConfig(dataset="folder", data_dir=root, **settings)  # type: ignore[arg-type]


def test_every_class_is_split_in_proportion(root: Path) -> None:
    data = datasets.read(_config(root))
    assert np.bincount(data.test.labels).tolist() == [4, 2]
    assert np.bincount(data.train.labels).tolist() == [16, 8]
    assert sorted(data.train_files + data.test_files) == sorted(
        str(path.relative_to(root)) for path in root.rglob("*.png")
    )
    assert data.findings.notes[0] == "There is no train/ and test/: the study chose 6 of 30 images as the test set"
    parts = {file: part for file, _, part in data.findings.split}
    assert {file for file, part in parts.items() if part == "test"} == set(data.test_files)
    counted = datasets.sizes(_config(root))
    assert (counted.train, counted.test, counted.classes) == (24, 6, 2)


def test_the_share_and_the_seed_choose_the_test_images(root: Path) -> None:
    first, same = (datasets.read(_config(root, seed=seed)).test_files for seed in (0, 1))
    assert first == same, "--seed does not change the test set"
    assert datasets.read(_config(root, test_seed=1)).test_files != first
    assert len(datasets.read(_config(root, test_share=0.5)).test) == 15


def test_groups_stay_on_one_side(root: Path) -> None:
    data = datasets.read(_config(root, group_by=r"(patient\d+)-"))
    groups = [{file.split("/")[1].split("-")[0] for file in files} for files in (data.train_files, data.test_files)]
    assert not groups[0] & groups[1]
    assert set(data.test.labels) == {0, 1}


def test_copies_stay_on_one_side(root: Path, put: Put) -> None:
    for number in range(0, 20, 2):
        put(f"cat/small-{number}.jpg", number, size=64, quality=85)
    data = datasets.read(_config(root))
    assert len(data.train) + len(data.test) == 40
    parts = {file: part for file, _, part in data.findings.split}
    for number in range(0, 20, 2):
        assert parts[f"cat/small-{number}.jpg"] == parts[f"cat/patient{number // 4}-{number}.png"]
    assert np.bincount(data.test.labels).tolist() == [6, 2]


@pytest.mark.parametrize("seed", range(5))
def test_the_test_set_has_its_share_of_groups(seed: int) -> None:
    groups = np.where(np.arange(400) < 200, np.arange(400) // 2 * 2, np.arange(400))
    images = np.random.default_rng(0).integers(0, 256, (400, 32, 32, 3), np.uint8)
    in_test = split_images(images, np.arange(400) // 2 % 2, ("cat", "dog"), groups, 0.2, seed)
    assert in_test.sum() == 80
    assert 20 <= in_test[:200].sum() <= 60, "half of the images are in pairs"
    assert np.array_equal(in_test[:200:2], in_test[1:200:2])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"group_by": "("}, r"--group-by '\(' is not a regular expression"),
        ({"group_by": "nothing"}, "--group-by 'nothing' matches no file, such as 'cat/patient0-0.png'"),
        ({"group_by": "^"}, "the class 'cat' cannot be in both training and test .its 20 images are 1 group of images"),
    ],
)
def test_splits_that_cannot_be(root: Path, settings: dict[str, str], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        datasets.read(_config(root, **settings))


def test_a_class_of_one_image_is_named(root: Path, put: Put) -> None:
    put("bird/1.png", 999)
    with pytest.raises(BadInput, match=r"the class 'bird' cannot be in both training and test \(it has 1 image\)"):
        datasets.read(_config(root))


@pytest.mark.parametrize(
    ("settings", "flag"), [({"test_share": 0.3}, "--test-share"), ({"group_by": "a"}, "--group-by")]
)
def test_settings_of_the_split_are_refused_if_there_is_none(
    put: Put, tmp_path: Path, settings: dict[str, object], flag: str
) -> None:
    for part in ("train", "test"):
        for name in ("cat", "dog"):
            put(f"{part}/{name}/1.png", 1)
    with pytest.raises(BadInput, match=f"{flag} is for a folder of classes without train/ and test/"):
        datasets.check(_config(tmp_path / "pets", **settings))
