"""From finished studies to comparisons and the verdict."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.results.errors import UnusableStudy
from analysis.results.load import Group, StudyResults, load_results
from analysis.statistics.comparison import compare
from analysis.statistics.search_progress import best_score
from analysis.verdict.caveats.sentences import caveats
from analysis.verdict.comparisons import (
    TUNED_FAMILY,
    make_comparisons,
    make_verdict,
    overall_winner,
)
from analysis.verdict.summary import summarise
from analysis.verdict.wording import describe
from tests.analysis.example_study import write_example
from tests.analysis.example_study_json import with_config, with_leads


@pytest.fixture
def results(tmp_path: Path) -> StudyResults:
    return load_results(write_example(tmp_path / "study", seeds=6))


def with_seeds(group: Group, seeds: list[int]) -> Group:
    return replace(group, runs=tuple(run for run in group.runs if run.seed in seeds))


def with_margin(results: StudyResults, points: float) -> StudyResults:
    return replace(results, study=with_config(results.study, margin=points))


def test_the_verdict_is_tuned_against_tuned_and_follows_the_predictions(results: StudyResults) -> None:
    comparisons = make_comparisons(results)
    verdict = make_verdict(results, comparisons)
    assert verdict is not None
    a, b = results.groups["alexnet-tuned"], results.groups["mobilenet-tuned"]
    expected = compare(a.correct(), b.correct())
    assert (verdict.difference.mean, verdict.difference.ci95) == (expected.mean, expected.ci95)
    assert verdict.call == expected.call
    assert verdict.winner == {"a": "alexnet", "b": "mobilenet", None: None}[expected.winner]
    assert verdict.p_value == expected.p_value
    assert [(row.a, row.b) for row in comparisons] == [
        ("alexnet-tuned", "mobilenet-tuned"),
        ("alexnet-tuned", "alexnet-baseline"),
        ("mobilenet-tuned", "mobilenet-baseline"),
    ]
    baseline = results.groups["alexnet-baseline"]
    of_one = compare(a.correct(), baseline.correct(), paired=True)
    assert comparisons[1].difference.ci95 == of_one.ci95 != compare(a.correct(), baseline.correct()).ci95


def test_the_margin_of_the_study_decides(results: StudyResults) -> None:
    led = with_leads(results, {"alexnet-tuned": 20})
    rows = {margin: make_comparisons(with_margin(led, margin))[0] for margin in (1.9, 2.1, 40.0)}
    calls = [(row.call, row.reason) for row in rows.values()]
    assert calls == [("better", None), ("not shown", "below the margin"), ("not shown", "many of the errors")]
    assert all(row.margin == pytest.approx(margin / 100) for margin, row in rows.items())
    assert "less than the margin of 2.1 percentage points" in rows[2.1].text
    said = (
        "That is less than the margin of 40 percentage points, but more than a tenth of the errors of MobileNet-like."
    )
    assert said in rows[40.0].text


def test_a_margin_of_0_makes_nothing_equivalent(results: StudyResults) -> None:
    alike = with_margin(with_leads(results, {}, 5000), 0)
    assert make_comparisons(alike)[0].reason == "interval includes 0"
    limits = [limit.text for limit in caveats(alike, None)]
    assert "No two networks can be called equivalent, because the margin of this study is 0." in limits


def test_holm_adjusts_within_a_family(results: StudyResults) -> None:
    primary, *tuning = make_comparisons(results)
    assert primary.family == TUNED_FAMILY
    assert primary.holm_p == primary.p_value
    smaller = min(row.p_value for row in tuning)
    assert min(row.holm_p for row in tuning) == pytest.approx(min(1.0, 2 * smaller))


def test_only_common_seeds_are_compared_and_the_others_named(results: StudyResults) -> None:
    group = results.groups["alexnet-tuned"]
    groups = results.groups | {"alexnet-tuned": with_seeds(group, [1, 2, 3, 4, 5])}
    row = make_comparisons(replace(results, groups=groups))[0]
    assert (row.seeds, row.seeds_left_out) == ([1, 2, 3, 4, 5], [0])
    assert row.difference.mean == compare(group.correct()[1:], results.groups["mobilenet-tuned"].correct()[1:]).mean


def test_groups_without_a_common_seed_are_not_compared(results: StudyResults) -> None:
    groups = results.groups | {
        "alexnet-tuned": with_seeds(results.groups["alexnet-tuned"], [0, 1]),
        "mobilenet-tuned": with_seeds(results.groups["mobilenet-tuned"], [2, 3]),
    }
    rows = make_comparisons(replace(results, groups=groups))
    assert [(row.a, row.b) for row in rows] == [
        ("alexnet-tuned", "alexnet-baseline"),
        ("mobilenet-tuned", "mobilenet-baseline"),
    ]
    assert make_verdict(results, rows) is None
    summary = summarise(replace(results, groups=groups))
    assert summary.headline == "There is no verdict: no seed has a final run of both tuned networks."
    assert summary.label is None
    assert summary.accuracies is not None and summary.accuracies.count("95 % interval") == 2


@pytest.mark.parametrize(("n_images", "is_said"), [(600, True), (601, False)])
def test_a_test_set_too_small_for_equivalence_is_a_caveat(results: StudyResults, n_images: int, is_said: bool) -> None:
    led = with_leads(results, {}, n_images)
    assert any(f"with {n_images} test images" in limit.text for limit in caveats(led, None)) == is_said
    call = compare(*(led.groups[name].correct() for name in ("alexnet-tuned", "mobilenet-tuned"))).call
    assert (call == "equivalent") != is_said


def test_runs_that_are_all_alike_have_no_correlation_and_no_leader(results: StudyResults) -> None:
    pair = make_comparisons(with_leads(results, {}))[0]
    assert pair.seed_correlation is None
    right = np.ones((6, 300), bool)
    text = describe(compare(right, right), "A", "B", 6).text
    assert "Both are equally accurate (95 % interval \N{MINUS SIGN}1 to 1), and" in text
    assert "ahead" not in text


def test_a_study_that_still_lacks_seeds_says_so_and_has_no_winner(results: StudyResults) -> None:
    led = with_leads(results, {"alexnet-tuned": 60})
    planned = led.study.config.seeds
    more = replace(led, study=with_config(led.study, seeds=2 * planned))
    for shown, is_whole in ((led, True), (more, False)):
        comparisons = make_comparisons(shown)
        verdict = make_verdict(shown, comparisons)
        assert verdict is not None and verdict.call == "better"
        assert (f"So far {planned} of the {2 * planned} planned seeds are there." in verdict.text) != is_whole
        assert any(limit.label == "but some seeds are not there yet" for limit in caveats(shown, None)) != is_whole
        assert overall_winner(shown, comparisons) == ("alexnet" if is_whole else None)


def test_networks_that_learned_nothing_are_not_called_equivalent(results: StudyResults) -> None:
    alike = with_leads(results, {})
    assert make_comparisons(alike)[0].call == "equivalent"
    constant = np.eye(10, dtype=np.float32)[np.zeros(1000, int)]
    for name in ("mobilenet-tuned", "alexnet-tuned"):
        group = alike.groups[name]
        runs = tuple(replace(run, logits=constant) for run in group.runs)
        alike = replace(alike, groups=alike.groups | {name: replace(group, runs=runs)})
        row = make_comparisons(alike)[0]
        assert (row.reason == "nothing learned") == (name == "alexnet-tuned"), "both have"
    assert row.call == "not shown"
    assert "MobileNet-like: neither is shown to beat the same answer for every image." in row.text


def test_groups_with_other_test_images_are_refused(results: StudyResults) -> None:
    group = results.groups["alexnet-tuned"]
    other = replace(group, runs=tuple(replace(run, labels=(run.labels + 1) % 10) for run in group.runs))
    with pytest.raises(UnusableStudy, match="different test images"):
        make_comparisons(replace(results, groups=results.groups | {"alexnet-tuned": other}))


@pytest.mark.parametrize("count", [1, 3])
def test_other_than_two_architectures_have_no_verdict_but_every_pair(tmp_path: Path, count: int) -> None:
    titles = dict(list({"one": "One", "two": "Two", "three": "Three"}.items())[:count])
    results = load_results(write_example(tmp_path / "study", titles=titles, seeds=5))
    comparisons = make_comparisons(results)
    assert make_verdict(results, comparisons) is None
    assert sum(row.family == TUNED_FAMILY for row in comparisons) == count * (count - 1) // 2


def test_one_seed_gives_nulls(tmp_path: Path) -> None:
    results = load_results(write_example(tmp_path / "study", seeds=1))
    row = make_comparisons(results)[0]
    assert row.call == "not shown"
    assert [row.p_value, row.holm_p, row.equivalence_holm_p, *row.difference.ci95] == [None] * 5
    verdict = make_verdict(results, [row])
    assert verdict is not None
    assert "interval" not in verdict.text


def history(rows: list[tuple[str, str, int, float, float]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["trial_id", "arch", "epoch", "val_loss", "val_accuracy"])


def test_a_changed_order_at_equal_epochs_is_said(results: StudyResults) -> None:
    table = history(
        [
            ("alexnet-0", "alexnet", 1, 0.5, 0.6),
            ("alexnet-0", "alexnet", 2, 0.4, 0.9),
            ("mobilenet-0", "mobilenet", 1, 0.5, 0.7),
        ]
    )
    changed = replace(results, history=table)
    assert best_score(changed.history_of("alexnet"), 1) == 0.6
    assert best_score(changed.history_of("alexnet")) == 0.9
    verdict = make_verdict(changed, make_comparisons(changed))
    assert verdict is not None
    assert (
        "The searches of AlexNet and MobileNet-like spent 2 and 1 epochs. After 1 epochs each, the order of their best"
        " validation scores is different: 60.00 and 70.00 %, but 90.00 and 70.00 % at the end."
    ) in verdict.text
    same = make_verdict(replace(results, history=table.iloc[1:]), make_comparisons(results))
    assert same is not None
    assert "is different" not in same.text


def test_a_score_is_that_of_the_lowest_loss() -> None:
    table = history([("alexnet-0", "alexnet", 1, 0.4, 0.6), ("alexnet-0", "alexnet", 2, 0.5, 0.9)])
    assert best_score(table) == 0.6


def test_runs_that_diverged_are_told_with_every_comparison_they_are_in(results: StudyResults) -> None:
    group = results.groups["alexnet-tuned"]
    runs = tuple(
        replace(run, metrics=run.metrics | {"status": "DIVERGED"}) if run.seed in (1, 4) else run for run in group.runs
    )
    rows = make_comparisons(replace(results, groups=results.groups | {"alexnet-tuned": replace(group, runs=runs)}))
    said = " 2 of 6 runs (95 % interval 4 to 78 %) of AlexNet"
    assert [said in row.text for row in rows] == [True, True, False]
    assert all("Without the failed runs 4 seeds can be compared; 5 are needed." in row.text for row in rows[:2])
    verdict = make_verdict(results, rows)
    assert verdict is not None
    assert said in verdict.text
