"""The stage of the final runs: which there are to be, and how far they have come."""

from collections import Counter
from collections.abc import Sequence

from analysis.retraining import FailedRun, RunPlan
from models.registry import ARCHITECTURES
from models.training import EpochResult
from study.config import StudyConfig
from study.folder import FinalRun, StudyFolder
from study.progress import Progress, Row
from study.search import Search


def plan_final_runs(config: StudyConfig, search: Search | None) -> list[RunPlan]:
    """Every final run of a study, seed by seed, so that a study cut short has whole pairs.

    An architecture gets its baseline and its tuned configuration, which is left out where it equals the baseline;
    nothing at all where every one of its trials failed.

    Args:
        search: a search that is done; None if there is none and only baselines are wanted.
    """
    plans = []
    for seed in range(config.seeds):
        for arch in config.archs:
            baseline = config.baseline_training(arch)
            if search is None:
                plans.append(RunPlan(arch, "baseline", seed, baseline, is_tuned=False))
                continue
            if all(trial.status == "FAILED" for trial in search.ledger.trials(arch)):
                continue
            best = search.best(arch)
            tuned = None if best is None else search.recipe(best)
            plans.append(RunPlan(arch, "baseline", seed, baseline, is_tuned=tuned == baseline))
            if tuned is not None and tuned != baseline:
                plans.append(RunPlan(arch, "tuned", seed, tuned, is_tuned=True))
    return plans


def missing_runs(plans: Sequence[RunPlan], folder: StudyFolder) -> list[RunPlan]:
    """Those of the plans whose results are not in the folder."""
    made = {(group, seed) for group, seeds in folder.final_runs().items() for seed in seeds}
    return [plan for plan in plans if (plan.group, plan.seed) not in made]


class FinalRunsRecorder:
    """Writes the final runs into the folder, and shows how far they have come.

    Args:
        plans: every final run of the study, those included that are made already.
    """

    def __init__(self, folder: StudyFolder, progress: Progress, plans: Sequence[RunPlan]) -> None:
        self._folder = folder
        self._progress = progress
        self._rows: dict[str, Row] = {}
        self._accuracies: dict[str, list[float]] = {}
        self._running: Counter[str] = Counter()
        for plan in plans:
            title = f"{ARCHITECTURES[plan.arch].title}, {plan.variant}"
            self._rows.setdefault(plan.group, Row(title, planned=0, score="mean")).planned += 1
        missing = {(plan.group, plan.seed) for plan in missing_runs(plans, folder)}
        for plan in plans:
            if (plan.group, plan.seed) not in missing:
                self._count(folder.read_final_run(plan.group, plan.seed))
        progress.begin("Final runs", list(self._rows.values()))

    def on_epoch(self, plan: RunPlan, result: EpochResult) -> None:
        row = self._rows[plan.group]
        row.epochs += 1
        row.seconds += result.seconds
        if result.epoch == 1:
            self._running[plan.group] += 1
        self._show()

    def on_end(self, run: FinalRun | FailedRun) -> None:
        """Writes a run that was made; a failed one is only counted."""
        if isinstance(run, FinalRun):
            self._folder.write_final_run(run)
            self._running[run.group] -= 1
            self._count(run, epochs_known=True)
        else:
            self._running[run.plan.group] = max(0, self._running[run.plan.group] - 1)
            self._add_state(run.plan.group, "failed")
        self._show()

    def finish(self) -> None:
        self._progress.finish(list(self._rows.values()))

    def _count(self, run: FinalRun, *, epochs_known: bool = False) -> None:
        row = self._rows[run.group]
        if not epochs_known:
            row.epochs += len(run.history)
            row.seconds += float(run.history["seconds"].sum())
        accuracies = self._accuracies.setdefault(run.group, [])
        accuracies.append(run.metrics["accuracy"])
        row.accuracy = sum(accuracies) / len(accuracies)
        self._add_state(run.group, run.metrics["status"].lower().replace("_", " "))

    def _add_state(self, group: str, state: str) -> None:
        self._rows[group].states[state] = self._rows[group].states.get(state, 0) + 1

    def _show(self) -> None:
        for group, row in self._rows.items():
            row.states["running"] = self._running[group]
        self._progress.update(list(self._rows.values()))
