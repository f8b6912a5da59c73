"""The files for papers and other programs hold the numbers of the report."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from markdown_it import MarkdownIt

from analysis.report.build import build_report
from analysis.report.exports.documents import latex, markdown
from analysis.report.exports.methods import methods
from analysis.report.exports.references import bibtex, used_references
from analysis.report.tables import Column, Remark, Table
from analysis.results.load import StudyResults, load_results
from analysis.results.study_folder import StudyFolder
from analysis.verdict.summary import summarise
from models.training.recipe import TrainingConfig
from study import __version__
from tests.analysis.example_study import write_example
from tests.analysis.pages import leave_out_figures, table

ROOT = Path(__file__).parents[4]
ODD = Table(
    "odd",
    "Odd & ends",
    (Column("a|b"), Column("50 %", "ms"), Column("F_1", over="Net (tuned)")),
    [("*x*|y\nz", "\N{MINUS SIGN}1 ± 2", "3\N{NO-BREAK SPACE}%"), ("猫", Remark("unknown: it_is"))],
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    titles = {"alexnet": "AlexNet", "mobilenet": "MobileNet-like", "third": "Third"}
    folder = write_example(tmp_path_factory.mktemp("studies") / "s", titles=titles, same_as=["third"], confirm=True)
    with pytest.MonkeyPatch.context() as patched:
        leave_out_figures(patched)
        build_report(folder)
    return folder


@pytest.fixture(scope="module")
def results(folder: StudyFolder) -> StudyResults:
    return load_results(folder)


def test_comparisons_hold_a_row_a_pair(folder: StudyFolder) -> None:
    made = json.loads((folder.report / "summary.json").read_text())["comparisons"]
    rows = pd.read_csv(folder.report / "comparisons.csv")
    assert len(rows) == len(made) == 5
    for row, comparison in zip(rows.to_dict("records"), made, strict=True):
        assert (row["a"], row["b"], row["call"]) == (comparison["a"], comparison["b"], comparison["call"])
        assert row["difference"] == pytest.approx(comparison["difference"]["mean"])
        assert [row["difference_low"], row["difference_high"]] == pytest.approx(comparison["difference"]["ci95"])
        assert (row["holm_p"], row["pairs"]) == (pytest.approx(comparison["holm_p"]), len(comparison["seeds"]))
    assert "Third (tuned = baseline)" in set(rows["b_title"])


def test_the_table_of_groups_has_every_interval(folder: StudyFolder) -> None:
    groups = json.loads((folder.report / "summary.json").read_text())["groups"]
    rows = pd.read_csv(folder.report / "comparison.csv").set_index("group")
    for name, group in groups.items():
        for metric in ("accuracy", "precision", "recall", "f1"):
            assert [rows.at[name, f"{metric}_{end}"] for end in ("low", "high")] == pytest.approx(group[metric]["ci95"])


def test_classes_and_confusions_add_up(folder: StudyFolder, results: StudyResults) -> None:
    confusion = pd.read_csv(folder.report / "confusion.csv", dtype={"true": str, "predicted": str})
    classes = pd.read_csv(folder.report / "per-class.csv", dtype={"class": str})
    trained = {name: group for name, group in results.groups.items() if not group.same_as}
    assert set(confusion["group"]) == set(classes["group"]) == set(trained)
    for name, group in trained.items():
        own, scores = confusion[confusion["group"] == name], classes[classes["group"] == name]
        assert own["count"].sum() == group.correct().size
        assert own.loc[own["true"] == own["predicted"], "count"].sum() == group.correct().sum()
        np.testing.assert_allclose(own.groupby("true")["share"].sum(), 1)
        assert scores["class"].tolist() == results.classes
        hits = own[own["true"] == own["predicted"]].set_index("true")["share"].reindex(results.classes, fill_value=0)
        np.testing.assert_allclose(scores["recall"], hits, err_msg="the mean over seeds is the share over all seeds")
    macro = classes.groupby("group")["f1"].mean()
    summary = summarise(results)
    assert macro["alexnet-tuned"] == pytest.approx(summary.groups["alexnet-tuned"].f1.mean, abs=1e-9)


def test_markdown_shows_the_tables_of_the_page(folder: StudyFolder) -> None:
    text = (folder.report / "tables.md").read_text()
    quality = re.search(r"<tbody>(.*?)</tbody>", MarkdownIt().enable("table").render(text.split("## ")[2]), re.DOTALL)
    assert quality
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL) for row in quality[1].split("</tr>")[:-1]]
    page = table((folder.report / "report.html").read_text(), "quality")
    assert cells == [[cell.replace("\n", " ") for cell in row] for row in page]
    assert "All trials" not in text, "trials.csv lists the trials"


def test_markdown_escapes_what_it_would_read() -> None:
    rendered = MarkdownIt().enable("table").render(markdown([ODD]))
    assert re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", rendered) == [
        *("a|b", "50 % (ms)", "Net (tuned): F_1"),
        *("*x*|y z", "\N{MINUS SIGN}1 ± 2", "3 %"),
        *("猫", "unknown: it_is", ""),
    ]


def test_latex_escapes_what_it_would_read(folder: StudyFolder) -> None:
    text = latex([ODD])
    assert r"a$|$b & 50 \% (ms) & Net (tuned): F\_1 \\" in text
    assert r"*x*$|$y z & $-$1 $\pm$ 2 & 3~\% \\" in text
    assert r"猫 & unknown: it\_is &  \\" in text
    assert r"\label{tab:odd}" in text and r"\toprule" in text
    assert "use XeLaTeX or LuaLaTeX" in text, "pdfLaTeX stops at 猫"
    whole = (folder.report / "tables.tex").read_text()
    assert whole.count(r"\begin{tabular}") == whole.count(r"\end{tabular}") == whole.count(r"\caption") >= 6
    assert "XeLaTeX" not in whole
    assert whole.count(r"\resizebox{\ifdim\width>\textwidth") == whole.count(r"\end{tabular}}")
    assert not set(whole) & set("\N{MINUS SIGN}±\N{NO-BREAK SPACE}")
    assert set(re.findall(".<.", whole)) <= {"$<$"}


def test_only_the_references_of_methods_in_use_are_given(folder: StudyFolder, results: StudyResults) -> None:
    given = (folder.report / "references.bib").read_text()
    used = used_references(results, summarise(results))
    assert re.findall(r"^@\w+\{(\w+),", given, re.MULTILINE) == used
    assert {"li2020asha", "akiba2019optuna", "howard2017mobilenets", "holm1979simple"} <= set(used)
    entries = bibtex(used)
    assert entries.count("{") == entries.count("}")


def test_the_project_cites_itself_as_its_citation_file_says() -> None:
    facts = dict(re.findall(r"^([\w-]+): (.+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE))
    assert facts["version"] == __version__
    entry = bibtex(["fairverdict"])
    assert f"title   = {{{facts['title'].strip(chr(34))}}}" in entry and f"version = {{{__version__}}}" in entry
    assert f"year    = {{{facts['date-released'][:4]}}}" in entry and "{{The fairverdict authors}}" in entry
    assert "url" not in entry


@pytest.mark.parametrize(
    ("recipe", "said", "cited"),
    [
        ({}, "with Adam, batches of 128,", set()),
        (
            {"optimizer": "adamw", "weight_decay": 0.01},
            "with AdamW (Loshchilov and Hutter, 2019), weight decay 0.01,",
            {"loshchilov2019decoupled"},
        ),
        (
            {"optimizer": "sgd", "nesterov": True, "schedule": "cosine", "warmup_epochs": 1, "augment": "flip_crop"},
            f"with SGD, Nesterov's momentum {TrainingConfig({}, 1).momentum:g}, a cosine schedule (Loshchilov and"
            " Hutter, 2017), a warm-up of 1 epoch, random flips and crops, batches",
            {"loshchilov2017sgdr"},
        ),
        ({"label_smoothing": 0.1, "augment": "flip"}, "with Adam, label smoothing 0.1, random flips, batches", set()),
    ],
)
def test_the_recipe_is_told_and_cited(
    recipe: dict[str, Any], said: str, cited: set[str], results: StudyResults
) -> None:
    networks = {"alexnet": {"normalisation": "none"}}
    config = results.study.config.model_copy(update={"recipe": recipe, "networks": networks})
    changed = replace(results, study=results.study.model_copy(update={"config": config}))
    summary = summarise(changed)
    text = methods(changed, summary)
    assert said in text
    assert "AlexNet had settings of its own: normalisation none." in text
    assert {key for key in used_references(changed, summary) if key.startswith("losh")} == cited
    assert all(bibtex([key]).count("author") == 1 for key in cited)


def test_a_study_of_one_baseline_cites_no_search(tmp_path: Path) -> None:
    alone = load_results(write_example(tmp_path / "s", titles={"third": "Third"}, search=False))
    assert used_references(alone, summarise(alone)) == ["fairverdict", "liaw2018tune"]


def test_the_methods_paragraph_has_the_numbers_of_the_study(folder: StudyFolder) -> None:
    text = (folder.report / "methods.txt").read_text()
    assert "AlexNet (6,387,658 parameters), MobileNet-like (13,898 parameters) and Third" in text
    assert "Digits (1,437 training and 240 test images of 10 classes)" in text
    assert "6 trials of at most 8 epochs" in text and "trained on 3 fresh seeds" in text
    assert "first rung at epoch 2 and a reduction factor of 3" in text
    assert "The 6 best trials were trained again in 12 runs" in text
    authors = set(re.findall(r"[A-Z]\w+(?= et al\.| \(1979\))", text))
    assert authors == {"Liaw", "Akiba", "Li", "Bouthillier", "Holm"}
    given = (folder.report / "references.bib").read_text()
    assert all(re.search(rf"author\s+= {{{author}, ", given) for author in authors)


@pytest.mark.parametrize(
    ("trials", "first_lrs", "said"),
    [
        (1, [], "The first trial was the documented baseline. Asynchronous"),
        (2, [0.003, 0.01], "Then came learning rates given beforehand (0.003), with the baseline's other values. Asyn"),
        (3, [0.003], "beforehand (0.003), with the baseline's other values. Optuna"),
    ],
)
def test_the_methods_paragraph_says_who_chose_the_trials(
    trials: int, first_lrs: list[float], said: str, results: StudyResults
) -> None:
    config = results.study.config.model_copy(update={"trials": trials, "first_lrs": first_lrs})
    changed = replace(results, study=results.study.model_copy(update={"config": config}))
    text = methods(changed, summarise(results))
    assert said in text
    assert ("Optuna" in text) == (trials > 1 + len(first_lrs))


@pytest.mark.parametrize(
    ("trials", "at_a_time", "are_drawn"), [(64, 400, False), (65, None, True), (65, 64, False), (100, 65, True)]
)
def test_the_methods_paragraph_names_drawn_surfaces(
    trials: int, at_a_time: int | None, are_drawn: bool, results: StudyResults
) -> None:
    config = results.study.config.model_copy(update={"trials": trials, "concurrency": at_a_time})
    search = results.study.search.model_copy(update={"sampler": "Gaussian process"})
    changed = replace(results, study=results.study.model_copy(update={"config": config, "search": search}))
    summary = summarise(results)
    assert ("While 64 or more trials of a network ran" in methods(changed, summary)) == are_drawn
    assert ("kandasamy2018parallelised" in used_references(changed, summary)) == are_drawn
    assert bibtex(["kandasamy2018parallelised"]).count("author") == 1


def test_the_methods_paragraph_has_the_margin_and_the_limits_of_the_study(results: StudyResults) -> None:
    limits = {"margin": 1.5, "max_parameters": 20_000, "max_latency_ms": 2.5}
    config = results.study.config.model_copy(update=limits)
    changed = replace(results, study=results.study.model_copy(update={"config": config}))
    text = methods(changed, summarise(changed))
    assert "the difference was at least 1.5 percentage points" in text
    assert "whose network has more than 20,000 parameters or takes more than 2.5 ms to predict one image." in text
    assert "No configuration was tried" not in methods(results, summarise(results))


@pytest.mark.usefixtures("without_figures")
def test_a_study_of_baselines_claims_no_search(tmp_path: Path) -> None:
    folder = write_example(tmp_path / "s", titles={"third": "Third"}, search=False, seeds=2)
    build_report(folder)
    text = (folder.report / "methods.txt").read_text()
    assert "We trained Third" in text and "Each baseline was trained on 2 fresh seeds" in text
    assert not re.search("trial|Optuna|Bouthillier|called better", text)
    assert pd.read_csv(folder.report / "comparisons.csv").empty
