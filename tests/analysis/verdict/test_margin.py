"""The margin follows a rule that was settled before the search, and validation errors alone."""

from dataclasses import replace
from pathlib import Path

import pytest

from analysis.results.load import StudyResults, load_results
from analysis.results.run_folders import CompletedRun
from analysis.verdict.margin import largest_margin, margin_between, margin_in_words
from analysis.verdict.wording import chosen_trials
from tests.analysis.example_study import write_example
from tests.analysis.example_study_json import with_config


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> StudyResults:
    return load_results(write_example(Path(tmp_path_factory.mktemp("margin")) / "s", seeds=5))


def scored(results: StudyResults, alexnet: float, mobilenet: float) -> StudyResults:
    """Return the study with these validation accuracies of every trial, without confirmation."""
    trials = results.trials.copy()
    trials["val_accuracy"] = trials["arch"].map({"alexnet": alexnet, "mobilenet": mobilenet})
    return replace(results, trials=trials, confirmations=())


@pytest.mark.parametrize(
    ("settings", "scores", "margin"),
    [
        ({}, (0.80, 0.70), 0.005),
        ({}, (0.99, 0.98), 0.002),
        ({}, (0.99, 0.9877), 0.0012),
        ({"margin": 1.5}, (0.99, 0.98), 0.015),
        ({"margin": 0.0}, (0.99, 0.98), 0.0),
        ({"margin_of_errors": 20.0}, (0.80, 0.70), 0.06),
        ({"margin_of_errors": 20.0, "margin": 1.0}, (0.80, 0.70), 0.01),
    ],
    ids=["points", "errors", "two digits", "own points", "none", "own share", "the smaller one"],
)
def test_the_rule_gives_the_margin(
    results: StudyResults, settings: dict[str, float], scores: tuple[float, float], margin: float
) -> None:
    told = {"margin": None, "margin_of_errors": None} | settings
    many = replace(scored(results, *scores), study=with_config(results.study, **told))
    groups = [many.groups[f"{arch}-tuned"] for arch in ("alexnet", "mobilenet")]
    groups = [
        replace(group, runs=tuple(replace(run, labels=run.labels.repeat(20)) for run in group.runs)) for group in groups
    ]
    assert margin_between(many, *groups) == pytest.approx(margin)


def test_a_confirmation_run_without_a_score_is_no_error(results: StudyResults) -> None:
    told = with_config(results.study, margin=5.0, margin_of_errors=10.0)
    many = replace(scored(results, 0.99, 0.98), study=told)
    worse = chosen_trials(many)["mobilenet"]
    history = many.groups["mobilenet-tuned"].runs[0].history
    runs = [
        CompletedRun(worse, seed, {"val_accuracy": score, "arch": "mobilenet"}, history)
        for seed, score in enumerate((None, 0.7))
    ]
    assert largest_margin(replace(many, confirmations=tuple(runs))) == pytest.approx(0.03)


def test_a_relative_margin_is_at_least_one_test_image(results: StudyResults) -> None:
    told = with_config(results.study, margin=None, margin_of_errors=None)
    perfect = replace(scored(results, 1.0, 1.0), study=told)
    n_images = len(perfect.groups["alexnet-tuned"].labels)
    assert largest_margin(perfect) == pytest.approx(min(0.005, 1 / n_images))


def test_without_a_search_half_a_point_matters(results: StudyResults) -> None:
    told = with_config(results.study, margin=None, margin_of_errors=None)
    bare = replace(results, study=told, trials=results.trials.iloc[:0])
    assert largest_margin(bare) == 0.005


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "the smaller of 0.5 percentage points and 10 % of the worse network's validation errors"),
        ({"margin": 1.0}, "1 percentage points"),
        ({"margin_of_errors": 20.0}, "20 % of the worse network's validation errors"),
    ],
)
def test_the_rule_is_said_in_words(results: StudyResults, settings: dict[str, float], words: str) -> None:
    told = with_config(results.study, **({"margin": None, "margin_of_errors": None} | settings))
    assert margin_in_words(told.config) == words
