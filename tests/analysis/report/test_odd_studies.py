"""The report of a study that is not finished, or not of two networks and ten classes."""

import gc
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analysis.figures.catalogue import study_pictures
from analysis.report.__main__ import main
from analysis.report.build import build_report
from analysis.report.exports.methods import methods
from analysis.results.errors import UnusableStudy
from analysis.results.load import load_results
from analysis.results.run_folders import FinalRun
from analysis.results.study_folder import StudyFolder
from analysis.verdict.summary import summarise
from tests.analysis.drawn import texts
from tests.analysis.example_study import write_example
from tests.analysis.pages import draw_only, table, words

BASELINES = ["alexnet-baseline", "mobilenet-baseline"]
NASTY = "<script>alert(1)</script>"


def limits(folder: StudyFolder) -> str:
    """Return the limits of a study's verdict as one text."""
    return " ".join(limit.text for limit in summarise(load_results(folder)).caveats)


@pytest.mark.slow
def test_names_are_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw_only(monkeypatch, "accuracy-by-group", "f1-by-class", "confusion-one-tuned")
    titles = {"one": NASTY, "two": "$x_1$ & co", "three": "Three"}
    folder = write_example(
        tmp_path / "s", titles=titles, classes=[NASTY, "$a$", "猫\U00013000"], same_as=["two"], seeds=2, trials=3
    )
    page = build_report(folder).read_text()
    assert NASTY not in page and page.count("<script") == 1
    assert [row[0] for row in table(page, "cost")] == list(titles.values())
    groups = [row[0] for row in table(page, "quality")]
    assert len(groups) == 5 and groups.count("$x_1$ & co (tuned = baseline)") == 1
    assert not (folder.report / "confusion-two-tuned.svg").exists(), "the same runs are drawn once"
    shown = words(page)
    assert "No network is shown to be more accurate than every other on all planned seeds." in shown
    assert "\U00013000: the machine that wrote this report has no font" in shown, "a hieroglyph"
    assert "measured on the training images during the epoch, with dropout on" in shown
    assert gc.isenabled(), "drawing only pauses the collection of garbage"
    assert len(table(page, "comparisons-table")) == 5, "three pairs, and two networks against their baselines"
    assert shown.count("2 seeds cannot show one") == 5
    assert "$x_1$ & co: the search found nothing better than the documented baseline." in shown


@pytest.mark.slow
def test_repeated_pictures_are_shown_from_the_study_folder_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_only(monkeypatch, "repeated-pictures")
    folder = write_example(tmp_path / "s", seeds=2, search=False)
    page = build_report(folder).read_text()
    assert "Repeated pictures" not in page and not (folder.report / "repeated-pictures.svg").exists()
    kinds = ("train and test", "within test", "two labels")
    rows = [(kinds[k % 3], f"train/cat/{NASTY}{k}.jpg", f"test/dog/{k}.jpg", "nearly equal") for k in range(12)]
    images = np.random.default_rng(0).integers(0, 256, (8, 2, 48, 48, 3), np.uint8)
    folder.write_repeats(rows, [(row, images[row - 4]) for row in range(4, 12)])
    study = folder.read_study()
    folder.write_study(study | {"data": study["data"] | {"repeats": dict.fromkeys(kinds, 4)}})
    moved = StudyFolder.open(folder.path.rename(tmp_path / "moved"))
    page = build_report(moved).read_text()
    assert NASTY not in page
    shown = words(page)
    assert "Pairs that show the same picture. repeats.csv in the study's folder has all 12." in shown
    results = load_results(moved)
    assert results.repeats is not None and np.array_equal(results.repeats.images, images)
    assert results.repeats.rows == tuple(rows[4:])
    (picture,) = study_pictures(results, summarise(results))["repeats"]
    drawn = texts(picture.wide)
    assert {"in training and test, nearly equal", "twice in the test set, nearly equal", "5.jpg", "test/dog"} <= {
        *drawn
    }
    assert "3.jpg" not in drawn
    assert picture.narrow is not None and picture.narrow.get_figheight() == 2 * picture.wide.get_figheight()


@pytest.mark.parametrize(
    ("skip", "said"),
    [
        (["three-tuned"], "Only 1 of the 3 pairs can be compared, because final runs are missing."),
        (["three-tuned", "two-tuned"], "None of the 3 pairs can be compared, because final runs are missing."),
    ],
)
def test_pairs_that_lack_final_runs_are_not_announced(tmp_path: Path, skip: list[str], said: str) -> None:
    titles = {"one": "One", "two": "Two", "three": "Three"}
    results = load_results(write_example(tmp_path / "s", titles=titles, skip=skip, seeds=2, trials=3))
    assert summarise(results).headline == said


def test_a_study_of_few_images_with_seeds_added_says_what_that_does(tmp_path: Path) -> None:
    folder = write_example(tmp_path / "s", seeds=2, n_test=40)
    study = folder.read_study()
    session = {"created": study["created"], "command": "", "environment": study["environment"], "added_seeds": 1}
    folder.write_study(study | {"resumed": [session]})
    said = limits(folder)
    assert "because there are few test images of" in said
    assert "Seeds were added when the study was resumed." in said
    folder.write_study(study | {"resumed": [session | {"added_seeds": 0}]})
    assert "Seeds were added" not in limits(folder)


def test_a_study_that_an_earlier_study_told_its_trials_says_what_that_does(tmp_path: Path) -> None:
    folder = write_example(tmp_path / "s", seeds=2)
    study = folder.read_study()
    origin = {"study": "first", "seeds": [0], "is_tested": True, "told": {"alexnet": 4, "mobilenet": 4}, "untold": {}}
    seen, unequal = "The test images were seen before: the study first,", "The search began from unequal knowledge"
    assert seen not in limits(folder)
    folder.write_study(study | {"origin": origin})
    assert seen in limits(folder) and unequal not in limits(folder)
    results = load_results(folder)
    assert (
        "The samplers were told 4 trials of AlexNet and 4 trials of MobileNet-like of the earlier study first, which"
        " counted neither as trials nor as candidates, and all seeds were new."
    ) in methods(results, summarise(results))
    fewer = {"is_tested": False, "told": {"alexnet": 1}, "untold": {"mobilenet": "its search space is another"}}
    folder.write_study(study | {"origin": origin | fewer})
    assert seen not in limits(folder)
    assert f"{unequal}: the study first told its samplers 1 trial for AlexNet and 0 trials for MobileNet-like." in (
        limits(folder)
    )


def test_a_baseline_that_is_tuned_too_is_drawn_as_tuned(tmp_path: Path) -> None:
    results = load_results(write_example(tmp_path / "s", seeds=2, same_as=["mobilenet"]))
    (picture,) = study_pictures(results, summarise(results))["costs"]
    shown = texts(picture.wide)
    assert {"AlexNet (tuned)", "AlexNet (baseline)", "MobileNet-like (tuned = baseline)"} <= set(shown)
    assert "MobileNet-like (baseline)" not in shown


def test_many_classes_of_few_images_are_counted(tmp_path: Path) -> None:
    classes = [f"c{number}" for number in range(30)]
    said = limits(write_example(tmp_path / "s", seeds=2, classes=classes, n_test=90))
    assert re.search(r"few test images of (c\d+ \(\d\), ){3}c\d+ \(\d\) and \d+ other classes\.", said)


def test_baselines_alone_are_not_warned_of_calls_that_nobody_makes(tmp_path: Path) -> None:
    tuned, alone = (write_example(tmp_path / name, search=name == "tuned", seeds=2) for name in ("tuned", "alone"))
    assert "No two networks can be called equivalent" in limits(tuned)
    assert "equivalent" not in limits(alone)


@pytest.mark.usefixtures("without_figures")
def test_one_architecture_without_a_search(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_example(tmp_path / "s", titles={"alexnet": "AlexNet"}, search=False, seeds=1)
    assert main([str(folder.path)]) == 0
    assert capsys.readouterr().out.strip() == str(folder.report / "report.html")
    page = (folder.report / "report.html").read_text()
    ((title, accuracy, *_),) = table(page, "quality")
    assert title == "AlexNet (baseline)"
    assert re.fullmatch(r"\d+\.\d", accuracy), "one seed has neither a deviation nor an interval"
    assert "Nothing was tuned" in words(page)
    assert "There is no verdict: nothing was tuned." in words(page)
    assert 'id="search"' not in page
    assert "This study is not complete" not in words(page)


def test_a_study_too_short_for_a_rung(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw_only(monkeypatch)
    tuned = ["alexnet-tuned", "mobilenet-tuned"]
    folder = write_example(tmp_path / "s", classes=["cat", "dog"], n_test=40, skip=[*BASELINES, *tuned], trials=4)
    with_rungs = build_report(folder).read_text()
    study, trials = folder.read_study(), folder.read_trials()
    assert trials is not None
    assert "Pruned trials count with their last score." in words(with_rungs)
    assert "with the rungs that could stop it" in with_rungs
    assert "the first is at epoch 2, and one in 3 trials goes on. A network that" in words(with_rungs)
    folder.write_study(study | {"search": study["search"] | {"tolerance": 0.02}})
    assert "one in 3 trials goes on. A trial within 2 points of these goes on too." in words(
        build_report(folder).read_text()
    )
    folder.write_study(study | {"search": study["search"] | {"grace_period": study["config"]["max_epochs"]}})
    folder.write_trials(trials.replace({"status": {"PRUNED": "STOPPED_EARLY"}}))
    page = build_report(folder).read_text()
    shown = words(page)
    assert "No rung lies below the cap, so no trial was stopped early to save budget." in shown
    assert "Early stopping" not in shown and "Early stopping" in words(with_rungs)
    assert "Pruned trials count with their last score. " not in shown.partition("How the trials ended")[0]
    assert "rungs that could stop it" not in page


@pytest.mark.usefixtures("without_figures")
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
    assert "MobileNet-like (tuned): no final run is there." in shown
    assert "AlexNet (tuned): seeds without a final run: 0 and 2." in shown
    assert "The time of a prediction was not measured." in shown
    assert "There is no verdict: final runs of both tuned networks are needed." in shown
    assert (
        "AlexNet (tuned) against AlexNet (baseline): seeds 0 and 2 left out, because only one of the two has them."
        in shown
    )


@pytest.mark.usefixtures("without_figures")
def test_a_winner_is_named_with_the_weights_to_ship(tmp_path: Path) -> None:
    folder = write_example(tmp_path / "s", seeds=8, n_test=3000, skip=BASELINES)
    page = build_report(folder).read_text()
    best = json.loads((folder.path / "final" / "best.json").read_text())
    assert best["group"] == "alexnet-tuned" and (folder.path / best["weights"]).is_file()
    losses = [run.metrics["val_loss"] for run in load_results(folder).groups["alexnet-tuned"].runs]
    assert best["val_loss"] == min(losses) == losses[best["seed"]]
    shown = words(page)
    assert "Verdict: better" in shown and best["weights"] in shown
    assert f"Expect {100 * best['file_accuracy']['own']:.2f} % accuracy on new images" in shown
    again = 100 * best["file_accuracy"]["if_trained_again"]
    assert f"If you train 4 runs again and choose by validation loss, expect {again:.2f} %. One run alone has" in shown
    assert "The file of AlexNet (alexnet-tuned/seed-" in shown
    run = folder.final.read("alexnet-tuned", best["seed"], weights=True)
    folder.final.remove("alexnet-tuned", best["seed"])
    folder.final.write(replace(run, metrics=run.metrics | {"normalisation": None}))
    assert "final/best.json holds" not in words(build_report(folder).read_text()), "an older run did not keep it"
    for seed in set(range(8)) - {best["seed"]}:
        run = folder.final.read("alexnet-tuned", seed, weights=True)
        folder.final.remove("alexnet-tuned", seed)
        folder.final.write(replace(run, metrics=run.metrics | {"status": "DIVERGED"}))
    assert "Verdict: not shown, because some runs failed" in words(build_report(folder).read_text())
    assert not (folder.path / "final" / "best.json").exists()


@pytest.mark.usefixtures("without_figures")
def test_a_network_whose_every_trial_failed(tmp_path: Path) -> None:
    folder = write_example(tmp_path / "s", failed=["alexnet"], seeds=2, classes=["cat", "dog"])
    page = build_report(folder).read_text()
    dash = "\N{EN DASH}"
    assert table(page, "search-digest")[0] == ["AlexNet", "6", "0", "0", "0", "0", "6", dash, dash]
    assert table(page, "budget-table")[0][5:] == [dash, dash]
    assert table(page, "rungs-table")[0] == ["AlexNet", "0 of 0", "0 of 0"]
    (compared,) = table(page, "comparisons-table")
    assert compared[0] == "MobileNet-like (tuned) against MobileNet-like (baseline)"
    assert "There is no verdict" in words(page)


@pytest.mark.usefixtures("without_figures")
def test_study_that_only_began(tmp_path: Path) -> None:
    folder = write_example(tmp_path / "s")
    shutil.rmtree(folder.path / "final")
    (folder.path / "trials.csv").unlink()
    (folder.path / "history.csv").unlink()
    page = build_report(folder).read_text()
    assert "AlexNet (tuned): no final run is there." in words(page)
    assert not {"evidence", "search", "comparisons"} & set(re.findall(r' id="([^"]*)"', page)), "no empty sections"
    assert "To cite and reuse" in words(page)


def test_different_test_images_are_refused(tmp_path: Path) -> None:
    folder = write_example(tmp_path / "s", search=False, seeds=1)
    run = folder.final.read("mobilenet-baseline", 0)
    folder.final.write(FinalRun(run.group, 0, run.metrics, run.history, run.logits, run.labels[::-1]))
    with pytest.raises(UnusableStudy, match=r"mobilenet-baseline \(seed 0\).*different test images"):
        build_report(folder)
