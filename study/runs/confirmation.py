"""Confirming the best trials: the best of many noisy scores is partly luck, so the leaders run again on fresh seeds."""

from collections.abc import Sequence

from analysis.results.run_folders import CompletedRun
from study.runs.ray_runs import RunPlan
from study.search.search import Search
from study.search.trial import Trial
from study.settings.config import StudyConfig

SEEDS = 2


def plan_confirmations(config: StudyConfig, search: Search) -> list[RunPlan]:
    """Two runs of each of the `config.confirm` leading trials of each architecture, on seeds of their own."""
    return [
        RunPlan(arch, str(trial.number), seed, search.recipe(trial), is_tuned=False, purpose="confirm")
        for seed in range(SEEDS)
        for arch in config.archs
        for trial in search.leaders(arch)[: config.confirm]
    ]


def choose_tuned(search: Search, arch: str, confirmations: Sequence[CompletedRun]) -> Trial | None:
    """The tuned configuration: of the trials with confirmation runs, the one with the highest mean score of those.

    A run without a finite loss scores 0. Ties go to the lower mean loss, then to the earlier trial. Without
    confirmation runs it is the trial that leads the search; None if no trial has a score.
    """
    leaders = search.leaders(arch)
    ranked = []
    for trial in leaders:
        runs = [run.metrics for run in confirmations if run.group == trial.trial_id]
        if runs:
            score = sum(metrics["val_accuracy"] or 0.0 for metrics in runs) / len(runs)
            losses = [metrics["val_loss"] for metrics in runs]
            loss = float("inf") if None in losses else sum(losses) / len(losses)
            ranked.append((-score, loss, trial.number, trial))
    if ranked:
        return min(ranked, key=lambda entry: entry[:3])[3]
    return leaders[0] if leaders else None
