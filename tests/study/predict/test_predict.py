"""`python -m study.predict`: the study's own predictions for every kind of file, and what it says of bad input."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from analysis.results.study_folder import StudyFolder
from models.networks.registry import ARCHITECTURES
from study.predict.__main__ import main
from tests.image_files import KINDS
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
        return programs.run_study([*BUDGET, *data, "--archs", "tiny", "small", "--name", "of_files"], cwd)

    return shared("of_files", make)


@pytest.fixture(autouse=True)
def networks() -> Iterator[None]:
    """Forget the networks that a test has registered."""
    before = dict(ARCHITECTURES)
    yield
    ARCHITECTURES.clear()
    ARCHITECTURES.update(before)


def _predict(capsys: pytest.CaptureFixture[str], study: Path, *words: str) -> tuple[int, str, str]:
    status = main([str(study), *words])
    return (status, *capsys.readouterr())


@pytest.mark.slow
def test_the_logits_of_every_kind_of_file_are_the_studys_own(
    of_files: Finished, capsys: pytest.CaptureFixture[str]
) -> None:
    study, test = of_files.folder, of_files.folder.parents[1] / "images" / "test"
    assert "6 of 108 images have 16 bits a pixel, but no value over 4," in of_files.done.stderr
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


@pytest.mark.slow
def test_the_winner_predicts_unless_a_run_is_named(of_files: Finished, capsys: pytest.CaptureFixture[str]) -> None:
    study, image = of_files.folder, str(of_files.folder.parents[1] / "images/test/top/photo.jpg")
    folder = StudyFolder(study)
    folder.write_best(None)
    status, out, err = _predict(capsys, study, image, *NETWORKS)
    assert (status, out) == (2, "")
    assert "has no winner (no final/best.json): name a final run, such as --run small-baseline/seed-0" in err
    try:
        folder.write_best({"weights": "final/tiny-baseline/seed-1/model.safetensors"})
        ARCHITECTURES.pop("tiny"), ARCHITECTURES.pop("small")
    except KeyError:
        pass
    status, out, err = _predict(capsys, study, image)
    folder.write_best(None)
    assert (status, out) == (2, "")
    assert "the network 'tiny' is not known here: name the file that registers it, --networks FILE" in err
