"""The runs after the search, made side by side as Ray tasks."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import ray
import torch

from analysis.results.run_folders import CompletedRun
from analysis.retraining.plans import FailedRun, RunPlan
from analysis.retraining.run import train_and_judge
from models.data import LabelledImages
from models.networks.registry import Architecture
from models.training.history import EpochResult
from study.cluster.failures import explain
from study.cluster.health.attempts import Attempts
from study.cluster.health.code import on_this_node
from study.cluster.health.placement import Placement
from study.cluster.places.waiting import Counts
from study.cluster.worker import WorkerSettings, train_with_checkpoints
from study.errors import UnfitNode

# At most 1 s between two calls of `watch` while runs train.
WATCH_SECONDS = 1.0
# At most 5 s of waiting for a worker that has delivered its run to become free.
SLOT_SECONDS = 5.0


class RayRuns:
    """Makes runs as Ray tasks.

    Args:
        architectures: the networks by name.
        settings: shared by every run of the study.
        placement: says on which nodes a run may be made, and with which resources.
        slots: returns how many runs may be made at a time.
        watch: called at least about once a second; an exception that it raises ends the runs.
        look: called as often with a function that counts the runs given to Ray and those that have reported an epoch.
    """

    def __init__(
        self,
        architectures: Mapping[str, Architecture],
        settings: WorkerSettings,
        placement: Placement,
        slots: Callable[[], int],
        watch: Callable[[], None] = lambda: None,
        look: Callable[[Counts], None] = lambda counts: None,
    ) -> None:
        self._architectures = architectures
        self._settings = settings
        self._slots = slots
        self._watch = watch
        self._look = look
        self._placement = placement
        # One for all runs, because Ray gives the worker of a run to the next run of the same task.
        self._task = ray.remote(max_retries=0, num_returns="streaming")(_train_run)

    def make(
        self, plans: Sequence[RunPlan], on_epoch: Callable[[RunPlan, EpochResult], None]
    ) -> Iterator[tuple[RunPlan, CompletedRun | FailedRun]]:
        """Make the runs, in the order of the plans, as many at a time as there are slots.

        Args:
            on_epoch: is told each epoch of each run once.

        Yields:
            Each plan as its run ends, with a FinalRun, a CompletedRun for a confirmation run, or a FailedRun.

        Raises:
            StorageFailed: if the checkpoints of a run cannot be kept, attempt after attempt.
            OtherCode: if every node that could make a run has other code.
        """
        waiting = list(plans)
        epochs = {plan.name: 0 for plan in plans}
        attempts = Attempts()
        # Ray types the handle of a streaming task as an ordinary reference.
        running: dict[Any, RunPlan] = {}

        def begin() -> None:
            while waiting and len(running) < self._slots():
                plan = waiting.pop(0)
                task = self._task.options(**self._placement.options)
                running[task.remote(plan, self._architectures[plan.arch], self._settings)] = plan

        def repeat(ended: Any) -> None:
            waiting.insert(0, running.pop(ended))
            begin()

        begin()
        while running:
            self._watch()
            self._look(lambda: (len(running), sum(epochs[plan.name] > 0 for plan in running.values())))
            found: list[Any] = ray.wait(list(running), timeout=WATCH_SECONDS, fetch_local=False)[0]
            if not found:
                continue
            (ready,) = found
            plan = running[ready]
            try:
                result: Any = ray.get(next(ready))
            except UnfitNode as error:
                self._placement.avoid(plan.name, getattr(error, "cause", error))
                repeat(ready)
                continue
            except ray.exceptions.RayTaskError as error:
                result = FailedRun(plan, explain(error))
            except ray.exceptions.RayError as error:  # the worker or its machine is gone
                if attempts.has_another(plan.name, epochs[plan.name]):
                    repeat(ready)
                    continue
                result = FailedRun(plan, explain(error))
            if isinstance(result, EpochResult):
                if result.epoch > epochs[plan.name]:
                    epochs[plan.name] = result.epoch
                    on_epoch(plan, result)
                continue
            # If the next run began before this worker is free, Ray would start another, which imports everything anew.
            ray.wait([ready.completed()], timeout=SLOT_SECONDS)
            del running[ready]
            begin()  # before the caller takes its time with this run
            yield plan, result


def _train_run(
    plan: RunPlan, architecture: Architecture, settings: WorkerSettings
) -> Iterator[EpochResult | CompletedRun]:
    """Train and judge a run in a worker."""

    def read_test() -> LabelledImages:
        test: LabelledImages = ray.get(settings.test)
        return test

    with on_this_node(settings.code):
        torch.set_num_threads(settings.threads)
        yield from train_and_judge(
            plan,
            architecture,
            settings.seed,
            settings.precision,
            settings.kernels,
            settings.n_classes,
            ray.get(settings.train),
            read_test,
            partial(train_with_checkpoints, store=settings.checkpoints, name=plan.name),
        )
