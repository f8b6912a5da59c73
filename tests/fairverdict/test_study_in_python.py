"""A study in Python says what its report and its commands say."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from analysis.results.study_folder import StudyFolder
from analysis.verdict.summary_json import Summary
from fairverdict import Study
from study.predict.__main__ import main as predict_command
from tests.analysis.example_study import write_example
from tests.analysis.pages import draw_only, leave_out_figures
from tests.study.export.trained import CLASSES, write_trained

EXAMPLE = Path(__file__).parents[1] / "example-study"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    path = tmp_path_factory.mktemp("results") / "digits"
    shutil.copytree(EXAMPLE, path)
    made = Study.open(path)
    with pytest.MonkeyPatch.context() as patch:
        leave_out_figures(patch)
        assert made.report() == path / "report" / "report.html"
    return made


def test_numbers_are_the_reports(study: Study) -> None:
    report = study.folder / "report"
    written = json.loads((report / "summary.json").read_text())
    assert study.summary == Summary.model_validate(written)
    verdict = study.verdict
    found = written["verdict"]
    assert (verdict.call, verdict.winner, verdict.difference) == ("better", "alexnet", found["difference"]["mean"])
    assert list(verdict.ci95) == found["difference"]["ci95"]
    assert str(verdict).splitlines()[1:3] == [written["headline"], written["accuracies"]]
    assert written["headline"] in verdict._repr_html_() and written["headline"] in study._repr_html_()
    for name, table in (("comparison", study.comparison), ("comparisons", study.comparisons)):
        pd.testing.assert_frame_equal(table, pd.read_csv(report / f"{name}.csv"), check_dtype=False)
    for name, table in (("trials", study.trials), ("history", study.history)):
        pd.testing.assert_frame_equal(table[["trial_id"]], pd.read_csv(study.folder / f"{name}.csv")[["trial_id"]])
    assert study.limits[0] == f"Could overturn the result: {written['doubt'][0]}"
    assert study.config["trials"] == 6


def test_what_a_user_does_to_a_table_stays_with_the_user(study: Study) -> None:
    del study.trials["lr"]
    assert "lr" in study.trials


def test_predictions_are_the_classes_of_each_run(study: Study) -> None:
    assert study.groups == ["alexnet-baseline", "alexnet-tuned", "mobilenet-baseline", "mobilenet-tuned"]
    table = study.predictions("alexnet-tuned")
    assert list(table) == ["label", *(f"seed-{seed}" for seed in range(5))]
    right = [(table[f"seed-{seed}"] == table["label"]).mean() for seed in range(5)]
    assert right == study.summary.groups["alexnet-tuned"].accuracy.values
    with pytest.raises(ValueError, match=r"^the study has no group 'alexnet-tunned': did you mean alexnet-tuned\?$"):
        study.predictions("alexnet-tunned")


@pytest.mark.slow
def test_figures_are_the_reports(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    draw_only(monkeypatch, "accuracy-by-group")
    study.report()
    assert set(study.figures) == {path.stem for path in (study.folder / "report").glob("*.svg")}
    figure: Any = study.figure("accuracy-by-group")
    assert isinstance(figure, Figure)
    png, shown = figure._repr_png_()
    assert png.startswith(b"\x89PNG") and shown["alt"].startswith("Test accuracy of every seed")
    with pytest.raises(ValueError, match=r"^the study has no figure 'accuracy': did you mean accuracy-by-group\?$"):
        study.figure("accuracy")


def test_an_unfinished_study_says_what_it_lacks(tmp_path: Path) -> None:
    folder = write_example(
        tmp_path / "results" / "new", seeds=1, search=False, latency=False, skip=["mobilenet-baseline"]
    )
    study = Study.open(folder.path)
    assert (study.verdict.call, study.verdict.winner, study.verdict.difference) == (None, None, None)
    assert str(study.verdict).startswith("There is no verdict")
    assert "MobileNet-like (baseline): no final run is there." in study.limits
    assert len(study.trials) == len(study.history) == len(study.comparisons) == 0


def test_the_newest_study_is_opened_without_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"^there is no study in results"):
        Study.open()
    write_example(tmp_path / "results" / "one", seeds=1, search=False)
    study = Study.open()
    monkeypatch.chdir("/")
    assert repr(study) == "<Study 'one'>" and study.groups == ["alexnet-baseline", "mobilenet-baseline"]


def test_a_damaged_file_is_named_in_one_line(tmp_path: Path) -> None:
    folder = write_example(tmp_path / "study", seeds=1, search=False)
    (folder.path / "final" / "latency.json").write_text("{}")
    study = Study.open(folder.path)
    with pytest.raises(ValueError, match=r"^.*latency\.json is damaged: .*$"):
        _ = study.verdict
    (folder.path / "study.json").write_text("{")
    with pytest.raises(ValueError, match=r"^.*study\.json is not readable as JSON.*$"):
        Study.open(folder.path)


@pytest.fixture
def trained(tmp_path: Path) -> StudyFolder:
    """Return a study with weights, beside a folder `photos` of pictures."""
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for number in range(5):
        Image.fromarray(rng.integers(0, 256, (40, 50, 3), np.uint8)).save(tmp_path / "photos" / f"{number}.png")
    return write_trained(tmp_path / "study", "mobilenet", precision="bf16")


def _arrays(folder: Path) -> list[np.ndarray]:
    return [np.asarray(Image.open(path)) for path in sorted(folder.iterdir())]


FORMS: dict[str, Callable[[Path], Any]] = {
    "a folder": lambda folder: folder,
    "a pattern": lambda folder: f"{folder}/*.png",
    "files": lambda folder: sorted(folder.iterdir()),
    "an array": lambda folder: np.stack(_arrays(folder)),
    "arrays": _arrays,
    "PIL images": lambda folder: [Image.open(path) for path in sorted(folder.iterdir())],
}


@pytest.mark.parametrize("form", FORMS)
def test_predict_is_the_command_to_the_bit(
    form: str, trained: StudyFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict_command([str(trained.path), str(tmp_path / "photos"), "--json"]) == 0
    images = json.loads(capsys.readouterr().out)["images"]
    before = dict(os.environ)
    found = Study.open(trained.path).predict(FORMS[form](tmp_path / "photos"))
    assert dict(os.environ) == before
    assert sorted(found) == sorted(CLASSES)
    for image, (name, row) in zip(images, found.iterrows(), strict=True):
        assert {entry["class"]: entry["probability"] for entry in image["classes"]} == row.to_dict()
        assert name == image["file"] or isinstance(name, int)


def test_a_run_or_a_network_may_be_named(trained: StudyFolder, tmp_path: Path) -> None:
    study, photo = Study.open(trained.path), tmp_path / "photos" / "1.png"
    best = study.predict(photo)
    trained.write_best(None)
    with pytest.raises(ValueError, match="has no winner"):
        study.predict(photo)
    pd.testing.assert_frame_equal(study.predict(photo, run="mobilenet-baseline/seed-0"), best)
    pd.testing.assert_frame_equal(study.predict(photo, arch="mobilenet"), best)
    with pytest.raises(ValueError, match=r"^the study has no network 'mobilnet': did you mean mobilenet\?$"):
        study.predict(photo, arch="mobilnet")
    with pytest.raises(ValueError, match=r"^the study has no network 'resnet': choose from mobilenet$"):
        study.predict(photo, arch="resnet")


@pytest.mark.parametrize(
    ("images", "line"),
    [
        ("nowhere.png", "'nowhere.png' is not a readable image (No such file or directory): remove or replace it"),
        ([], "there is no image: give files, arrays or PIL images"),
        (np.zeros((2, 8, 8, 3)), "the array of images is float64 [2, 8, 8, 3]: give uint8 [n, height, width, 3]"),
        (["a.png", np.zeros((8, 8, 3), np.uint8)], "the images must be all files, all arrays or all PIL images"),
        (
            [Image.new("F", (8, 8))],
            "image 0 cannot be used (signed, 32-bit and floating-point pixels have no fixed range)",
        ),
    ],
    ids=["missing", "none", "float", "mixed", "no range"],
)
def test_images_that_cannot_be_used_are_named(images: Any, line: str, trained: StudyFolder) -> None:
    with pytest.raises(ValueError) as raised:
        Study.open(trained.path).predict(images)
    assert str(raised.value).startswith(line)
