"""The search on Ray: one Tuner whose searcher and scheduler ask `Search` what to do."""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from ray import tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from models.data import TrainingData
from models.networks.registry import Architecture
from models.training.history import EpochResult
from study.cluster.capacity import Resources
from study.cluster.failures import explain
from study.cluster.places.waiting import Counts
from study.cluster.worker import WorkerSettings
from study.errors import StorageFailed, StudyFailed
from study.search.search import Search
from study.search.trial_worker import STORAGE_FAILED, train_trial
from study.storage.checkpoints import CheckpointStore

RETRIES = 2


class SearchListener(Protocol):
    """Follows the search."""

    def on_change(self, search: Search) -> None:
        """Take note: an epoch was reported, or a trial began or ended. The search's ledger holds which."""

    def on_step(self, search: Search) -> None:
        """Take note that time passes, whether or not something changed. Called at least about once a second."""


def run_search(
    search: Search,
    architectures: Mapping[str, Architecture],
    data: TrainingData,
    settings: WorkerSettings,
    resources: Resources,
    slots: Callable[[], int],
    state: Path | str,
    listener: SearchListener,
    train: Callable[..., None] = train_trial,
    watch: Callable[[], None] = lambda: None,
    look: Callable[[Counts], None] = lambda counts: None,
) -> None:
    """Run the search to its end on the Ray that this process is connected to.

    Args:
        search: the search so far; trials that had not ended go on first.
        data: the training and validation images of every trial; the settings refer to the same images.
        slots: says how many trials may run at a time.
        state: folder or URI for Ray Tune's own state; this project reads nothing from it.
        train: Ray Tune's trainable, called as `train_trial` is.
        watch: called at least about once a second; an exception that it raises ends the search.
        look: called as often with a function that counts the trials given to Ray and those that have a worker.

    Raises:
        StorageFailed: if a checkpoint cannot be written.
        StudyFailed: if Ray ended the search before every trial had ended.
    """
    if search.is_done():
        return
    # Tune logs the traceback of every failed attempt; the ledger keeps the last.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    trainable = tune.with_parameters(
        train, architectures=dict(architectures), split=data.split, statistics=data.statistics, settings=settings
    )
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": resources.cpus_per_trial, "gpu": resources.gpus_per_trial}),
        tune_config=tune.TuneConfig(
            search_alg=_Searcher(search, listener, slots, settings.checkpoints),
            scheduler=_Scheduler(search, listener),
            num_samples=-1,
            reuse_actors=True,
            trial_name_creator=_trial_id,
            trial_dirname_creator=_trial_id,
        ),
        run_config=tune.RunConfig(
            # A resumed search starts a Tune experiment of its own.
            name=f"search-{datetime.now():%Y%m%d-%H%M%S}",
            storage_path=str(state),
            failure_config=tune.FailureConfig(max_failures=RETRIES),
            callbacks=[_Steps(search, listener, watch, look)],
            verbose=0,
        ),
    )
    tuner.fit()
    if not search.is_done():
        raise StudyFailed("Ray Tune ended the search before all trials had ended")


def _trial_id(trial: Any) -> str:
    return str(trial.config["trial_id"])


class _Unpickled:
    """Stays out of Tune's saved state: this project restores everything from the ledger."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class _Searcher(_Unpickled, Searcher):
    """Hands out the trials of `Search` and tells it how they ended."""

    def __init__(
        self, search: Search, listener: SearchListener, slots: Callable[[], int], checkpoints: CheckpointStore
    ) -> None:
        super().__init__(metric="val_accuracy", mode="max")
        self._search = search
        self._listener = listener
        self._slots = slots
        self._checkpoints = checkpoints
        self._trial_ids: dict[str, str] = {}

    def suggest(self, trial_id: str) -> Any:
        if len(self._trial_ids) >= self._slots():
            return None
        trial = self._search.next_trial()
        if trial is None:
            return Searcher.FINISHED
        self._trial_ids[trial_id] = trial.trial_id
        self._listener.on_change(self._search)
        recipe = self._search.recipe(trial)
        return {"trial_id": trial.trial_id, "arch": trial.arch, "number": trial.number, "recipe": vars(recipe)}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        ended = self._trial_ids.pop(trial_id)
        self._search.end(ended, failed=error)
        self._checkpoints.delete(ended)
        self._listener.on_change(self._search)

    def save(self, checkpoint_path: str) -> None:
        Path(checkpoint_path).touch()

    def restore(self, checkpoint_path: str) -> None:
        raise NotImplementedError("a search is resumed from its ledger")


class _Scheduler(_Unpickled, FIFOScheduler):
    """Hands every result to `Search`, which decides whether the trial is stopped."""

    def __init__(self, search: Search, listener: SearchListener) -> None:
        super().__init__()
        self._search = search
        self._listener = listener

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        if STORAGE_FAILED in result:
            raise StorageFailed(result[STORAGE_FAILED])
        row = EpochResult(**{name: result[name] for name in EpochResult.__dataclass_fields__})
        stops = self._search.report(_trial_id(trial), row)
        self._listener.on_change(self._search)
        return TrialScheduler.STOP if stops else TrialScheduler.CONTINUE

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        # Tune's own get_error() looks for the file in a place that it may not have reached yet.
        if trial.error_file is not None:
            error = Path(trial.error_file).read_text().rpartition("Failure # ")[2]
            self._search.ledger.note_error(_trial_id(trial), f"{explain(error)}\n{error}")


class _Steps(_Unpickled, tune.Callback):
    """Calls `watch` and the listener at each step of Tune's loop, which waits for an event for a tenth of a second."""

    def __init__(
        self,
        search: Search,
        listener: SearchListener,
        watch: Callable[[], None],
        look: Callable[[Counts], None],
    ) -> None:
        super().__init__()
        self._search = search
        self._listener = listener
        self._watch = watch
        self._look = look

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        self._watch()
        self._look(
            lambda: (sum(not trial.is_finished() for trial in trials), sum(t.status == Trial.RUNNING for t in trials))
        )
        self._listener.on_step(self._search)
