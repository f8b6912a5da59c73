"""`python -m study.export`: the ONNX file answers as the network does, and the card says how to load it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from analysis.results.study_folder import StudyFolder
from analysis.verdict.shipping.exported import outdated_export
from models.onnx_network import open_session
from study.export.__main__ import main
from study.predict.predictor import load_predictor
from tests.study.export.trained import CLASSES, STATISTICS, write_trained

pytestmark = pytest.mark.onnx
TOY = "tests.builders:ToyNet"
RUN = ["--run", "toy-baseline/seed-0"]


def _run(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    status = main([str(word) for word in words])
    return (status, *capsys.readouterr())


def _refused(capsys: pytest.CaptureFixture[str], status: int, *words: str | Path) -> str:
    """Return the one line of a command that prints nothing else and ends with this status."""
    ended, out, err = _run(capsys, *words)
    assert (ended, out) == (status, "")
    (line,) = err.splitlines()
    return line.removeprefix("error: ")


def _check_answers(folder: StudyFolder, path: Path, size: int) -> Any:
    """Compare the file's answers with the network's on images that were normalised here. Return the session."""
    session = open_session(path.read_bytes())
    network = load_predictor(folder, None).network
    for n in (1, 5):
        images = np.random.default_rng(n).integers(0, 256, (n, size, size, 3), np.uint8)
        normalised = ((images - STATISTICS.mean) / STATISTICS.deviation).transpose(0, 3, 1, 2)
        with torch.no_grad():
            expected = network(torch.from_numpy(normalised)).numpy()
        (logits,) = session.run(None, {"images": images})
        assert logits.dtype == np.float32
        np.testing.assert_allclose(logits, expected, atol=1e-4, rtol=0)
        assert np.ptp(logits) > 0.01
    return session


@pytest.mark.parametrize(("arch", "size"), [("alexnet", 32), ("mobilenet", 48)])
def test_a_documented_network_is_written(
    arch: str, size: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_trained(tmp_path / "study", arch, size=size)
    assert _run(capsys, folder.path)[0] == 0
    _check_answers(folder, folder.path / "winner.onnx", size)
    assert outdated_export(folder) is None


def test_a_network_by_its_import_path_is_written_with_a_card(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_trained(tmp_path / "study", "toy", factory=TOY)
    status, out, err = _run(capsys, folder.path)
    assert (status, err) == (0, "")
    path, card = folder.path / "winner.onnx", folder.path / "MODEL_CARD.md"
    first, in_torch, kept, last = out.splitlines()
    assert first == f"{path}  toy, from the final run toy-baseline/seed-0 of {folder.path}"
    assert re.fullmatch(
        r"67 random images and 6 test images of the study: the file and PyTorch in fp32 differ by at most \S+"
        r" \(limit 1.0e-04\) and give the same class for 73 of 73 images\.",
        in_torch,
    )
    assert re.fullmatch(
        r"6 test images of the study: the file and predictions\.npz, made in fp32, differ by at most \S+"
        r" \(limit 1.0e-04\) and give the same class for 6 of 6 images\.",
        kept,
    )
    assert last == str(card)

    session = _check_answers(folder, path, 32)
    assert session.get_inputs()[0].shape[1:] == [32, 32, 3]
    metadata = session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["classes"]) == list(CLASSES)
    assert json.loads(metadata["configuration"]) == {"lr": 1e-3, "dropout": 0.25}
    assert json.loads(metadata["normalisation"]) == {"mean": [120, 110, 100], "deviation": [60, 61, 62]}
    assert (metadata["image_size"], metadata["study_id"], metadata["output"]) == ("32", "0" * 32, "logits")
    assert metadata["version"].startswith("fairverdict ")
    assert str(Path.cwd()).encode() not in path.read_bytes()

    text = card.read_text()
    assert "# Toy for Digits\n" in text
    assert "Expect 100.00 % accuracy on new images like the test images." in text
    assert "There is no verdict: nothing was tuned." in text
    assert f"- {kept}" in text
    code = "\n".join(re.findall("^    (.*)$", text.partition("## Load it")[2].partition("The input")[0], re.MULTILINE))
    assert "torch" not in code and len([line for line in code.splitlines() if line]) <= 10
    done = subprocess.run([sys.executable, "-c", code], cwd=folder.path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() in {str([name]) for name in CLASSES}
    assert not list(folder.path.glob(".*"))


def test_probabilities_are_the_softmax_of_the_logits_also_of_a_study_in_bf16(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_trained(tmp_path / "study", "toy", factory=TOY, precision="bf16")
    path = tmp_path / "elsewhere" / "small.onnx"
    status, out, _ = _run(capsys, folder.path, *RUN, "--softmax", "--output", path)
    assert status == 0
    assert "predictions.npz, made in bf16, differ by at most" in out
    assert (path.parent / "small-MODEL_CARD.md").exists() and not (folder.path / "winner.onnx").exists()
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
    (probabilities,) = open_session(path.read_bytes()).run(["probabilities"], {"images": images})
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    assert np.ptp(probabilities) > 0.01
    assert _run(capsys, folder.path, *RUN)[0] == 0
    (logits,) = open_session((folder.path / "toy-baseline-seed-0.onnx").read_bytes()).run(None, {"images": images})
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probabilities, softmax, atol=1e-5)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_nothing_is_written_if_the_study_predicted_something_else(
    precision: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_trained(tmp_path / "study", "toy", factory=TOY, precision=precision)
    before = sorted(os.listdir(folder.path))
    run = folder.final.read("toy-baseline", 0, weights=True)
    run.logits[:] = np.roll(run.logits, 1, axis=1)
    folder.final.write(run)
    line = _refused(capsys, 1, folder.path)
    assert line.startswith(
        "the ONNX form does not predict as the network does: 6 test images of the study: the file and predictions.npz,"
        f" made in {precision}, differ by at most "
    )
    assert sorted(os.listdir(folder.path)) == before


def test_bad_input_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _refused(capsys, 2, tmp_path).startswith(f"{tmp_path} is not a study")
    undecided = write_trained(tmp_path / "undecided", "undecided", factory="tests.builders:Undecided")
    line = _refused(capsys, 2, undecided.path)
    assert line.startswith("the network 'undecided': torch cannot write it as ONNX (")
    folder = write_trained(tmp_path / "study", "toy", factory=TOY)
    (tmp_path / "taken.onnx").mkdir()
    line = _refused(capsys, 2, folder.path, "--output", tmp_path / "taken.onnx")
    assert line == f"{tmp_path / 'taken.onnx'} cannot be written (Is a directory): name another file with --output"
    folder.write_best(None)
    assert "has no winner (no final/best.json): name a final run, such as --run toy-baseline/seed-0" in _refused(
        capsys, 2, folder.path
    )
    monkeypatch.setattr("models.onnx_network.find_spec", lambda name: None if name != "onnx" else object())
    line = _refused(capsys, 2, folder.path, *RUN)
    assert line == "an export needs onnxscript, onnxruntime: pip install onnxscript onnxruntime"
