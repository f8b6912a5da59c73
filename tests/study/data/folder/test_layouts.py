"""How folders of images may be laid out, what is passed over and said, and what is refused with a remedy."""

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from study.data import datasets
from study.data.image_folder import load_image_folder
from study.errors import BadInput
from study.settings.config import StudyConfig

Put = Callable[..., Path]
PETS = [f"{part}/{name}/{number}.png" for part in ("train", "test") for name in ("cat", "dog") for number in range(2)]


@pytest.fixture
def root(put: Put, tmp_path: Path) -> Path:
    """Two classes with two pictures each in train and in test."""
    for seed, name in enumerate(PETS):
        put(name, seed)
    return tmp_path / "pets"


def _notes(root: Path) -> str:
    return "\n".join(load_image_folder(root).findings.notes)


def _refusal(root: Path, dataset: str = "folder") -> str:
    """The one line that refuses a folder, before any image is read."""
    with pytest.raises(BadInput) as caught:
        datasets.check(StudyConfig(dataset=dataset, data_dir=root))
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- what is not read is said


def test_files_that_are_not_read_are_counted_by_kind(root: Path) -> None:
    for name in ("train/cat/a.heic", "train/cat/b.HEIC", "test/dog/c.mp4", "train/dog/noextension", "train/labels.csv"):
        (root / name).touch()
    findings = load_image_folder(root).findings
    assert findings.unread == {".heic": 2, ".mp4": 1, "without an extension": 1, ".csv": 1}
    (note,) = findings.notes
    assert note.startswith("5 files are not read: 2 .heic, 1 .csv, 1 .mp4 and 1")


def test_a_folder_in_order_needs_no_note(root: Path) -> None:
    assert load_image_folder(root).findings.notes == ()


def test_hidden_and_system_files_are_no_images_and_no_classes(root: Path, put: Put) -> None:
    for name in (".ipynb_checkpoints", "@eaDir", ".Trashes", "__MACOSX"):
        put(f"train/{name}/1.png", 50)
        put(f"train/cat/{name}/1.png", 51)
    put("test/cat/._1.png", 52)
    data = load_image_folder(root)
    assert (data.classes, len(data.train), len(data.test), data.findings.notes) == (("cat", "dog"), 4, 4, ())


def test_validation_images_and_images_beside_the_classes_are_mentioned(root: Path, put: Put) -> None:
    for number in range(3):
        put(f"val/cat/{number}.png", 60 + number)
    put("train/a.png", 70)
    put("train/b.png", 71)
    notes = _notes(root)
    assert "val/ is not read: validation images are a tenth of train/" in notes
    assert "2 images lie directly in train/, in no class: not read" in notes


def test_a_class_that_is_a_dangling_link_is_named(root: Path) -> None:
    (root / "train/bird").symlink_to("nowhere")
    assert f"the link {str(root / 'train/bird')!r} leads nowhere: repair or remove it" in _refusal(root)


def test_a_folder_in_a_class_that_is_a_dangling_link_is_named(root: Path) -> None:
    (root / "train/cat/more").symlink_to("nowhere")
    with pytest.raises(BadInput, match=r"the link '.*train/cat/more' leads nowhere"):
        load_image_folder(root)


@pytest.mark.parametrize("place", ["train", "train/cat", "test/dog/deep"])
def test_a_folder_that_cannot_be_listed_is_named(root: Path, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / place).mkdir(exist_ok=True)
    scandir = os.scandir

    def fail(path: str | os.PathLike[str]) -> object:
        if os.fspath(path) == str(root / place):
            raise OSError(5, "Input/output error", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", fail)
    with pytest.raises(BadInput, match=rf"the folder '.*{place}' cannot be read \(Input/output error\)"):
        load_image_folder(root)


# --- layouts


def test_other_spellings_of_train_and_test(root: Path) -> None:
    (root / "train").rename(root / "Training")
    (root / "test").rename(root / "TEST")
    data = load_image_folder(root)
    assert (len(data.train), len(data.test), data.test_files[0]) == (4, 4, "cat/0.png")


def test_a_wrapper_folder_is_read_and_said(root: Path, tmp_path: Path) -> None:
    outer = tmp_path / "archive" / "inner"
    outer.mkdir(parents=True)
    root.rename(outer / "pets")
    (outer.parent / "README.txt").touch()
    data = load_image_folder(outer.parent)
    assert (data.title, len(data.train)) == ("pets", 4)
    assert data.findings.notes[0] == "The images are in inner/pets/"


def test_two_folders_of_training_images_are_refused(root: Path) -> None:
    (root / "Train").mkdir()
    assert "has both Train/ and train/: keep one of them" in _refusal(root)


def test_the_training_part_alone_is_refused_with_the_folder_to_give(root: Path) -> None:
    line = _refusal(root / "train")
    assert "is the training part alone, beside test/" in line
    assert str(root) in line


def test_a_folder_without_test_images_names_both_remedies(root: Path) -> None:
    (root / "test").rename(root / "valid")
    line = _refusal(root)
    assert "rename valid/ to test/" in line
    assert f"--data-dir {str(root / 'train')!r}" in line


def test_test_images_without_classes_are_refused(root: Path) -> None:
    for path in [*(root / "test").rglob("*.png")]:
        path.rename(root / "test" / f"{path.parent.name}-{path.name}")
    for folder in ("cat", "dog"):
        (root / "test" / folder).rmdir()
    assert "has images but no classes" in _refusal(root)
    assert len(datasets.read(StudyConfig(dataset="folder", data_dir=root / "train", test_share=0.5)).train) == 2


def test_a_zip_file_is_refused_with_the_command_that_unpacks_it(root: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "pets.zip", "w") as archive:
        archive.write(root / "train/cat/0.png", "train/cat/0.png")
    assert "is a zip file: unpack it (python -m zipfile -e pets.zip DIR)" in _refusal(tmp_path / "pets.zip")


def test_cifar10s_own_files_are_refused_with_the_flag(tmp_path: Path) -> None:
    (tmp_path / "data/cifar-10-batches-py").mkdir(parents=True)
    assert "pass --dataset cifar10 --data-dir" in _refusal(tmp_path / "data")


def test_images_without_dataset_folder_are_no_place_for_a_download(root: Path) -> None:
    for place in (root, root / "train"):
        assert "add --dataset folder to study these images" in _refusal(place, dataset="cifar10")
    assert "add --dataset folder" in _refusal(root, dataset="digits")


def test_a_place_for_a_download_may_hold_other_things(tmp_path: Path, put: Put) -> None:
    put("wallpapers/1.png", 0)
    (tmp_path / "pets/old").symlink_to("nowhere")
    datasets.check(StudyConfig(dataset="cifar10", data_dir=tmp_path / "pets"))


def test_a_class_may_be_named_train(tmp_path: Path, put: Put) -> None:
    for seed, name in enumerate(("train/1.png", "train/2.png", "plane/1.png", "plane/2.png")):
        put(name, seed)
    assert load_image_folder(tmp_path / "pets").classes == ("plane", "train")


def test_images_without_classes_are_refused(put: Put) -> None:
    assert "holds images but no folders of classes" in _refusal(put("1.png", 0).parent)


# --- the names of classes


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
