"""The examples of docs/python.md run and show what the page says."""

import doctest
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.networks.registry import ARCHITECTURES
from tests.builders import ToyNet
from tests.study.export.trained import write_trained

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
EXAMPLE = Path(__file__).parents[1] / "example-study"
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.DOTALL | re.MULTILINE))


def _run(title: str, capsys: pytest.CaptureFixture[str]) -> None:
    test = doctest.DocTestParser().get_doctest(SECTIONS[title], {}, title, str(PAGE), 0)
    assert test.examples
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    runner.run(test)
    assert runner.summarize(verbose=False).failed == 0, capsys.readouterr().out


def test_every_example_is_tried() -> None:
    titles = [title for title, text in SECTIONS.items() if ">>>" in text]
    assert titles == ["Run a study", "Look at a study", "Predict images"]


@pytest.mark.slow
@pytest.mark.usefixtures("in_process")
def test_run_a_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("alexnet", "mobilenet"):  # other tests train them
        monkeypatch.setitem(ARCHITECTURES, name, replace(ARCHITECTURES[name], factory=ToyNet))
    monkeypatch.chdir(tmp_path)
    _run("Run a study", capsys)
    assert (tmp_path / "results" / "first" / "report" / "report.html").is_file()


def test_look_at_a_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(EXAMPLE, tmp_path / "results" / "digits")
    monkeypatch.chdir(tmp_path)
    _run("Look at a study", capsys)
    assert (tmp_path / "accuracy.pdf").is_file()


def test_predict_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    write_trained(tmp_path / "results" / "pets", "mobilenet", classes=("cat", "dog"))
    (tmp_path / "photos").mkdir()
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (40, 50, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    _run("Predict images", capsys)
