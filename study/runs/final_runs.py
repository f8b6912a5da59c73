"""The stages after the search: which runs there are to be, and how far they have come."""

import time
from collections import Counter
from collections.abc import Sequence

from analysis.results.run_folders import CompletedRun, FinalRun
from analysis.results.study_folder import StudyFolder
from models.networks.registry import ARCHITECTURES
from models.training.history import EpochResult
from models.training.recipe import TrainingConfig, Value
from study.listeners.progress import Progress, Row
from study.runs.confirmation import choose_tuned
from study.runs.ray_runs import FailedRun, Purpose, RunPlan
from study.search.search import Search
from study.settings.config import StudyConfig


def plan_final_runs(
    config: StudyConfig, search: Search | None, confirmations: Sequence[CompletedRun] = ()
) -> list[RunPlan]:
    """Every final run of a study, seed by seed, so that a study cut short has whole pairs.

    An architecture gets its baseline and its tuned configuration, which is left out where it equals the baseline;
    nothing at all where every one of its trials failed.

    Args:
        search: a search that is done; None if there is none and only baselines are wanted.
        confirmations: the runs that the tuned configurations are chosen by, if there are any.
    """
    plans = []
    tuned = _tuned_recipes(config, search, confirmations) if search else {}
    for seed in range(config.seeds):
        for arch in config.archs:
            baseline = config.baseline_training(arch)
            if search is None:
                plans.append(RunPlan(arch, "baseline", seed, baseline, is_tuned=False))
                continue
            if all(trial.status == "FAILED" for trial in search.ledger.trials(arch)):
                continue
            recipe = tuned[arch]
            plans.append(RunPlan(arch, "baseline", seed, baseline, is_tuned=recipe == baseline))
            if recipe is not None and recipe != baseline:
                plans.append(RunPlan(arch, "tuned", seed, recipe, is_tuned=True))
    return plans


def plan_baselines(config: StudyConfig, search: Search) -> list[RunPlan]:
    """The final runs that are known before anything is tuned, of the architectures whose search is over."""
    plans = plan_final_runs(config, search)
    return [plan for plan in plans if plan.variant == "baseline" and search.is_over(plan.arch)]


def _tuned_recipes(
    config: StudyConfig, search: Search, confirmations: Sequence[CompletedRun]
) -> dict[str, TrainingConfig | None]:
    chosen = {arch: choose_tuned(search, arch, confirmations) for arch in config.archs}
    return {arch: None if trial is None else search.recipe(trial) for arch, trial in chosen.items()}


def missing_runs(plans: Sequence[RunPlan], folder: StudyFolder) -> list[RunPlan]:
    """Those of the plans whose results are not in the folder."""
    made = _made_runs(folder)
    return [plan for plan in plans if made.get((plan.purpose, plan.group, plan.seed)) != _identity(plan)]


def untrained_runs(plans: Sequence[RunPlan], folder: StudyFolder) -> list[RunPlan]:
    """Those of the plans whose configuration was not trained: what is worth training ahead."""
    made = _made_runs(folder)
    return [plan for plan in plans if made.get((plan.purpose, plan.group, plan.seed), (None,))[0] != _identity(plan)[0]]


def stray_runs(plans: Sequence[RunPlan], folder: StudyFolder) -> list[tuple[Purpose, str, int]]:
    """Purpose, group and number of the runs in the folder that none of the plans makes, of the plans' purposes.

    They are of a configuration that was tuned when less was known: while a run that was to confirm another had failed,
    or by a search of which a part was lost.
    """
    planned = {(plan.purpose, plan.group, plan.seed): _identity(plan) for plan in plans}
    purposes = {plan.purpose for plan in plans}
    return [run for run, made in _made_runs(folder).items() if run[0] in purposes and planned.get(run) != made]


def _made_runs(folder: StudyFolder) -> dict[tuple[Purpose, str, int], tuple[dict[str, Value], bool]]:
    """What each run in the folder has trained, by its purpose, group and number."""
    purposes: tuple[Purpose, ...] = ("confirm", "final")
    return {
        (purpose, *run): (metrics["config"], metrics["is_tuned"])
        for purpose in purposes
        for run, metrics in folder.runs(purpose).metrics().items()
    }


def _identity(plan: RunPlan) -> tuple[dict[str, Value], bool]:
    return dict(plan.recipe.values), plan.is_tuned


class RunsRecorder:
    """Writes the runs of one stage into the folder, and shows how far they have come.

    Args:
        stage: its name as people see it.
        plans: every run of the stage, those included that are made already.
    """

    def __init__(self, folder: StudyFolder, progress: Progress, stage: str, plans: Sequence[RunPlan]) -> None:
        self._folder = folder
        self._progress = progress
        self._rows: dict[str, Row] = {}
        self._accuracies: dict[str, list[float]] = {}
        self._running: Counter[str] = Counter()
        self._under_way: dict[str, float] = {}
        for plan in plans:
            variant = f"trial {plan.variant}" if plan.purpose == "confirm" else plan.variant
            row = Row(f"{ARCHITECTURES[plan.arch].title}, {variant}", planned=0, score="mean")
            self._rows.setdefault(plan.group, row).planned += 1
        missing = missing_runs(plans, folder)
        confirmed = {(run.group, run.seed): run for run in folder.confirm.read_all()}
        for plan in plans:
            if plan not in missing:
                key = (plan.group, plan.seed)
                self._count_made(confirmed[key] if plan.purpose == "confirm" else folder.final.read(*key))
        self._heard = dict.fromkeys((plan.name for plan in plans), time.monotonic())
        progress.begin(stage, list(self._rows.values()))

    def on_epoch(self, plan: RunPlan, result: EpochResult) -> None:
        row = self._rows[plan.group]
        row.epochs += 1
        row.seconds += result.seconds
        row.under_way += result.seconds
        self._under_way[plan.name] = self._under_way.get(plan.name, 0.0) + result.seconds
        # What a checkpoint held is reported sooner than it can have been trained.
        now = time.monotonic()
        row.replayed += max(0.0, result.seconds - (now - self._heard[plan.name]))
        self._heard[plan.name] = now
        if result.epoch == 1:
            self._running[plan.group] += 1
        self._show()

    def on_end(self, plan: RunPlan, run: CompletedRun | FailedRun) -> None:
        """Writes a run that was made; a failed one is only counted."""
        self._running[plan.group] = max(0, self._running[plan.group] - 1)
        self._rows[plan.group].under_way -= self._under_way.pop(plan.name, 0.0)
        if isinstance(run, FailedRun):
            self._add_state(plan.group, "failed")
        else:
            if isinstance(run, FinalRun):
                self._folder.final.write(run)
            else:
                self._folder.confirm.write(run)
            self._count(run)
        self._show()

    def finish(self) -> None:
        self._progress.finish(list(self._rows.values()))

    def _count_made(self, run: CompletedRun) -> None:
        """Counts a run that an earlier session made, with the epochs that this one was not told of."""
        self._rows[run.group].epochs += len(run.history)
        self._rows[run.group].seconds += float(run.history["seconds"].sum())
        self._count(run)

    def _count(self, run: CompletedRun) -> None:
        accuracy = run.metrics["accuracy"] if isinstance(run, FinalRun) else run.metrics["val_accuracy"]
        accuracies = self._accuracies.setdefault(run.group, [])
        accuracies.append(accuracy or 0.0)
        self._rows[run.group].accuracy = sum(accuracies) / len(accuracies)
        self._add_state(run.group, run.metrics["status"].lower().replace("_", " "))

    def _add_state(self, group: str, state: str) -> None:
        self._rows[group].states[state] = self._rows[group].states.get(state, 0) + 1

    def _show(self) -> None:
        for group, row in self._rows.items():
            row.states["running"] = self._running[group]
        self._progress.update(list(self._rows.values()))
