"""Which trials are run again, and which of them is chosen."""

from pathlib import Path

import pandas as pd
import pytest

from analysis.results.run_folders import EPOCH_COLUMNS, CompletedRun
from analysis.results.study_folder import StudyFolder
from study.runs.confirmation import choose_tuned, plan_confirmations
from study.runs.final_runs import missing_runs, plan_final_runs
from study.runs.ray_runs import RunPlan
from study.search.ledger import Ledger
from study.search.search import Search
from study.search.trial import Status
from study.settings.config import StudyConfig
from tests.builders import epoch

CONFIG = StudyConfig(trials=5, max_epochs=9, seeds=2, confirm=3, archs=("alexnet",))
SCORES: list[tuple[float, Status]] = [
    (0.5, "COMPLETE"),
    (0.9, "PRUNED"),
    (0.8, "COMPLETE"),
    (0.7, "STOPPED_EARLY"),
    (0.6, "COMPLETE"),
]


@pytest.fixture
def search(tmp_path: Path) -> Search:
    ledger = Ledger(tmp_path / "journal.jsonl")
    for number, (score, status) in enumerate(SCORES):
        trial = ledger.ask("alexnet", number, {"lr": 1e-3 * (number + 1), "dropout": 0.5})
        ledger.report(trial.trial_id, epoch(1, 1.0, score))
        ledger.end(trial.trial_id, status)
    return Search(CONFIG, {"alexnet": CONFIG.baseline_training("alexnet")}, ledger)


def confirmation(number: int, seed: int, score: float | None, loss: float | None = 1.0) -> CompletedRun:
    metrics = {"val_accuracy": score, "val_loss": loss, "status": "COMPLETE", "arch": "alexnet"}
    history = pd.DataFrame([(1, 1.0, 1.0, 0.5, 0.1)], columns=list(EPOCH_COLUMNS))
    return CompletedRun(f"alexnet-{number}", seed, metrics, history)


def test_the_leading_unpruned_trials_run_twice_on_seeds_of_their_own(search: Search) -> None:
    plans = plan_confirmations(CONFIG, search)
    assert [(plan.group, plan.seed) for plan in plans] == [(f"alexnet-{n}", s) for s in (0, 1) for n in (2, 3, 4)]
    assert {plan.purpose for plan in plans} == {"confirm"}
    assert plans[0].recipe == CONFIG.training({"lr": 3e-3, "dropout": 0.5})
    assert plan_confirmations(StudyConfig(confirm=0, archs=("alexnet",)), search) == []


@pytest.mark.parametrize(
    ("runs", "chosen"),
    [
        ([], 2),
        ([(2, 0.7, 1.0), (3, 0.75, 1.0), (4, 0.1, 1.0)], 3),
        ([(2, 0.7, 1.0), (3, 0.7, 0.9), (4, 0.7, 0.9)], 3),
        ([(2, None, None), (3, 0.2, 1.0)], 3),
    ],
)
def test_the_highest_mean_of_the_fresh_runs_is_chosen(
    search: Search, runs: list[tuple[int, float | None, float | None]], chosen: int
) -> None:
    confirmations = [confirmation(number, seed, score, loss) for number, score, loss in runs for seed in (0, 1)]
    trial = choose_tuned(search, "alexnet", confirmations)
    assert trial is not None
    assert trial.number == chosen
    tuned = {plan.recipe for plan in plan_final_runs(CONFIG, search, confirmations) if plan.variant == "tuned"}
    assert tuned == {search.recipe(trial)}


def test_one_lucky_run_does_not_decide(search: Search) -> None:
    runs = [confirmation(2, 0, 0.9), confirmation(2, 1, 0.1), confirmation(3, 0, 0.6), confirmation(3, 1, 0.6)]
    trial = choose_tuned(search, "alexnet", runs)
    assert trial is not None
    assert trial.number == 3


def test_confirmed_runs_are_not_made_again(search: Search, tmp_path: Path) -> None:
    folder, plans = StudyFolder(tmp_path), plan_confirmations(CONFIG, search)
    run = confirmation(2, 0, 0.5)
    run.metrics["config"] = {"lr": plans[0].recipe.lr, "dropout": plans[0].recipe.dropout}
    run.metrics["is_tuned"] = False
    folder.confirm.write(run)
    assert missing_runs(plans, folder) == plans[1:]
    (kept,) = folder.confirm.read_all()
    assert (kept.group, kept.seed, kept.metrics["val_accuracy"]) == ("alexnet-2", 0, 0.5)


def test_a_final_run_of_the_same_number_is_another_run() -> None:
    recipe = CONFIG.training({"lr": 1e-3, "dropout": 0.5})
    names = {RunPlan("alexnet", "0", 0, recipe, False, purpose).name for purpose in ("final", "confirm")}
    assert len(names) == 2
