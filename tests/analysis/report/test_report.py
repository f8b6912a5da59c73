"""The report says what the study's folder holds, and nothing that lies outside it."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.report.__main__ import main
from analysis.report.build import build_report
from analysis.results.load import load_results
from analysis.results.study_folder import StudyFolder
from analysis.statistics.search_progress import best_score
from tests.analysis.example_study import write_example
from tests.analysis.pages import table, words

ROOT = Path(__file__).parents[3]


# Draws some of the figures, because drawing takes most of a report's time; the others are empty.
REPORT = """
import sys
from matplotlib.figure import Figure
from analysis.figures import catalogue
from analysis.report.__main__ import main
draw = catalogue._both
catalogue._both = lambda name, alt, *rest: (
    draw(name, alt, *rest) if name.startswith(("accuracy", "confusion")) else catalogue.Picture(name, alt, Figure())
)
assert main(sys.argv[1:]) == 0
print(*sys.modules)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[StudyFolder, set[str]]:
    """Return a study whose report the command has made, and the modules that the command imported."""
    path = tmp_path_factory.mktemp("studies") / "example"
    folder = write_example(path, diverged=("mobilenet-tuned", 1), confirm=True)
    folder.report.mkdir()
    for name in ("of-an-earlier-report.svg", "of-an-earlier-report.pdf", "notes.txt"):
        (folder.report / name).touch()
    folder.write_best({"group": "of an earlier report"})
    command = [sys.executable, "-c", REPORT, str(path)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    return folder, set(printed.split())


@pytest.fixture(scope="module")
def folder(made: tuple[StudyFolder, set[str]]) -> StudyFolder:
    return made[0]


@pytest.fixture(scope="module")
def page(folder: StudyFolder) -> str:
    return (folder.report / "report.html").read_text()


def test_numbers_of_the_page_are_those_of_the_summary(folder: StudyFolder, page: str) -> None:
    summary = json.loads((folder.report / "summary.json").read_text())
    rows = table(page, "quality")
    assert [row[0] for row in rows] == [group["title"] for group in summary["groups"].values()]
    for row, group in zip(rows, summary["groups"].values(), strict=True):
        for cell, metric in zip(row[1:5], ("accuracy", "precision", "recall", "f1"), strict=True):
            mean, sd = (100 * group[metric][key] for key in ("mean", "sd"))
            low, high = (100 * limit for limit in group[metric]["ci95"])
            assert cell == f"{mean:.1f} ± {sd:.1f}\n[{low:.1f}, {high:.1f}]"
        assert float(row[5]) == pytest.approx(group["config"]["lr"], rel=0.01)
        assert row[7] == "3"
    assert table(page, "cost")[0] == ["AlexNet", "2.10", "2.40", "3.20", "2,500", "6,387,658", "83.6 M"]
    results = load_results(folder)
    fewest = min(spent["epochs"] for spent in summary["budget"].values())
    assert f"best score after {fewest} epochs" in words(page)
    for row, (arch, spent) in zip(table(page, "budget-table"), summary["budget"].items(), strict=True):
        assert row[1:3] == [str(spent["trials"]), str(spent["epochs"])]
        assert row[5:] == [f"{100 * (best_score(results.history_of(arch), cut) or 0):.1f}" for cut in (None, fewest)]


def test_every_comparison_is_a_row_and_the_verdict_is_on_top(folder: StudyFolder, page: str) -> None:
    summary = json.loads((folder.report / "summary.json").read_text())
    rows = table(page, "comparisons-table")
    assert len(rows) == len(summary["comparisons"]) == 3
    assert rows[0][0] == "AlexNet (tuned) against MobileNet-like (tuned)"
    for row, made in zip(rows, summary["comparisons"], strict=True):
        shown = [cell.replace("\N{MINUS SIGN}", "-") for cell in row]
        low, high = made["difference"]["ci95"]
        assert shown[1] == made["call"]
        assert shown[2:4] == [f"{100 * made['difference']['mean']:+.2f}", f"[{100 * low:+.2f}, {100 * high:+.2f}]"]
        assert shown[4:6] == [f"{made[key]:.3f}" for key in ("p_value", "holm_p")]
        wins = made["prob_better"]
        assert shown[6:] == [f"{3 * wins:.4g} of 3 ({100 * wins:.0f} %)", f"{made['seed_correlation']:.2f}"]
    shown = words(page)
    box = " ".join(summary[key] for key in ("label", "headline", "accuracies", "price"))
    doubts = " ".join(f"Could overturn the result: {doubt}" for doubt in summary["doubt"])
    assert f"Verdict: {box} {doubts} Limits of this result" in shown
    assert summary["label"] == "not shown, because there are too few seeds"
    assert shown.index("Every comparison") < shown.index(summary["verdict"]["text"])
    assert re.search(r"<details[^>]*>(?:(?!</details>).)*comparisons-table", page, re.DOTALL), "statistics are folded"
    for made in summary["comparisons"][1:]:
        assert shown.index("Did tuning help?") < shown.index(made["text"])
    headings = re.findall(r'<h[23] id="([^"]*)"', page)
    parts = ["verdict", "caveats", "comparisons", "evidence", "search", "budget", "provenance", "reuse", "glossary"]
    assert [heading for heading in headings if heading in parts] == parts


def test_caveats_are_said_beside_the_verdict(page: str) -> None:
    shown = words(page)
    cut = "The cap of 8 epochs ended 5 of 6 (83 %) tuned runs while they could still improve (AlexNet: 3 of 3,"
    assert f"Could overturn the result: {cut} MobileNet-like: 2 of 3)" in shown
    assert shown.count("Could overturn the result: 3 seeds are too few") == 2, "in the box and in the list"
    assert "The cap of 8 epochs ended 6 of 6 (100 %) baseline runs of AlexNet and MobileNet-like" in shown
    assert "For information: Some trials" in shown
    assert re.search(r"Some trials scored below the baseline trial: \d of 5 ", shown)


def test_the_search_says_who_was_stopped_where_and_what_mattered(page: str) -> None:
    assert table(page, "rungs-table") == [
        [title, "2 of 6 (33 %)", "0 of 4 (0 %)"] for title in ("AlexNet", "MobileNet-like")
    ]
    assert "importance-table" not in page, "there are only 6 trials"


def test_confirmed_trials_are_listed_by_the_mean_of_their_fresh_runs(folder: StudyFolder, page: str) -> None:
    rows = table(page, "confirmed-table")
    names = ["alexnet-2", "alexnet-0", "mobilenet-2", "mobilenet-0"]
    assert [row[0].removesuffix(" (chosen)") for row in rows] == names
    unknown = "\N{EN DASH}"  # with fewer than 8 trials
    assert [row[2:] for row in rows[:2]] == [["60.0, 60.0", "60.0", unknown], ["90.0, 0.0", "45.0", unknown]]
    assert "took more: 4 runs, 32 epochs, 16 s and" in words(page)


def test_what_an_earlier_report_left_is_gone(folder: StudyFolder) -> None:
    names = {path.name for path in folder.report.iterdir()}
    assert "notes.txt" in names and not any(name.startswith("of-an-earlier") for name in names)
    assert not (folder.path / "final" / "best.json").exists(), "nothing is to be shipped without a winner"


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
    assert "1 of 3 runs (95 % interval 1 to 91 %) of MobileNet-like (tuned) (seed 1) failed." in shown
    assert "Baselines are documented recipes, not equal settings" in shown
    assert "0123456789abcdef0123456789abcdef01234567" in shown, "the commit"
    assert "ray 2.60.0, cc 12.2" in shown
    assert "This study is not complete" not in shown


@pytest.mark.usefixtures("without_figures")
def test_page_says_who_went_on_with_the_study(tmp_path: Path) -> None:
    folder = write_example(tmp_path / "example", seeds=2, search=False)
    study = folder.read_study()
    del study["environment"]["c_compiler"]  # as studies of earlier versions lack it
    packages = {"ray": "2.60.0", "torch": "9.9"}
    elsewhere = study["environment"] | {"cpus": 64, "gpus": ["H200"], "packages": packages, "c_compiler": "cc 9"}
    session = {"created": "2026-01-02T03:04:05+00:00", "command": "python -m study.run --resume --seeds 2"}
    folder.write_study(study | {"resumed": [session | {"environment": elsewhere}]})
    shown = words(build_report(folder).read_text())
    assert (
        "Resumed 2026-01-02T03:04:05+00:00, with packages torch 9.9, CPUs: 64, GPUs: H200, C compiler: cc 9:"
        " python -m study.run --resume --seeds 2" in shown
    )


def test_it_imports_neither_torch_nor_ray(made: tuple[StudyFolder, set[str]]) -> None:
    loaded = {module.partition(".")[0] for module in made[1]}
    assert {"matplotlib", "analysis"} <= loaded
    assert not loaded & {"torch", "ray", "models"}


def test_page_needs_nothing_else(page: str) -> None:
    fetched = re.findall(r'(?:src|href|srcset)\s*=\s*"([^#"][^"]*)"|url\(([^)]*)\)', page)
    assert fetched
    for attribute, css in fetched:
        assert (attribute or css).startswith(("#", "data:image/png;base64,"))
    assert "@import" not in page
    assert len(page) < 3_000_000
    assert all(re.search(r'aria-label="[^"]{20,}"', image) for image in re.findall(r"<svg[^>]*>", page))
    ids = re.findall(r' id="([^"]*)"', page)
    assert len(ids) == len(set(ids))


def test_every_figure_is_also_a_file(folder: StudyFolder, page: str) -> None:
    figures = {path.stem for path in folder.report.glob("*.svg")}
    assert figures == {path.stem for path in folder.report.glob("*.png")}
    assert figures == {path.stem for path in folder.report.glob("*.pdf")}
    assert len(figures) == page.count("<figure>")
    assert {
        "accuracy-by-group",
        "paired-differences",
        "accuracy-against-cost",
        "f1-by-class",
        "final-curves",
    } <= figures
    assert {"search-space", "search-rungs", "search-curves", "best-score"} <= figures
    assert {"confusion-alexnet-tuned", "samples-right"} <= figures


@pytest.mark.usefixtures("without_figures")
def test_without_a_folder_it_takes_the_newest_study_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda url: bool(opened.append(url)) or len(opened) == 1)
    monkeypatch.chdir(tmp_path)
    assert main([]) == 2
    assert "there is no study in results" in capsys.readouterr().err
    newer = write_example(tmp_path / "results" / "newer", seeds=1, search=False)
    older = write_example(tmp_path / "results" / "older", seeds=1, search=False)  # by its files it is the newer one
    older.write_study(older.read_study() | {"created": "2000-01-01T00:00:00+00:00"})
    assert main(["--open"]) == 0
    said = "results/newer is the newest study: its last session began at 2025-01-02T03:04:05+00:00."
    assert capsys.readouterr().out.splitlines() == [said, "results/newer/report/report.html"]
    assert opened == [(newer.report / "report.html").as_uri()] and not older.report.exists()
    assert main(["--open", "results/older"]) == 1
    captured = capsys.readouterr()
    assert captured.out == "results/older/report/report.html\n"
    assert captured.err == "error: no browser was found: open results/older/report/report.html yourself\n"


def test_command_line_ends_in_one_line(folder: StudyFolder, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main([str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and "is not a study" in error and error.count("\n") == 1

    damaged = tmp_path / "damaged"
    shutil.copytree(folder.path, damaged)
    predictions = StudyFolder(damaged).final.path_of("alexnet-tuned", 1) / "predictions.npz"
    predictions.write_bytes(b"PK")
    assert main([str(damaged)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and str(predictions) in error and error.count("\n") == 1
