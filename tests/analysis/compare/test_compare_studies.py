"""`python -m analysis.compare`: studies of the same images side by side, on their paired final runs."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.compare.__main__ import main
from analysis.results.load import load_results
from analysis.results.study_folder import StudyFolder
from analysis.statistics import compare
from analysis.statistics.comparison import holm
from tests.analysis.example_study import write_example

OTHERS = {"alexnet": "AlexNet", "resnet": "ResNet"}


def _compare(capsys: pytest.CaptureFixture[str], output: Path, *folders: StudyFolder) -> str:
    """Compare studies, and return what is printed, in one line."""
    assert main([*(str(folder.path) for folder in folders), "--output", str(output)]) == 0
    return " ".join(capsys.readouterr().out.split())


def _refused(capsys: pytest.CaptureFixture[str], *words: Path) -> str:
    """Return the one line of a comparison that writes nothing and ends with status 2."""
    output = words[0] / "comparison"
    assert main([*map(str, words), "--output", str(output)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and not output.exists()
    (line,) = err.splitlines()
    return line.removeprefix("error: ")


def _change(folder: StudyFolder, part: str, **changed: Any) -> None:
    study = folder.read_study()
    folder.write_study(study | {part: study[part] | changed})


def test_studies_stand_side_by_side_with_the_paired_interval(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = write_example(tmp_path / "first & best", seeds=5)
    second = write_example(tmp_path / "second", seeds=6)
    _change(second, "config", max_epochs=9)
    printed = _compare(capsys, tmp_path / "made", first, second)
    assert "The studies and their verdicts" in printed
    page = (tmp_path / "made" / "comparison.html").read_text()
    assert "2 studies of Digits" in page and "first &amp; best: AlexNet (tuned)" in page
    assert "http" not in page and "src=" not in page, "it holds everything it shows"
    differences = pd.read_csv(tmp_path / "made" / "differences.csv").set_index("a")
    expected = {}
    for arch, title in (("alexnet", "AlexNet"), ("mobilenet", "MobileNet-like")):
        sides = [load_results(folder).groups[f"{arch}-tuned"].correct()[:5] for folder in (first, second)]
        expected[f"first & best: {title} (tuned)"] = compare(*sides, paired=True)
    assert list(differences.index) == list(expected)
    for name, one in expected.items():
        row = differences.loc[name]
        assert row["b"] == name.replace("first & best", "second")
        assert (row["difference"], row["low"], row["high"]) == pytest.approx((one.mean, *one.ci95))
        assert row["seeds"] == 5
        assert f"{100 * one.mean:+.2f}".replace("-", "\N{MINUS SIGN}") in page
    assert list(differences["holm_p"]) == pytest.approx(holm([one.p_value for one in expected.values()]))
    networks = pd.read_csv(tmp_path / "made" / "networks.csv")
    assert list(networks["group"]) == 2 * ["alexnet-tuned", "mobilenet-tuned"]
    group = load_results(second).groups["alexnet-tuned"]
    row = networks[(networks["study"] == "second") & (networks["network"] == "alexnet")].iloc[0]
    assert (row["accuracy"], row["lr"]) == pytest.approx((group.correct().mean(), group.config["lr"]))
    assert row["accuracy_low"] < row["accuracy"] < row["accuracy_high"]
    assert "interval" in printed and "Holm" in printed and "\N{HORIZONTAL ELLIPSIS}" not in printed
    assert "max_epochs" in printed and "max_epochs" in page and "learning rate" not in page


def test_networks_that_one_study_lacks_are_compared_with_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = write_example(tmp_path / "first", seeds=5)
    second = write_example(tmp_path / "second", seeds=6, titles=OTHERS)
    _compare(capsys, tmp_path / "made", first, second)
    differences = pd.read_csv(tmp_path / "made" / "differences.csv")
    assert list(zip(differences["a"], differences["b"], strict=True)) == [
        ("first: AlexNet (tuned)", "second: AlexNet (tuned)"),
        ("first: AlexNet (tuned)", "second: ResNet (tuned)"),
        ("first: MobileNet-like (tuned)", "second: AlexNet (tuned)"),
        ("first: MobileNet-like (tuned)", "second: ResNet (tuned)"),
    ]
    p = differences["p"].to_list()
    assert differences["holm_p"].to_list() == pytest.approx([p[0], *holm(p[1:])]), "two families"


def test_runs_that_are_not_paired_or_are_the_same_get_no_interval(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, copy = (write_example(tmp_path / name / "study", seeds=5) for name in ("first", "copy"))
    printed = _compare(capsys, tmp_path / "made", first, copy)
    reasons = pd.read_csv(tmp_path / "made" / "differences.csv")
    assert set(reasons["reason"]) == {"the same final runs: every answer is equal"}
    assert reasons["a"][0] == f"{first.path}: AlexNet (tuned)", "both studies have one name"
    assert "Settings that differ" not in printed
    assert "The studies have the same settings" in (tmp_path / "made" / "comparison.html").read_text()
    _change(copy, "config", seed=3)
    _compare(capsys, tmp_path / "made", first, copy)
    differences = pd.read_csv(tmp_path / "made" / "differences.csv")
    assert set(differences["reason"]) == {"not paired: the studies have --seed 0 and --seed 3"}
    assert "difference" not in differences and differences["call"].isna().all()


def test_studies_that_cannot_be_compared_are_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = write_example(tmp_path / "first", seeds=2)
    assert _refused(capsys, first.path) == f"{first.path} is one study alone: give the folders of two or more studies"
    assert _refused(capsys, first.path, first.path).startswith("one study cannot be compared with itself")
    assert f"{tmp_path} is not a study" in _refused(capsys, first.path, tmp_path)
    begun = write_example(tmp_path / "begun", seeds=0)
    assert _refused(capsys, first.path, begun.path).startswith(f"{begun.path} has no final run yet")
    other = write_example(tmp_path / "other", seeds=2)
    _change(other, "data", fingerprint="f" * 64, title="Letters")
    assert _refused(capsys, first.path, other.path) == (
        f"{other.path} is a study of other images (Letters, ffffffffffff) than {first.path} (Digits, 0123456789ab):"
        " compare studies of the same data, --train-size and --train-seed"
    )
    (first.path / "study.json").write_text(json.dumps({}))
    assert main([str(first.path), str(other.path)]) == 1
    assert "study.json is not the description of a study" in capsys.readouterr().err


def test_labels_that_differ_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = write_example(tmp_path / "first", seeds=2), write_example(tmp_path / "second", seeds=2, trials=7)
    labels = [load_results(folder).groups["alexnet-tuned"].labels for folder in (first, second)]
    assert not np.array_equal(*labels)
    assert "were judged on different test images" in _refused(capsys, first.path, second.path)
