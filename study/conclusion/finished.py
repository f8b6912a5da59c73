"""Tells whether a study is finished, and which final runs it plans."""

from collections.abc import Callable

from analysis.results.study_folder import StudyFolder
from analysis.results.study_json import read_study
from analysis.retraining.latency import is_measured
from analysis.retraining.plans import (
    RunPlan,
    missing_runs,
    plan_baselines,
    plan_confirmations,
    plan_final_runs,
    stray_runs,
)
from study.search.search import Search
from study.settings.config import StudyConfig
from study.settings.networks import architecture_of, baseline_of
from study.stages import next_look, open_search, outcomes_of


def is_finished(folder: StudyFolder, config: StudyConfig, warn: Callable[[str], None]) -> bool:
    """Return whether nothing of a study is missing but its report, which is made from its files.

    Args:
        folder: the study's folder, which is locked.
        config: its settings.
        warn: prints a line that says what is damaged.
    """
    search = None if config.baseline else open_search(folder, config)
    if search is not None:
        ledger = search.ledger
        if ledger.damage:
            warn(ledger.damage)
        if not search.is_done():
            return False
        if not folder.holds_tables(ledger.trials_table(), ledger.history_table()):
            if folder.read_trials() is not None:  # a copy in a bucket has no tables before a session ends
                warn(f"the tables in {folder.path} do not agree with {folder.journal}; they are made again")
            return False
    confirmations = plan_confirmations(outcomes_of(search, config), config.confirm) if search else []
    seeds = read_study(folder).planned_seeds if config.seeds == "auto" else config.seeds
    plans = [*confirmations, *final_plans(folder, config, search, seeds)]
    is_trained = not missing_runs(plans, folder) and not stray_runs(plans, folder) and folder.read_samples() is not None
    if not is_trained or (config.seeds == "auto" and next_look(folder) is not None):
        return False
    return is_measured({arch: architecture_of(config, arch) for arch in config.archs}, folder)


def final_plans(folder: StudyFolder, config: StudyConfig, search: Search | None, seeds: int) -> list[RunPlan]:
    """Plan the final runs, which the confirmation runs in the folder decide on; without a search, baselines alone."""
    if search is None:
        return plan_baselines({arch: baseline_of(config, arch) for arch in config.archs}, seeds)
    return plan_final_runs(outcomes_of(search, config), seeds, folder.confirm.read_all())
