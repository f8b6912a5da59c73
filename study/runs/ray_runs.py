"""Runs after the search: a configuration trained on fresh seeds; a final run is judged once on the test set."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pandas as pd
import ray
import torch

from analysis.results.run_folders import EPOCH_COLUMNS, CompletedRun, FinalRun
from analysis.statistics.metrics import metric_values
from models.data import LabelledImages, TrainingData, stratified_split
from models.networks.registry import Architecture
from models.precision import training_device
from models.randomness import RunSeeds, integer, stream
from models.training.history import EpochResult, best_epoch
from models.training.inference import DeviceImages, predict_logits
from models.training.loop import TrainingRun
from models.training.recipe import TrainingConfig
from study.cluster.capacity import Resources
from study.cluster.failures import explain
from study.errors import StorageFailed
from study.search.trial_worker import WorkerSettings, train_with_checkpoints

RETRIES = 2
SLOT_SECONDS = 5.0

Purpose = Literal["final", "confirm"]


@dataclass(frozen=True)
class RunPlan:
    """One run to be made.

    Attributes:
        arch: name of the architecture.
        variant: "baseline" or "tuned"; the number of the trial that a run is to confirm.
        seed: its number k, from 0. Equal numbers share the split, and draw data order, initial weights and dropout
            masks from the same streams, in every group.
        is_tuned: whether the configuration is the tuned one, which the baseline may be too.
        purpose: "final", or "confirm" for a run that never sees the test set; each has seeds of its own.
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
        """Its name in the checkpoint store."""
        return f"{self.purpose}/{self.group}/seed-{self.seed}"


@dataclass(frozen=True)
class FailedRun:
    """A run that failed for good, and why, in one line."""

    plan: RunPlan
    reason: str


class Retraining:
    """Makes runs as Ray tasks.

    Args:
        slots: says how many runs may be made at a time.
    """

    def __init__(
        self,
        architectures: Mapping[str, Architecture],
        settings: WorkerSettings,
        resources: Resources,
        slots: Callable[[], int],
    ) -> None:
        self._architectures = architectures
        self._settings = settings
        self._slots = slots
        self._task = ray.remote(_train_run).options(
            num_cpus=resources.cpus_per_trial,
            num_gpus=resources.gpus_per_trial,
            max_retries=RETRIES,
            num_returns="streaming",
        )
        # By the run's name. Ray types the handle of a streaming task as an ordinary reference.
        self._under_way: dict[str, Any] = {}

    def begin(self, plans: Sequence[RunPlan], ahead: Sequence[RunPlan] = (), others: int = 0) -> None:
        """Begins those of the plans, in order, that are not under way yet, as long as there are free slots.

        Args:
            ahead: runs of a later stage, which come last, and are only trained: the stage itself judges them.
            others: slots that something else than runs takes up.
        """
        waiting = [plan for plan in (*plans, *ahead) if plan.name not in self._under_way]
        if not waiting:
            return
        for plan in waiting[: max(0, self._slots() - len(self._unfinished()) - others)]:
            task = self._task.remote(plan, self._architectures[plan.arch], self._settings, plan not in ahead)
            self._under_way[plan.name] = task

    def make(
        self,
        plans: Sequence[RunPlan],
        on_epoch: Callable[[RunPlan, EpochResult], None],
        ahead: Sequence[RunPlan] = (),
    ) -> Iterator[tuple[RunPlan, CompletedRun | FailedRun]]:
        """Makes the runs; those of a later stage that are under way stay so.

        Args:
            ahead: runs of a later stage, begun in slots that would be idle.

        Yields:
            Each plan as its run finishes: a FinalRun, or a CompletedRun where the purpose is another; or why it failed.

        Raises:
            StorageFailed: if a checkpoint cannot be written.
        """
        waiting = {plan.name: plan for plan in plans}
        epochs = dict.fromkeys(waiting, 0)
        while waiting:
            self.begin(list(waiting.values()), ahead)
            under_way = {task: name for name, task in self._under_way.items() if name in waiting}
            if not under_way:
                self._wait_for_a_slot()
                continue
            ready: Any = ray.wait(list(under_way), num_returns=1, fetch_local=False)[0][0]
            name = under_way[ready]
            plan = waiting[name]
            try:
                result: Any = ray.get(next(ready))
            except StopIteration:
                # It was trained ahead; begun once more, it goes on from its checkpoint, which is its end.
                del self._under_way[name]
                continue
            except StorageFailed as error:
                raise StorageFailed(explain(error)) from error
            except ray.exceptions.RayError as error:
                result = FailedRun(plan, explain(error))
            if isinstance(result, EpochResult):
                if result.epoch > epochs[name]:
                    epochs[name] = result.epoch
                    on_epoch(plan, result)
                continue
            # Ray would have a new worker import everything for the next run while this one's is not free yet.
            ray.wait([ready.completed()], timeout=SLOT_SECONDS)
            del self._under_way[name], waiting[name]
            self.begin(list(waiting.values()), ahead)  # before the caller takes its time with this one
            yield plan, result

    def _wait_for_a_slot(self) -> None:
        """Where a cluster has shrunk, what is trained ahead may have every slot; it may also grow again."""
        if unfinished := self._unfinished():
            ray.wait(unfinished, num_returns=1, timeout=SLOT_SECONDS)

    def _unfinished(self) -> list[Any]:
        """The ends of the runs that take up slots: a worker is free once it is done, whether or not that was read."""
        ends = [task.completed() for task in self._under_way.values()]
        return list(ray.wait(ends, num_returns=len(ends), timeout=0)[1]) if ends else []


def _train_run(
    plan: RunPlan, architecture: Architecture, settings: WorkerSettings, is_judged: bool
) -> Iterator[EpochResult | CompletedRun]:
    """Runs in a worker: yields each epoch's result, then, if it is to be judged now, the run as a whole."""
    torch.set_num_threads(settings.threads)
    train: LabelledImages = ray.get(settings.train)
    split_seed = integer(stream(settings.seed, plan.purpose, plan.seed, "split"))
    data = TrainingData.from_split(train, stratified_split(train.labels, split_seed), settings.n_classes)
    seeds = RunSeeds.of(settings.seed, plan.purpose, plan.seed)
    run = TrainingRun(architecture, plan.recipe, data, seeds, training_device(), settings.precision)
    yield from train_with_checkpoints(run, settings.checkpoints, plan.name)
    if not is_judged:
        return
    done = _complete(plan, run)
    yield done if plan.purpose == "confirm" else _judge(done, run, data, ray.get(settings.test))


def _complete(plan: RunPlan, run: TrainingRun) -> CompletedRun:
    best = best_epoch(run.history)
    metrics = {
        "group": plan.group,
        "arch": plan.arch,
        "variant": plan.variant,
        "seed": plan.seed,
        "config": dict(plan.recipe.values),
        "is_tuned": plan.is_tuned,
        "status": run.outcome,
        "epochs": len(run.history),
        "best_epoch": best.epoch if best else None,
        "val_loss": best.val_loss if best else None,
        "val_accuracy": best.val_accuracy if best else None,
        "seconds": sum(row.seconds for row in run.history),
        "validation_seconds": sum(row.validation_seconds for row in run.history),
    }
    history = pd.DataFrame([asdict(row) for row in run.history], columns=list(EPOCH_COLUMNS))
    return CompletedRun(plan.group, plan.seed, metrics, history)


def _judge(done: CompletedRun, run: TrainingRun, data: TrainingData, test: LabelledImages) -> FinalRun:
    """Predicts the test set with the weights of the lowest validation loss."""
    images = DeviceImages(test.images, data.statistics, training_device())
    everything = torch.arange(len(test), device=images.device)
    logits = predict_logits(run.best_model(), images, everything, run.precision).cpu().numpy()
    mean, deviation = data.statistics.mean.tolist(), data.statistics.deviation.tolist()
    scores = metric_values(logits.argmax(axis=1), test.labels, data.n_classes)
    return FinalRun(
        group=done.group,
        seed=done.seed,
        metrics=done.metrics | {"normalisation": {"mean": mean, "deviation": deviation}} | scores,
        history=done.history,
        logits=logits,
        labels=test.labels.copy(),
        weights={name: value.cpu().contiguous().numpy() for name, value in run.best_weights().items()},
    )
