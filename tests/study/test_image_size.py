"""A whole study of images of 48 pixels a side."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from analysis.results.study_folder import StudyFolder
from models.networks.inspection.cost import count_macs
from models.networks.registry import ARCHITECTURES
from study.predict.__main__ import main
from tests.in_process import run_here
from tests.processes import BUDGET

RNG = np.random.default_rng(0)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Return a folder of photographs of other sizes, whose classes are lines that are close or far apart."""
    for part, count in (("train", 30), ("test", 12)):
        for label, name in enumerate(("close", "far")):
            (tmp_path / "images" / part / name).mkdir(parents=True)
            for number in range(count):
                lines = (np.arange(90) // (1 + 3 * label) % 2 * 120)[:, np.newaxis, np.newaxis]
                pixels = (lines + RNG.integers(0, 120, (90, 70, 3))).astype(np.uint8)
                Image.fromarray(pixels).save(tmp_path / "images" / part / name / f"{number:02}.png")
    return tmp_path / "images"


@pytest.mark.slow
def test_a_study_of_48_pixels_and_its_predictions(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--dataset", "folder", "--data-dir", "images", "--image-size", "48", "--archs", "mobilenet"]
    words += ["--train-size", "none", "--batch-size", "16", "--trials", "1", "--seeds", "1", "--name", "large"]
    done = run_here([*BUDGET, *words], tmp_path)
    assert (done.returncode, done.stderr) == (0, f"Reading 84 images from {images}\n")
    assert "48x48 pixels" in done.stdout
    folder = StudyFolder(tmp_path / "results" / "large")
    study = folder.read_study()
    assert study["config"]["image_size"] == 48
    mobilenet = ARCHITECTURES["mobilenet"].build(2, {})
    assert study["architectures"]["mobilenet"]["macs"] == count_macs(mobilenet, 48) > 2 * count_macs(mobilenet, 32)
    samples = folder.read_samples()
    assert samples is not None and samples.images.shape[1:] == (48, 48, 3)
    assert "scaled to 48x48 pixels" in (folder.report / "report.html").read_text()

    run = next(iter((folder.path / "final").glob("mobilenet-*/seed-0")))
    name = str(run.relative_to(folder.path / "final"))
    assert main([str(folder.path), str(images / "test"), "--json", "--run", name]) == 0
    printed = json.loads(capsys.readouterr().out)["images"]
    with np.load(run / "predictions.npz") as predictions:
        expected = predictions["logits"]
    assert len(printed) == len(expected) == 24
    np.testing.assert_allclose([image["logits"] for image in printed], expected, atol=1e-4, rtol=0)
    assert np.ptp(expected, axis=0).min() > 0.01, "the files are told apart"
