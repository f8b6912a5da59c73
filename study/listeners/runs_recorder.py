"""Keeps the study folder and the screen up to date with the runs after the search."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from analysis.results.run_folders import CompletedRun, FinalRun
from analysis.results.study_folder import StudyFolder
from analysis.retraining.plans import FailedRun, RunPlan
from models.training.history import EpochResult
from study.listeners.progress import Progress
from study.listeners.work import Row, Unit

# A terminal has a column for each of these from the start, so that columns do not move.
_STATES = ("running", "complete", "stopped early")
_ENDS = {
    "COMPLETE": "it reached the cap on epochs",
    "STOPPED_EARLY": "its validation loss fell no more",
    "DIVERGED": "its loss is not finite",
}


class RunsRecorder:
    """Writes the runs of one stage into the folder, and shows how far they have come.

    Args:
        stage: its name as people see it.
        plans: every run of the stage.
        missing: the plans whose runs are not in the folder yet.
        images: training images of an epoch.
        titles: the networks' titles, by their names.
    """

    def __init__(
        self,
        folder: StudyFolder,
        progress: Progress,
        stage: str,
        plans: Sequence[RunPlan],
        missing: Sequence[RunPlan],
        images: int,
        titles: Mapping[str, str],
    ) -> None:
        self._folder = folder
        self._progress = progress
        self._images = images
        self._rows: dict[str, Row] = {}
        self._accuracies: dict[str, list[float]] = {}
        self._units = {plan.name: _new_unit(plan) for plan in plans}
        self._running: dict[str, RunPlan] = {}
        for plan in plans:
            confirms = plan.purpose == "confirm"
            variant = f"trial {plan.variant}" if confirms else plan.variant
            score = "mean val. accuracy" if confirms else "mean test accuracy"
            row = Row(
                f"{titles[plan.arch]} ({variant})",
                planned=0,
                states=dict.fromkeys(_STATES, 0),
                score=score,
                arch=plan.arch,
            )
            self._rows.setdefault(plan.group, row).planned += 1
        confirmed = {(run.group, run.seed): run for run in folder.confirm.read_all()}
        for plan in plans:
            if plan not in missing:
                key = (plan.group, plan.seed)
                self._count_made(confirmed[key] if plan.purpose == "confirm" else folder.final.read(*key))
        self._heard = dict.fromkeys((plan.name for plan in plans), time.monotonic())
        progress.begin(stage, list(self._rows.values()))

    def on_epoch(self, plan: RunPlan, result: EpochResult) -> None:
        row, unit = self._rows[plan.group], self._units[plan.name]
        row.epochs += 1
        row.seconds += result.seconds
        self._units[plan.name] = replace(
            unit,
            epoch=result.epoch,
            seconds=unit.seconds + result.seconds,
            loss=result.val_loss,
            accuracy=result.val_accuracy,
            images_per_s=self._images / result.seconds if result.seconds else None,
        )
        # An epoch that a checkpoint held is reported sooner than it can have been trained.
        now = time.monotonic()
        row.replayed += max(0.0, result.seconds - (now - self._heard[plan.name]))
        self._heard[plan.name] = now
        self._running[plan.name] = plan
        self._show()

    def on_end(self, plan: RunPlan, run: CompletedRun | FailedRun) -> None:
        """Write a run that was made; count a failed one."""
        self._running.pop(plan.name, None)
        if isinstance(run, FailedRun):
            self._add_state(plan.group, "failed")
            why = f"it failed: {run.reason}"
        else:
            if isinstance(run, FinalRun):
                self._folder.final.write(run)
            else:
                self._folder.confirm.write(run)
            self._count(run)
            why = _ENDS[run.metrics["status"]]
        self._progress.end(replace(self._units[plan.name], end=why, is_whole=not isinstance(run, FailedRun)))
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
            row.running = [self._units[name] for name, plan in self._running.items() if plan.group == group]
            row.states["running"] = len(row.running)
        self._progress.update(list(self._rows.values()))


def _new_unit(plan: RunPlan) -> Unit:
    name = f"{plan.arch} {plan.variant}, seed {plan.seed}"
    return Unit(name, plan.arch, plan.recipe.values, epoch=0, max_epochs=plan.recipe.max_epochs)
