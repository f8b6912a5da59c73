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
