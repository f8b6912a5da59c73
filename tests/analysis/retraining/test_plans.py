"""Checks which runs follow a search, which configuration they choose, and which runs are missing."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.results.run_folders import EPOCH_COLUMNS, CompletedRun, FinalRun
from analysis.results.study_folder import StudyFolder
from analysis.retraining.plans import (
    RunPlan,
    SearchOutcome,
    choose_tuned,
    missing_runs,
    plan_baselines,
    plan_confirmations,
    plan_final_runs,
    stray_runs,
)
from models.training.recipe import TrainingConfig

BASELINE = TrainingConfig({"lr": 1e-3, "dropout": 0.5}, 9)
TUNED = TrainingConfig({"lr": 2e-3, "dropout": 0.1}, 9)
SPACE = {
    "lr": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True},
    "dropout": {"type": "float", "low": 0.0, "high": 0.7, "log": False},
}
ALEXNET = SearchOutcome("alexnet", BASELINE, {1: (TUNED, 0.9), 0: (BASELINE, 0.8)}, SPACE)
MOBILENET = SearchOutcome("mobilenet", TrainingConfig({"lr": 1e-3, "dropout": 0.0}, 9), {1: (TUNED, 0.9)}, SPACE)
LEADERS = {number: TrainingConfig({"lr": 1e-3 * (number + 1), "dropout": 0.5}, 9) for number in (2, 3, 4)}
CONFIRMED = SearchOutcome("alexnet", BASELINE, {number: (LEADERS[number], 0.9) for number in LEADERS}, SPACE)


def _confirmation(number: int, seed: int, score: float | None, loss: float | None = 1.0) -> CompletedRun:
    metrics = {"val_accuracy": score, "val_loss": loss, "status": "COMPLETE", "arch": "alexnet"}
    history = pd.DataFrame([(1, 1.0, 1.0, 0.5, 0.1, 0.5)], columns=list(EPOCH_COLUMNS))
    return CompletedRun(f"alexnet-{number}", seed, metrics, history)


def _groups(plans: Sequence[RunPlan]) -> list[str]:
    return list(dict.fromkeys(plan.group for plan in plans))


def test_the_leading_trials_run_twice_on_seeds_of_their_own() -> None:
    plans = plan_confirmations([CONFIRMED], 2)
    assert [(plan.group, plan.seed) for plan in plans] == [(f"alexnet-{n}", s) for s in (0, 1) for n in (2, 3)]
    assert {plan.purpose for plan in plans} == {"confirm"}
    assert plans[0].recipe == LEADERS[2]
    assert plan_confirmations([CONFIRMED], 0) == []


@pytest.mark.parametrize(
    ("runs", "chosen"),
    [
        ([], 2),
        ([(2, 0.7, 1.0), (3, 0.75, 1.0), (4, 0.1, 1.0)], 3),
        ([(2, 0.7, 1.0), (3, 0.7, 0.9), (4, 0.7, 0.9)], 2),
        ([(2, None, None), (3, 0.2, 1.0)], 3),
    ],
)
def test_the_highest_mean_of_the_fresh_runs_is_chosen(
    runs: list[tuple[int, float | None, float | None]], chosen: int
) -> None:
    confirmations = [_confirmation(number, seed, score, loss) for number, score, loss in runs for seed in (0, 1)]
    assert choose_tuned(CONFIRMED, confirmations) == chosen
    tuned = [plan.recipe for plan in plan_final_runs([CONFIRMED], 2, confirmations) if plan.variant == "tuned"]
    assert tuned == [LEADERS[chosen]] * 2


def test_one_lucky_run_does_not_decide() -> None:
    runs = [_confirmation(2, 0, 0.9), _confirmation(2, 1, 0.1), _confirmation(3, 0, 0.6), _confirmation(3, 1, 0.6)]
    assert choose_tuned(CONFIRMED, runs) == 3


def _searched(lucky: float = 0.0) -> SearchOutcome:
    """Scores of 0.8 at lr 1e-3, the lower the farther away in decades, with alternating noise of 0.01.

    The trial at 3e-3 is lucky.
    """
    leaders = {}
    for number, lr in enumerate(np.logspace(-4, -2, 17)):
        score = 0.8 - 0.1 * abs(np.log10(lr) + 3) + 0.01 * (-1) ** number
        is_lucky = number == 12
        leaders[number] = (TrainingConfig({"lr": lr, "dropout": 0.3}, 9), score + lucky * is_lucky)
    ranked = dict(sorted(leaders.items(), key=lambda item: -item[1][1]))
    return SearchOutcome("alexnet", BASELINE, ranked, SPACE)


def test_a_lucky_score_among_low_ones_leads_no_more() -> None:
    outcome = _searched(lucky=0.07)
    assert next(iter(outcome.leaders)) == 12, "by its score it leads"
    confirmed = {plan.variant for plan in plan_confirmations([outcome], 3)}
    assert confirmed <= {"7", "8", "9", "10"}
    assert choose_tuned(outcome, []) == 8


def test_confirmations_and_the_search_choose_together() -> None:
    """Trials 7, 8 and 9 are about as good in their two fresh runs each. The search speaks for trial 8."""
    outcome = _searched()
    fresh = {7: (0.795, 0.790), 8: (0.790, 0.792), 9: (0.785, 0.780)}
    runs = [_confirmation(number, seed, score) for number in fresh for seed, score in enumerate(fresh[number])]
    assert choose_tuned(outcome, runs) == 8
    much = {7: (0.90, 0.91), 8: (0.790, 0.792), 9: (0.785, 0.780)}
    runs = [_confirmation(number, seed, score) for number in much for seed, score in enumerate(much[number])]
    assert choose_tuned(outcome, runs) == 7
    far = [_confirmation(0, seed, 0.6) for seed in (0, 1)]
    assert choose_tuned(outcome, far) == 0, "nothing else was confirmed"


def test_without_a_score_nothing_is_chosen() -> None:
    assert choose_tuned(SearchOutcome("alexnet", BASELINE, {}, SPACE), []) is None


def test_confirmed_runs_are_not_made_again(tmp_path: Path) -> None:
    folder, plans = StudyFolder(tmp_path), plan_confirmations([CONFIRMED], 3)
    run = _confirmation(2, 0, 0.5)
    run.metrics["config"], run.metrics["is_tuned"] = plans[0].made
    folder.confirm.write(run)
    assert missing_runs(plans, folder) == plans[1:]
    (kept,) = folder.confirm.read_all()
    assert (kept.group, kept.seed, kept.metrics["val_accuracy"]) == ("alexnet-2", 0, 0.5)


def test_a_final_run_and_a_confirmation_run_of_the_same_number_differ() -> None:
    names = {RunPlan("alexnet", "0", 0, BASELINE, False, purpose).name for purpose in ("final", "confirm")}
    assert len(names) == 2


def test_baseline_and_tuned_of_each_on_the_same_seeds() -> None:
    plans = plan_final_runs([ALEXNET, MOBILENET], 3)
    groups = ["alexnet-baseline", "alexnet-tuned", "mobilenet-baseline", "mobilenet-tuned"]
    assert [(plan.seed, plan.group) for plan in plans] == [(seed, group) for seed in range(3) for group in groups]
    baselines = {"alexnet": ALEXNET.baseline, "mobilenet": MOBILENET.baseline}
    for plan in plans:
        assert plan.recipe == (TUNED if plan.variant == "tuned" else baselines[plan.arch])
        assert plan.is_tuned == (plan.variant == "tuned")
    assert plans[1].name == "final/alexnet-tuned/seed-0"


def test_a_tuned_configuration_that_is_the_baseline_is_trained_once() -> None:
    plans = plan_final_runs([replace(ALEXNET, leaders={0: (BASELINE, 0.9), 1: (TUNED, 0.8)}), MOBILENET], 1)
    assert _groups(plans) == ["alexnet-baseline", "mobilenet-baseline", "mobilenet-tuned"]
    assert {plan.is_tuned for plan in plans if plan.group == "alexnet-baseline"} == {True}
    assert {plan.is_tuned for plan in plans if plan.group == "mobilenet-baseline"} == {False}


def test_a_network_whose_every_trial_failed_is_not_trained() -> None:
    plans = plan_final_runs([replace(ALEXNET, leaders={}, has_failed=True), MOBILENET], 1)
    assert _groups(plans) == ["mobilenet-baseline", "mobilenet-tuned"]


def test_a_network_without_a_score_trains_its_baseline_alone() -> None:
    plans = plan_final_runs([replace(ALEXNET, leaders={}), MOBILENET], 1)
    assert _groups(plans) == ["alexnet-baseline", "mobilenet-baseline", "mobilenet-tuned"]
    assert not any(plan.is_tuned for plan in plans if plan.arch == "alexnet")


def test_baselines_alone() -> None:
    plans = plan_baselines({"alexnet": BASELINE, "mobilenet": MOBILENET.baseline}, 3)
    assert _groups(plans) == ["alexnet-baseline", "mobilenet-baseline"]
    assert len(plans) == 6
    assert not any(plan.is_tuned for plan in plans)


def test_more_seeds_keep_the_earlier_ones() -> None:
    few, more = (plan_final_runs([ALEXNET, MOBILENET], seeds) for seeds in (2, 4))
    assert more[: len(few)] == few
    assert {plan.seed for plan in more[len(few) :]} == {2, 3}


def _made(plan: RunPlan) -> FinalRun:
    config, is_tuned = plan.made
    return FinalRun(
        group=plan.group,
        seed=plan.seed,
        metrics={"accuracy": 0.5, "status": "COMPLETE", "config": config, "is_tuned": is_tuned},
        history=pd.DataFrame([(1, 1.0, 1.0, 0.5, 0.25, 0.5)], columns=list(EPOCH_COLUMNS)),
        logits=np.zeros((2, 3), np.float32),
        labels=np.zeros(2, np.int64),
    )


def test_runs_in_the_folder_are_not_made_again(tmp_path: Path) -> None:
    folder, plans = StudyFolder(tmp_path), plan_baselines({"alexnet": BASELINE, "mobilenet": MOBILENET.baseline}, 3)
    assert missing_runs(plans, folder) == plans
    for plan in (plans[0], plans[3]):
        folder.final.write(_made(plan))
    assert missing_runs(plans, folder) == [plans[1], plans[2], plans[4], plans[5]]
    assert stray_runs(plans, folder) == []


def test_a_group_never_holds_two_configurations(tmp_path: Path) -> None:
    one = plan_final_runs([ALEXNET], 3)
    other = plan_final_runs([replace(ALEXNET, leaders={1: (TrainingConfig({"lr": 3e-3, "dropout": 0.1}, 9), 0.9)})], 3)
    folder = StudyFolder(tmp_path)
    for plan in one[:4]:
        folder.final.write(_made(plan))
    assert missing_runs(other, folder) == [plan for plan in other if plan.variant == "tuned" or plan.seed == 2]
    assert stray_runs(other, folder) == [("final", "alexnet-tuned", 0), ("final", "alexnet-tuned", 1)]
    for purpose, group, seed in stray_runs(other, folder):
        folder.runs(purpose).remove(group, seed)
    assert folder.final.numbers() == {"alexnet-baseline": [0, 1]}
    assert stray_runs(other, folder) == []


def test_a_baseline_that_became_the_tuned_configuration_is_made_again(tmp_path: Path) -> None:
    folder, plans = StudyFolder(tmp_path), plan_baselines({"alexnet": BASELINE}, 3)
    folder.final.write(_made(plans[0]))
    tuned = plan_final_runs([replace(ALEXNET, leaders={0: (BASELINE, 0.9)})], 3)
    assert missing_runs(tuned, folder) == tuned
    assert stray_runs(tuned, folder) == [("final", "alexnet-baseline", 0)]
