"""The report says what the study's folder holds, and nothing that lies outside it."""

import base64
import html
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.report import build_report, main
from study.errors import BadInput
from study.folder import FinalRun, StudyFolder
from tests.analysis.example_study import write_example

NASTY = "<script>alert(1)</script>"


def table(page: str, name: str) -> list[list[str]]:
    """The body of a table of the page, cell by cell."""
    found = re.search(rf'<table id="{name}">.*?<tbody>(.*?)</tbody>', page, re.DOTALL)
    assert found, f"there is no table {name}"
    rows = re.findall(r"<tr>(.*?)</tr>", found[1], re.DOTALL)
    return [[html.unescape(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)] for row in rows]


def words(page: str) -> str:
    """The page's text, in which white space is one blank."""
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    folder = write_example(tmp_path_factory.mktemp("studies") / "example", diverged=("mobilenet-tuned", 1))
    build_report(folder)
    return folder


@pytest.fixture(scope="module")
def page(folder: StudyFolder) -> str:
    return (folder.report / "report.html").read_text()


def test_numbers_of_the_page_are_those_of_the_summary(folder: StudyFolder, page: str) -> None:
    summary = json.loads((folder.report / "summary.json").read_text())
    rows = table(page, "quality")
    assert [row[0] for row in rows] == [group["title"] for group in summary["groups"].values()]
    for row, group in zip(rows, summary["groups"].values(), strict=True):
        accuracy = group["accuracy"]
        assert row[1] == f"{100 * accuracy['mean']:.1f} ± {100 * accuracy['sd']:.1f}"
        assert row[2] == "[{:.1f}, {:.1f}]".format(*(100 * limit for limit in accuracy["ci95"]))
        assert row[3:6] == [f"{100 * group[metric]['mean']:.1f}" for metric in ("precision", "recall", "f1")]
        assert float(row[6]) == pytest.approx(group["config"]["lr"], rel=0.01)
        assert row[8] == "3"
    assert table(page, "cost")[0] == ["AlexNet", "2.10", "2.40", "3.20", "2,500", "6,387,658", "83.6 M"]
    for row, spent in zip(table(page, "budget-table"), summary["budget"].values(), strict=True):
        assert row[1:3] == [str(spent["trials"]), str(spent["epochs"])]


def test_csv_holds_a_row_a_group(folder: StudyFolder) -> None:
    summary = json.loads((folder.report / "summary.json").read_text())
    comparison = pd.read_csv(folder.report / "comparison.csv")
    assert comparison["group"].tolist() == list(summary["groups"])
    np.testing.assert_allclose(
        comparison["accuracy"], [group["accuracy"]["mean"] for group in summary["groups"].values()]
    )


def test_trials_are_counted_by_how_they_ended(folder: StudyFolder, page: str) -> None:
    trials = folder.read_trials()
    assert trials is not None
    for row, (_, own) in zip(table(page, "search-digest"), trials.groupby("arch"), strict=True):
        ended = [int((own["status"] == s).sum()) for s in ("COMPLETE", "STOPPED_EARLY", "PRUNED", "DIVERGED", "FAILED")]
        assert row[1:7] == [str(count) for count in [len(own), *ended]]
        assert row[7] in set(own["trial_id"])
    assert [row[0].split()[0] for row in table(page, "trials")] == trials["trial_id"].tolist()


def test_page_says_what_it_must(page: str) -> None:
    shown = words(page)
    assert "No verdict was computed for this study." in shown
    assert "Training diverged in MobileNet-like, tuned, seed 1" in shown
    assert "Baselines are documented recipes, not equal settings" in shown
    assert "0123456789abcdef0123456789abcdef01234567" in shown, "the commit"
    assert "This study is not complete" not in shown


def test_page_needs_nothing_else(page: str) -> None:
    fetched = re.findall(r'(?:src|href|srcset)\s*=\s*"([^"]*)"|url\(([^)]*)\)', page)
    assert fetched
    for attribute, css in fetched:
        kind, data = (attribute or css).split(",")
        assert kind == "data:image/svg+xml;base64"
        image = base64.b64decode(data).decode()
        assert all(link.startswith(("#", "data:")) for link in re.findall(r'href="([^"]*)"', image))
    assert "<script" not in page
    assert "@import" not in page
    assert len(page) < 3_000_000
    assert all(re.search(r'alt="[^"]{20,}"', image) for image in re.findall(r"<img[^>]*>", page))


def test_every_figure_is_also_a_file(folder: StudyFolder, page: str) -> None:
    figures = {path.stem for path in folder.report.glob("*.svg")}
    assert figures == {path.stem for path in folder.report.glob("*.png")}
    assert len(figures) == page.count("<img")
    assert {"accuracy-by-group", "search-curves", "final-curves", "confusion-alexnet-tuned", "samples-right"} <= figures


def test_rebuilt_or_moved_it_is_the_same(folder: StudyFolder, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    shutil.copytree(folder.path, moved)
    shutil.rmtree(moved / "report")
    build_report(StudyFolder.open(moved))
    before = {path.name: path.read_bytes() for path in folder.report.iterdir()}
    assert {path.name: path.read_bytes() for path in (moved / "report").iterdir()} == before


def test_names_are_text(tmp_path: Path) -> None:
    titles = {"one": NASTY, "two": "$x_1$ & co", "three": "Three"}
    folder = write_example(
        tmp_path / "s", titles=titles, classes=[NASTY, "$a$", "猫"], same_as=["two"], seeds=2, trials=3
    )
    page = build_report(folder).read_text()
    assert "<script" not in page
    assert [row[0] for row in table(page, "cost")] == list(titles.values())
    assert "$x_1$ & co, tuned (the baseline)" in [row[0] for row in table(page, "quality")]
    assert not (folder.report / "confusion-two-tuned.svg").exists(), "the same runs are drawn once"


def test_one_architecture_without_a_search(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_example(tmp_path / "s", titles={"alexnet": "AlexNet"}, search=False, seeds=1)
    assert main([str(folder.path)]) == 0
    assert capsys.readouterr().out.strip() == str(folder.report / "report.html")
    page = (folder.report / "report.html").read_text()
    ((title, accuracy, interval, *_),) = table(page, "quality")
    assert (title, interval) == ("AlexNet, baseline", "\N{EN DASH}")
    assert re.fullmatch(r"\d+\.\d", accuracy)
    assert "Nothing was tuned" in words(page)
    assert "The search" not in words(page)
    assert "This study is not complete" not in words(page)


def test_unfinished_study_says_what_is_missing(tmp_path: Path) -> None:
    folder = write_example(
        tmp_path / "s",
        classes=["cat", "dog"],
        n_test=40,
        skip=["mobilenet-tuned", ("alexnet-tuned", 0), ("alexnet-tuned", 2)],
        latency=False,
    )
    trials = folder.read_trials()
    assert trials is not None
    folder.write_trials(trials.iloc[:-2])
    shown = words(build_report(folder).read_text())
    assert "This study is not complete" in shown
    assert "MobileNet-like: 4 of 6 trials of the search are there." in shown
    assert "MobileNet-like, tuned: no final run is there." in shown
    assert "AlexNet, tuned: seeds without a final run: 0 and 2." in shown
    assert "The time of a prediction was not measured." in shown


def test_study_that_only_began(tmp_path: Path) -> None:
    folder = write_example(tmp_path / "s")
    shutil.rmtree(folder.path / "final")
    (folder.path / "trials.csv").unlink()
    (folder.path / "history.csv").unlink()
    assert "No final run is there yet." in words(build_report(folder).read_text())


def test_different_test_images_are_refused(tmp_path: Path) -> None:
    folder = write_example(tmp_path / "s", search=False, seeds=1)
    run = folder.read_final_run("mobilenet-baseline", 0)
    folder.write_final_run(FinalRun(run.group, 0, run.metrics, run.history, run.logits, run.labels[::-1]))
    with pytest.raises(BadInput, match=r"mobilenet-baseline \(seed 0\).*different test images"):
        build_report(folder)


def test_command_line_ends_in_one_line(folder: StudyFolder, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main([str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and "is not a study" in error and error.count("\n") == 1

    damaged = tmp_path / "damaged"
    shutil.copytree(folder.path, damaged)
    predictions = StudyFolder(damaged).run_path("alexnet-tuned", 1) / "predictions.npz"
    predictions.write_bytes(b"PK")
    assert main([str(damaged)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and str(predictions) in error and error.count("\n") == 1
