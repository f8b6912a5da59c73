"""The runs after the search: which configurations are trained again, on which seeds, and which runs are still missing.

The tuned configuration is the one with the highest expected score: the best of many noisy scores is partly luck, so a
Gaussian process of all scores ranks the trials (`analysis.statistics.search_luck.expected`). Confirmation runs train
the leading trials again on fresh seeds, and the Gaussian process that sees their scores, too, chooses between these
trials. Final runs train each tuned configuration and each baseline, and are judged on the test set.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from analysis.results.run_folders import CompletedRun
from analysis.results.study_folder import StudyFolder
from models.training.recipe import TrainingConfig

CONFIRMATION_SEEDS = 2

Purpose = Literal["final", "confirm"]
# A run's identity in a study: purpose, group and number k of its seed.
RunKey = tuple[Purpose, str, int]


@dataclass(frozen=True)
class RunPlan:
    """Says how one run is to be made.

    Attributes:
        arch: name of the network.
        variant: "baseline" or "tuned"; for a confirmation run the number of its trial.
        seed: its number k, from 0. Runs with equal k share the split, and draw data order, initial weights and
            dropout masks from the same streams, in every group.
        recipe: how the network is trained.
        is_tuned: True if this is the tuned configuration, which the baseline can be too.
        purpose: "final", or "confirm" for a run that never sees the test set. Each purpose has seeds of its own.
    """

    arch: str
    variant: str
    seed: int
    recipe: TrainingConfig
    is_tuned: bool
    purpose: Purpose = "final"

    @property
    def group(self) -> str:
        return f"{self.arch}-{self.variant}"

    @property
    def name(self) -> str:
        """Name the run in the checkpoint store."""
        return f"{self.purpose}/{self.group}/seed-{self.seed}"

    @property
    def key(self) -> RunKey:
        return self.purpose, self.group, self.seed

    @property
    def made(self) -> tuple[dict[str, Any], bool]:
        """Return what metrics.json says of the finished run: its configuration, and whether it is the tuned one."""
        return dict(self.recipe.values), self.is_tuned


@dataclass(frozen=True)
class FailedRun:
    """Says why a run failed for good, in one line."""

    plan: RunPlan
    reason: str


@dataclass(frozen=True)
class SearchOutcome:
    """Says what the search of one network came to.

    Attributes:
        arch: name of the network.
        baseline: recipe of the documented baseline.
        leaders: number of each trial that can be chosen, the highest score first, with its recipe and its score in
            [0, 1]; empty if no trial has a score.
        space: the search space as JSON, as in study.json.
        has_failed: True if every trial failed, so that the network has no result.
    """

    arch: str
    baseline: TrainingConfig
    leaders: Mapping[int, tuple[TrainingConfig, float]]
    space: Mapping[str, Any]
    has_failed: bool = False


def plan_confirmations(outcomes: Sequence[SearchOutcome], leaders: int) -> list[RunPlan]:
    """Plan CONFIRMATION_SEEDS runs of each of the leading trials of each network, on seeds of their own.

    Args:
        leaders: trials to confirm for each network; 0 plans nothing.
    """
    ranked = {outcome.arch: _rank(outcome, {})[:leaders] for outcome in outcomes}
    return [
        RunPlan(outcome.arch, str(number), seed, outcome.leaders[number][0], is_tuned=False, purpose="confirm")
        for seed in range(CONFIRMATION_SEEDS)
        for outcome in outcomes
        for number in ranked[outcome.arch]
    ]


def choose_tuned(outcome: SearchOutcome, confirmations: Sequence[CompletedRun]) -> int | None:
    """Choose the tuned configuration: the trial of the highest expected score among those with confirmation runs.

    A run without a finite loss scores 0.

    Returns:
        The trial's number. If no trial has confirmation runs, all trials are ranked. None if no trial has a score.
    """
    runs = {
        number: [run.metrics["val_accuracy"] or 0.0 for run in confirmations if run.group == f"{outcome.arch}-{number}"]
        for number in outcome.leaders
    }
    confirmed = {number: scores for number, scores in runs.items() if scores}
    return next((number for number in _rank(outcome, confirmed) if number in (confirmed or runs)), None)


def _rank(outcome: SearchOutcome, confirmed: Mapping[int, Sequence[float]]) -> list[int]:
    # Here, since these modules import SciPy, which no first step needs.
    from analysis.statistics.search_luck.expected import rank
    from analysis.statistics.search_luck.luck import Run
    from analysis.statistics.search_luck.places import Places

    trials = {number: Run(recipe.values, score) for number, (recipe, score) in outcome.leaders.items()}
    return rank(Places.described(outcome.space), trials, confirmed)


def plan_final_runs(
    outcomes: Sequence[SearchOutcome], seeds: int, confirmations: Sequence[CompletedRun] = ()
) -> list[RunPlan]:
    """Plan every final run of a study, seed by seed, so that a study cut short has whole pairs.

    A network gets its baseline and its tuned configuration. A tuned configuration that equals the baseline is not
    planned twice. A network whose every trial failed gets nothing.

    Args:
        outcomes: one for each network, from a search that is done.
        seeds: runs of each configuration.
        confirmations: the runs that choose the tuned configurations, if there are any.
    """
    plans = []
    tuned = {outcome.arch: choose_tuned(outcome, confirmations) for outcome in outcomes}
    for seed in range(seeds):
        for outcome in outcomes:
            if outcome.has_failed:
                continue
            number = tuned[outcome.arch]
            recipe = None if number is None else outcome.leaders[number][0]
            is_baseline = recipe == outcome.baseline
            plans.append(RunPlan(outcome.arch, "baseline", seed, outcome.baseline, is_tuned=is_baseline))
            if recipe is not None and not is_baseline:
                plans.append(RunPlan(outcome.arch, "tuned", seed, recipe, is_tuned=True))
    return plans


def plan_baselines(baselines: Mapping[str, TrainingConfig], seeds: int) -> list[RunPlan]:
    """Plan the final runs of a study that searches nothing: every network's baseline, seed by seed."""
    return [
        RunPlan(arch, "baseline", seed, recipe, is_tuned=False)
        for seed in range(seeds)
        for arch, recipe in baselines.items()
    ]


def missing_runs(plans: Sequence[RunPlan], folder: StudyFolder) -> list[RunPlan]:
    """Return the plans whose results are not in the folder."""
    made = _made_runs(folder)
    return [plan for plan in plans if made.get(plan.key) != plan.made]


def stray_runs(plans: Sequence[RunPlan], folder: StudyFolder) -> list[RunKey]:
    """Return the runs in the folder that no plan makes, among those with the purposes of the plans.

    Such a run has a configuration that was the tuned one when less was known: a confirmation run had failed then, or a
    part of the search was lost since.
    """
    planned = {plan.key: plan.made for plan in plans}
    purposes = {plan.purpose for plan in plans}
    return [run for run, made in _made_runs(folder).items() if run[0] in purposes and planned.get(run) != made]


def _made_runs(folder: StudyFolder) -> dict[RunKey, tuple[dict[str, Any], bool]]:
    """Configuration of each run in the folder, and whether that was the tuned one."""
    purposes: tuple[Purpose, ...] = ("confirm", "final")
    return {
        (purpose, *run): (metrics["config"], metrics["is_tuned"])
        for purpose in purposes
        for run, metrics in folder.runs(purpose).metrics().items()
    }
