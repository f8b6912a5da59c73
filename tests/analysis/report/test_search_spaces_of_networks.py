"""The report of networks whose search spaces differ."""

import re
from dataclasses import replace

import pandas as pd
import pytest

from analysis.report.build import build_report
from analysis.report.digest import describe_study
from analysis.report.terminal import closing
from analysis.results.load import StudyResults, load_results
from analysis.results.study_folder import StudyFolder
from analysis.verdict.summary import summarise
from analysis.verdict.wording import chosen_trials
from tests.analysis.example_study import write_example
from tests.analysis.example_study_json import SPACES
from tests.analysis.pages import draw_only, leave_out_figures, table, words

TITLES = {"alexnet": "AlexNet", "resnet18": "ResNet18"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    path = tmp_path_factory.mktemp("spaces") / "study"
    return write_example(path, titles=TITLES, spaces=SPACES, seeds=5, trials=6)


@pytest.fixture(scope="module")
def results(folder: StudyFolder) -> StudyResults:
    return load_results(folder)


@pytest.fixture(scope="module")
def page(folder: StudyFolder) -> str:
    with pytest.MonkeyPatch.context() as patch:
        leave_out_figures(patch)
        return build_report(folder).read_text()


def test_the_verdict_is_about_networks_with_their_spaces_wherever_it_is_read(
    page: str, results: StudyResults, folder: StudyFolder
) -> None:
    summary = summarise(results)
    headline = str(summary.headline)
    assert "AlexNet and ResNet18, each with its own search space." in headline.replace("than ResNet18", "and ResNet18")
    assert headline in words(page)
    lines = [str(line) for line in closing(summary, folder.report / "report.html", None)]
    assert headline in " ".join(lines)
    sentence = "The networks differ in their search space. The verdict is about each network together with its own."
    assert sentence in words(page) and describe_study(results).endswith(f" 5 seeds. {sentence}")


def test_categories_are_read_as_study_json_lists_them(results: StudyResults) -> None:
    own = results.trials_of("resnet18")
    assert set(own["model.norm"]) == {"None", "batch"}, "None is no missing value"
    assert set(own["model.kernel"]) == {3, 5}, "a number that is a category stays the same number"
    assert results.trials_of("alexnet")[["model.norm", "model.width"]].isna().all(axis=None)
    assert set(chosen_trials(results)) == {"alexnet", "resnet18"}


def test_tables_have_a_column_for_each_hyperparameter_of_any_network(page: str, folder: StudyFolder) -> None:
    (alexnet, *_, tuned) = table(page, "quality")
    assert alexnet[0] == "AlexNet (baseline)" and alexnet[5:12] == ["0.0001", *["\N{EN DASH}"] * 6]
    assert tuned[0] == "ResNet18 (tuned)" and len(tuned) == 13 and "\N{EN DASH}" not in tuned
    widths = {row[4] for row in table(page, "trials") if row[0].startswith("resnet18")}
    assert widths <= {"16", "181", "2,048"} and len(widths) > 1, "whole numbers have all their digits"
    compared = pd.read_csv(folder.report / "comparison.csv")
    assert [*compared.columns][2:9] == [*SPACES["resnet18"]], "hyperparameters stay together"


def test_each_network_says_what_was_searched(page: str, folder: StudyFolder) -> None:
    paragraph = (folder.report / "methods.txt").read_text()
    rate = "learning rate 0.0001 to 0.01 (log-uniform)"
    for said in (
        f"We searched {rate} for AlexNet; {rate}, weight decay 1e\N{MINUS SIGN}06 to 0.01 (log-uniform)",
        "label smoothing 0 to 0.2 (uniform, in steps of 0.05)",
        "width 16 to 2,048 (log-uniform, whole numbers), depth 1 to 9 (uniform, whole numbers, in steps of 2)",
        "norm None or batch, kernel 3 or 5 for ResNet18.",
    ):
        assert said in paragraph and said.removeprefix("We searched ").rstrip(".") in words(page)


@pytest.mark.slow
def test_many_hyperparameters_are_drawn_as_slices_and_lines(
    folder: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_only(monkeypatch, "search-space", "search-parallel")
    page = build_report(folder).read_text()
    identifiers = re.findall(r'id="([^"]+)"', page)
    assert {"search-space", "lines"} <= set(identifiers)
    assert len(identifiers) == len(set(identifiers))
    assert {"search-space.svg", "search-parallel.svg"} <= {path.name for path in folder.report.iterdir()}


def test_the_edge_of_a_networks_own_range_is_named(results: StudyResults) -> None:
    tuned = results.groups["resnet18-tuned"]
    config = tuned.config | {"lr": 1e-3, "model.width": 2048, "model.depth": 5}
    groups = results.groups | {tuned.name: replace(tuned, config=config)}
    limits = " ".join(limit.text for limit in summarise(replace(results, groups=groups)).caveats)
    assert "The tuned width of ResNet18 is 2,048, at the upper edge of the range (2,048)." in limits
    both = config | {"lr": 1e-4}
    groups = results.groups | {tuned.name: replace(tuned, config=both)}
    said = " ".join(limit.text for limit in summarise(replace(results, groups=groups)).caveats)
    assert "ResNet18 lies at edges of its ranges: learning rate 0.0001 and width 2,048." in said
    assert "tuned depth" not in limits and "tuned norm" not in limits
