"""Keeps the study folder and the screen up to date with the runs after the search."""

import time
from collections import Counter
from collections.abc import Sequence

from analysis.results.run_folders import CompletedRun, FinalRun
from analysis.results.study_folder import StudyFolder
from analysis.retraining.plans import FailedRun, RunPlan
from models.networks.registry import ARCHITECTURES
from models.training.history import EpochResult
from study.listeners.progress import Progress, Row


class RunsRecorder:
    """Writes the runs of one stage into the folder, and shows how far they have come.

    Args:
        stage: its name as people see it.
        plans: every run of the stage.
        missing: the plans whose runs are not in the folder yet.
    """

    def __init__(
        self,
        folder: StudyFolder,
        progress: Progress,
        stage: str,
        plans: Sequence[RunPlan],
        missing: Sequence[RunPlan],
    ) -> None:
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
        # An epoch that a checkpoint held is reported sooner than it can have been trained.
        now = time.monotonic()
        row.replayed += max(0.0, result.seconds - (now - self._heard[plan.name]))
        self._heard[plan.name] = now
        if result.epoch == 1:
            self._running[plan.group] += 1
        self._show()

    def on_end(self, plan: RunPlan, run: CompletedRun | FailedRun) -> None:
        """Write a run that was made; count a failed one."""
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
        """Count a run that an earlier session made, and its epochs."""
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
