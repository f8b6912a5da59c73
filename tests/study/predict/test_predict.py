"""`python -m study.predict`: the study's own predictions for every kind of file, and what it says of bad input."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from analysis.results.study_folder import StudyFolder
from models.networks.registry import ARCHITECTURES, Architecture, register
from study.predict.__main__ import main
from study.predict.predictor import register_networks
from tests.image_files import KINDS
from tests.in_process import run_here
from tests.processes import BUDGET, OWN_NETWORKS, Programs
from tests.study.conftest import Finished

RNG = np.random.default_rng(0)
NETWORKS = ["--networks", *OWN_NETWORKS]
RUN = ["--run", "tiny-baseline/seed-1"]


def _picture(label: int) -> np.ndarray:
    """A picture [48, 36, 3] that is bright at the top or at the bottom."""
    rows = np.linspace(0, 150, 48)[:: 1 - 2 * label, np.newaxis, np.newaxis]
    return (rows + RNG.integers(0, 100, (48, 36, 3))).astype(np.uint8)


@pytest.fixture(scope="session")
def of_files(shared: Callable[..., Finished]) -> Finished:
    """Return a study of a folder whose test images are one file of each kind in each class."""

    def make(programs: Programs, cwd: Path) -> subprocess.CompletedProcess[str]:
        for label, name in enumerate(("bottom", "top")):
            for part in ("train", "test"):
                (cwd / "images" / part / name).mkdir(parents=True)
            for index in range(30):
                Image.fromarray(_picture(label)).save(cwd / f"images/train/{name}/{index:02}.png")
            for kind, write in KINDS.items():
                write(cwd / "images/test" / name / kind, _picture(label))
        data = ["--dataset", "folder", "--data-dir", "images", "--train-size", "none", "--batch-size", "8"]
        return run_here([*BUDGET, *data, "--archs", "tiny", "small", "--name", "of_files"], cwd)

    return shared("of_files", make)


def forget_networks() -> None:
    """Forget all networks but the documented ones."""
    for name in ARCHITECTURES.keys() - {"alexnet", "mobilenet"}:
        del ARCHITECTURES[name]


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget the networks that a test has registered. Put the module that registers them back."""
    name = Path(OWN_NETWORKS[0]).stem
    monkeypatch.setitem(sys.modules, name, sys.modules[name])
    yield
    forget_networks()


def _test_images(study: Finished) -> Path:
    return study.folder.parents[1] / "images" / "test"


def _predict(capsys: pytest.CaptureFixture[str], study: Path, *words: str) -> tuple[int, str, str]:
    status = main([str(study), *words])
    return (status, *capsys.readouterr())


def _refused(capsys: pytest.CaptureFixture[str], study: Finished, *words: str) -> str:
    """Return the one line of a command that prints nothing else and ends with status 2."""
    status, out, err = _predict(capsys, study.folder, *words)
    assert (status, out) == (2, "")
    (line,) = err.splitlines()
    return line.removeprefix("error: ")


@pytest.mark.slow
def test_the_logits_of_every_kind_of_file_are_the_studys_own(
    of_files: Finished, capsys: pytest.CaptureFixture[str]
) -> None:
    study, test = of_files.folder, _test_images(of_files)
    assert "6 of 108 images have 16 bits a pixel, but no value over " in of_files.done.stderr
    assert "they are read as 12-bit images" in of_files.done.stderr
    assert StudyFolder(study).read_study()["config"]["bit_depth"] == 12
    status, out, err = _predict(capsys, study, str(test), "--json", *RUN, *NETWORKS)
    assert (status, err) == (0, "")
    printed = json.loads(out)
    with np.load(study / "final/tiny-baseline/seed-1/predictions.npz") as predictions:
        expected, labels = predictions["logits"], predictions["labels"]
    assert [Path(image["file"]).name for image in printed["images"]] == 2 * sorted(KINDS)
    assert [printed["classes"][label] for label in labels] == [Path(i["file"]).parent.name for i in printed["images"]]
    np.testing.assert_allclose([image["logits"] for image in printed["images"]], expected, atol=1e-4, rtol=0)
    assert np.abs(np.diff(expected, axis=0)).max() > 0.01, "the files are told apart"
    top = printed["images"][0]["classes"]
    assert top[0]["probability"] >= top[1]["probability"]
    assert sum(entry["probability"] for entry in top) == pytest.approx(1)

    one = str(test / "top" / "grey16-clear.png")
    alone = json.loads(_predict(capsys, study, one, "--json", *RUN)[1])["images"]
    assert alone == [image for image in printed["images"] if image["file"] == one], "alone it has the same logits"


@pytest.mark.slow
def test_the_winner_predicts_unless_a_run_is_named(of_files: Finished, capsys: pytest.CaptureFixture[str]) -> None:
    image, folder = str(_test_images(of_files) / "top" / "photo.jpg"), StudyFolder(of_files.folder)
    folder.write_best(None)
    assert _refused(capsys, of_files, image, *NETWORKS) == (
        f"{of_files.folder} has no winner (no final/best.json): name a final run, such as --run small-baseline/seed-0"
    )
    folder.write_best({"weights": "final/tiny-baseline/seed-1/model.safetensors"})
    try:
        status, out, err = _predict(capsys, of_files.folder, image)
    finally:
        folder.write_best(None)
    assert (status, err) == (0, f"The network is tiny, from the final run tiny-baseline/seed-1 of {of_files.folder}.\n")
    named = _predict(capsys, of_files.folder, image, *RUN)
    assert named == (0, out, err)
    header, line = out.splitlines()
    assert header.split() == ["image", "class", "next"]
    assert re.fullmatch(rf"{image}  (top|bottom) \d+\.\d%  (top|bottom) \d+\.\d%", line)


@pytest.mark.slow
def test_bad_images_are_named_and_the_others_predicted(
    of_files: Finished, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    images = tmp_path / "images"
    (images / ".hidden").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    for name in ("b.jpg", "a.png", ".hidden/x.png", ".x.png", "notes.txt", "no-extension"):
        Image.fromarray(_picture(1)).save(images / name, "PNG")
    (images / "c.jpg").write_text("<html>")
    status, out, err = _predict(capsys, of_files.folder, str(images), *RUN, *NETWORKS)
    assert status == 2
    assert [line.split()[0] for line in out.splitlines()[1:]] == [str(images / name) for name in ("a.png", "b.jpg")]
    assert err.splitlines()[1:] == [
        f"error: '{images / 'c.jpg'}' is not a readable image (it is an HTML page): remove or replace it"
    ]
    words = [str(images / "no-ext*"), str(images / "*.none"), str(tmp_path / "empty"), str(images / "a.png")]
    status, out, err = _predict(capsys, of_files.folder, *words, "--json", "--top", "1", *RUN)
    printed = json.loads(out)
    assert status == 2
    assert [Path(image["file"]).name for image in printed["images"]] == ["no-extension", "a.png"]
    assert [len(image["classes"]) for image in printed["images"]] == [1, 1]
    assert printed["unreadable"] == [
        {"file": words[1], "reason": "no file matches it"},
        {"file": words[2], "reason": "the folder holds no image"},
    ]
    assert err.startswith("error: 2 of 4 files are not readable images: ")
    assert _refused(capsys, of_files, "nothing.png", *RUN) == (
        "'nothing.png' is not a readable image (No such file or directory): remove or replace it"
    )


@pytest.mark.slow
def test_bad_input_is_one_line(of_files: Finished, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    image = str(_test_images(of_files) / "top" / "photo.jpg")
    forget_networks()
    unknown = "the network 'tiny' is not known here: name the file that registers it, --networks FILE"
    assert _refused(capsys, of_files, image, *RUN) == unknown
    path = tmp_path / "networks_of_mine.py"
    path.write_text("import torch\n1 / 0")
    assert _refused(capsys, of_files, image, *RUN, "--networks", str(path)).startswith(
        f"--networks '{path}': ZeroDivisionError: division by zero"
    )
    assert "is not a Python file" in _refused(capsys, of_files, image, *RUN, "--networks", str(tmp_path / "none.py"))
    register(
        Architecture(
            "tiny", "Tiny", lambda num_classes, dropout: torch.nn.Linear(3, num_classes), baseline={"dropout": 0.1}
        )
    )
    line = _refused(capsys, of_files, image, *RUN)
    assert line.startswith("the network 'tiny' is not the network that was trained: it has no layers.2.")
    assert "did you mean tiny-baseline/seed-1?" in _refused(capsys, of_files, image, "--run", "tiny-baseline/seed-7")
    assert _refused(capsys, of_files, image, "--top", "0") == "--top must be at least 1, not 0"
    assert main([str(tmp_path), image]) == 2
    assert "is not a study" in capsys.readouterr().err
    weights = of_files.folder / "final" / "tiny-baseline" / "seed-0" / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1])
    try:
        assert main([str(of_files.folder), image, "--run", "tiny-baseline/seed-0"]) == 1
    finally:
        weights.write_bytes(content)
    assert "model.safetensors is damaged" in capsys.readouterr().err


@pytest.mark.slow
def test_a_network_that_has_changed_is_said(of_files: Finished, capsys: pytest.CaptureFixture[str]) -> None:
    image = str(_test_images(of_files) / "top" / "photo.jpg")
    forget_networks()
    register_networks(Path(OWN_NETWORKS[0]))
    tiny = ARCHITECTURES.pop("tiny").factory

    class Changed(tiny):  # type: ignore[misc, valid-type]
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return -super().forward(images)

    register(Architecture("tiny", "Tiny", Changed, baseline={"dropout": 0.1}))
    status, _, err = _predict(capsys, of_files.folder, image, *RUN)
    assert status == 0
    assert err.startswith("warning: the network 'tiny' has changed since it was trained: ")
