"""The verdict over searches: networks that are tuned by a search each, beside two given configurations."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.results.load import StudyResults, load_results
from analysis.retraining.plans import SearchOutcome, choose_tuned
from analysis.statistics.search_luck.interval import OverSearches
from analysis.statistics.search_luck.luck import search_luck
from analysis.statistics.two_way_layout import TwoWayLayout
from analysis.verdict.comparisons import make_comparisons, make_verdict
from analysis.verdict.searches.records import expected_by_trial, fresh_scores, search_record
from analysis.verdict.summary import summarise
from analysis.verdict.summary_json import Grade, Summary
from models.training.recipe import TrainingConfig
from tests.analysis.example_study import write_example
from tests.analysis.example_study_json import SPACES, with_config, with_leads

CHANGES = "but another search may change it"


@pytest.fixture(scope="module")
def unscored(tmp_path_factory: pytest.TempPathFactory) -> StudyResults:
    """Return a study in which one of four confirmation runs of each network has no score."""
    path = tmp_path_factory.mktemp("luck") / "study"
    return load_results(write_example(path, seeds=6, trials=10, confirm=True))


@pytest.fixture(scope="module")
def erratic(unscored: StudyResults) -> StudyResults:
    """Return a study whose confirmation runs differ by up to 89 points."""
    return with_confirmations(unscored, lambda metrics: metrics | {"val_accuracy": metrics["val_accuracy"] or 0.01})


def with_confirmations(results: StudyResults, change: Callable[[dict[str, Any]], dict[str, Any]]) -> StudyResults:
    """Return the study with changed metrics of its confirmation runs."""
    changed = tuple(replace(run, metrics=change(run.metrics)) for run in results.confirmations)
    return replace(results, confirmations=changed)


@pytest.fixture(scope="module")
def results(erratic: StudyResults) -> StudyResults:
    return steady(erratic)


def steady(results: StudyResults) -> StudyResults:
    """Return the study with confirmation runs that score nearly as their trials do."""
    scores = results.trials.set_index("trial_id")["val_accuracy"]
    runs = [
        replace(run, metrics=run.metrics | {"val_accuracy": scores[run.group] + 0.002 * run.seed})
        for run in results.confirmations
    ]
    return replace(results, confirmations=tuple(runs))


def leading(results: StudyResults, images: int) -> Summary:
    """Summarise the study if AlexNet gets so many of 1,000 images more right in every run."""
    return summarise(with_leads(results, {"alexnet-tuned": images}))


def test_the_interval_over_searches_adds_the_luck_of_both(results: StudyResults) -> None:
    led = with_leads(results, {"alexnet-tuned": 60})
    verdict = make_verdict(led, make_comparisons(led))
    assert verdict is not None and verdict.over_searches is not None
    luck = {arch: search_luck(search_record(led, arch)) for arch in ("alexnet", "mobilenet")}
    assert verdict.over_searches.luck == luck
    assert min(luck.values()) > 0
    a, b = (led.groups[name].correct().astype(int) for name in ("alexnet-tuned", "mobilenet-tuned"))
    over = OverSearches(TwoWayLayout.of(a - b))
    half_width = over.half_width((luck["alexnet"], luck["mobilenet"]))
    assert verdict.over_searches.ci95 == pytest.approx((0.06 - half_width, 0.06 + half_width))
    assert verdict.luck_to_overturn == over.luck_to_overturn()
    low, high = verdict.difference.ci95
    assert low is not None and high is not None
    assert high - low < 2 * half_width


def test_the_interval_over_searches_pairs_no_runs_of_two_networks(results: StudyResults) -> None:
    apart = {"alexnet-tuned": [0, 80, 20, 60, 40, 90], "mobilenet-tuned": [-70, -20, -90, -10, -50, -30]}
    led = with_leads(results, apart)
    verdict = make_verdict(led, make_comparisons(led))
    assert verdict is not None and verdict.over_searches is not None
    a, b = (led.groups[name].correct().astype(int) for name in ("alexnet-tuned", "mobilenet-tuned"))
    luck = verdict.over_searches.luck["alexnet"], verdict.over_searches.luck["mobilenet"]
    unpaired, paired = (
        OverSearches(TwoWayLayout.between(a, b, paired=paired)).half_width(luck) for paired in (False, True)
    )
    low, high = verdict.over_searches.ci95
    assert low is not None and high is not None
    assert (high - low) / 2 == pytest.approx(unpaired) != pytest.approx(paired)


def test_a_call_that_the_wider_interval_gives_too_is_about_tuned_networks(results: StudyResults) -> None:
    summary = leading(results, 90)
    assert summary.verdict is not None and summary.verdict.over_searches is not None
    assert (summary.call, summary.verdict.over_searches.call) == ("better", "better")
    assert summary.verdict.for_these_configurations is False
    assert summary.headline == "AlexNet is more accurate than MobileNet-like once both are tuned."
    assert summary.luck is not None
    assert summary.luck.startswith("Over repeated searches the 95 % interval is ")
    assert "The verdict stands if that luck is below " in summary.luck
    assert summary.luck in summary.verdict.text
    assert "This holds for networks tuned by such a search and these 1,437 training images" in summary.verdict.text
    assert all(limit.label != CHANGES for limit in summary.caveats)


def test_a_call_that_luck_may_change_is_about_two_configurations(erratic: StudyResults) -> None:
    summary = leading(erratic, 60)
    assert summary.verdict is not None and summary.verdict.over_searches is not None
    assert (summary.call, summary.verdict.call, summary.verdict.winner) == ("better", "better", "alexnet")
    assert summary.verdict.over_searches.call == "not shown"
    assert summary.verdict.for_these_configurations is True
    assert summary.headline == "AlexNet is more accurate than MobileNet-like for these two configurations."
    (limit,) = (limit for limit in summary.caveats if limit.label == CHANGES)
    assert limit.grade == Grade.COULD_OVERTURN
    assert summary.luck is not None and "The verdict would stand over searches if that luck were below " in summary.luck
    low, high = summary.verdict.over_searches.ci95
    assert low is not None and high is not None and low < 0 < high
    assert "This holds for these two configurations" in summary.verdict.text


def test_an_equivalence_that_luck_may_change_is_weaker(erratic: StudyResults) -> None:
    summary = summarise(with_leads(erratic, {"alexnet-tuned": 1}, 5000))
    assert summary.headline == "AlexNet and MobileNet-like are equivalent in accuracy for these two configurations."
    (limit,) = (limit for limit in summary.caveats if "tuned by another such search" in limit.text)
    assert limit.grade == Grade.WEAKENS


def without_confirmation(results: StudyResults) -> StudyResults:
    return replace(results, confirmations=())


def with_few_scores(results: StudyResults) -> StudyResults:
    """Return the study in which three trials of MobileNet-like failed."""
    trials = results.trials.copy()
    trials.loc[trials["trial_id"].isin([f"mobilenet-{number}" for number in (5, 6, 7)]), "status"] = "FAILED"
    return replace(results, trials=trials)


@pytest.mark.parametrize("poorer", [without_confirmation, with_few_scores])
def test_a_search_that_is_too_short_gives_no_wider_interval(
    results: StudyResults, poorer: Callable[[StudyResults], StudyResults]
) -> None:
    summary = leading(poorer(results), 60)
    assert summary.verdict is not None and summary.verdict.for_these_configurations
    assert "over_searches" not in summary.as_json()["verdict"]
    assert summary.headline == "AlexNet is more accurate than MobileNet-like for these two configurations."
    assert summary.luck is not None and summary.luck.startswith("The interval does not cover the luck of the searches.")
    assert " The verdict stands if that luck is below " in summary.luck
    (limit,) = (limit for limit in summary.caveats if "at least 8 trials with a score" in limit.text)
    assert limit.grade == Grade.WEAKENS


def test_the_larger_the_lead_the_more_luck_would_overturn_it(results: StudyResults) -> None:
    needed = [leading(results, images).as_json()["verdict"].get("luck_to_overturn") for images in (0, 20, 60)]
    assert needed[0] is None
    assert 0 < needed[1] < needed[2]


def test_a_network_whose_baseline_was_chosen_has_the_luck_of_its_search(tmp_path: Path) -> None:
    path = tmp_path / "study"
    study = load_results(write_example(path, seeds=6, trials=10, confirm=True, same_as=["mobilenet"]))
    summary = summarise(with_leads(study, {"alexnet-tuned": 60}))
    assert summary.verdict is not None and summary.verdict.over_searches is not None
    assert summary.verdict.over_searches.luck["mobilenet"] > 0


def test_studies_without_a_verdict_have_no_luck(tmp_path: Path) -> None:
    for number, further in enumerate(({"search": False}, {"titles": {"alexnet": "AlexNet"}, "confirm": True})):
        written = write_example(tmp_path / f"study-{number}", seeds=5, trials=10, **further)  # type: ignore[arg-type]
        summary = summarise(load_results(written))
        assert summary.verdict is None and summary.luck is None
        assert all(row.over_searches is None for row in summary.comparisons)


def test_one_seed_has_no_interval_over_searches(tmp_path: Path) -> None:
    summary = summarise(load_results(write_example(tmp_path / "study", seeds=1, trials=10, confirm=True)))
    assert summary.verdict is not None and summary.verdict.over_searches is None
    assert summary.luck is None


def test_each_pair_of_three_networks_is_widened(tmp_path: Path) -> None:
    titles = {"one": "One", "two": "Two", "three": "Three"}
    study = load_results(write_example(tmp_path / "study", titles=titles, seeds=6, trials=10, confirm=True))
    for shown, about in ((steady(study), " once all are tuned"), (study, " for these configurations")):
        summary = summarise(with_leads(shown, {"one-tuned": 90}))
        assert summary.headline == f"One is more accurate than each of the others{about}."
        wider = [row.over_searches for row in summary.comparisons if row.family == "tuned networks"]
        assert len(wider) == 3
        for one in wider:
            assert one is not None and one.p_value is not None and one.holm_p is not None
            assert one.holm_p >= one.p_value


def test_networks_with_spaces_of_their_own_have_their_own_luck(tmp_path: Path) -> None:
    titles = {"alexnet": "AlexNet", "resnet18": "ResNet-18"}
    written = write_example(tmp_path / "study", titles=titles, seeds=5, trials=10, confirm=True, spaces=SPACES)
    study = load_results(written)
    for arch, space in SPACES.items():
        record = search_record(study, arch)
        assert list(record.space) == list(space)
        assert np.isfinite(search_luck(record))


def test_a_search_is_read_as_it_went(erratic: StudyResults) -> None:
    results = erratic
    record = search_record(results, "alexnet")
    trials = results.trials_of("alexnet").set_index("trial_id")
    assert [run.score for run in record.trials] == [
        0.0 if row["status"] == "DIVERGED" else row["val_accuracy"] for _, row in trials.iterrows()
    ]
    assert [run.score for run in record.confirmations] == [0.9, 0.01, 0.6, 0.6]
    assert record.confirmations[0].config == {name: trials.loc["alexnet-0"][name] for name in ("lr", "dropout")}
    assert (record.planned, record.confirm, record.starts) == (10, 2, 1)
    fixed = replace(results, study=with_config(results.study, first_lrs=[3e-3, 3e-4]))
    assert search_record(fixed, "alexnet").starts == 3


def test_a_confirmation_run_that_diverged_is_no_noise(unscored: StudyResults, erratic: StudyResults) -> None:
    def end(metrics: dict[str, Any]) -> dict[str, Any]:
        return metrics | {"status": "DIVERGED" if metrics["val_accuracy"] == 0.01 else "COMPLETE"}

    scored, counted = search_record(with_confirmations(erratic, end), "alexnet"), search_record(erratic, "alexnet")
    assert search_record(unscored, "alexnet") == scored
    assert [run.score for run in scored.confirmations] == [0.9, 0.6, 0.6]
    assert (scored.confirm, scored.suffices()) == (2, True)
    assert 0 < search_luck(scored) < search_luck(counted)
    none = search_record(with_confirmations(erratic, lambda metrics: metrics | {"status": "DIVERGED"}), "alexnet")
    assert not none.suffices(), "no run says how much the scores of one configuration differ"


def test_a_verdict_that_shows_nothing_claims_nothing_of_other_searches(results: StudyResults) -> None:
    summary = leading(replace(results, study=with_config(results.study, margin=0.0)), 0)
    assert summary.verdict is not None and summary.verdict.call == "not shown"
    assert summary.verdict.over_searches is not None
    assert "This holds for these two configurations" in summary.verdict.text


def test_expected_scores_rank_the_trials_as_the_study_chose(tmp_path: Path) -> None:
    written = write_example(tmp_path / "study", seeds=5, trials=30, confirm=True)
    results = load_results(written)
    for arch in results.architectures:
        rows = results.trials_of(arch).set_index("trial_id")
        ended = rows[rows["status"].isin(["COMPLETE", "STOPPED_EARLY"])].sort_values("val_accuracy", ascending=False)
        names = ("lr", "dropout")
        leaders = {
            int(str(trial).rpartition("-")[2]): (
                TrainingConfig({name: float(row[name]) for name in names}, 8),
                float(row["val_accuracy"]),
            )
            for trial, row in ended.iterrows()
        }
        space = {name: one.model_dump() for name, one in results.study.space_of(arch).items()}
        outcome = SearchOutcome(arch, TrainingConfig({}, 8), leaders, space)
        expected = expected_by_trial(results, arch)
        assert set(expected) == set(ended.index), "a trial that a rung stopped is not to be chosen"
        confirmed = fresh_scores(results, arch)
        assert f"{arch}-{choose_tuned(outcome, results.confirmations)}" == max(confirmed, key=expected.__getitem__)
