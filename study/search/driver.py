"""The search on Ray: one Tuner whose searcher and scheduler ask `Search` what to do."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from ray import cloudpickle, tune
from ray.tune.error import TuneError
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from models.data import TrainingData
from models.networks.registry import Architecture
from models.training.history import EpochResult
from study.cluster.failures import explain
from study.cluster.health.attempts import Attempts
from study.cluster.health.placement import Placement
from study.cluster.places.lean_start import trials_start_sooner
from study.cluster.places.waiting import Counts
from study.cluster.worker import WorkerSettings
from study.errors import StudyFailed, UnfitNode
from study.search.search import Search
from study.search.trial_worker import train_trial


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
    placement: Placement,
    slots: Callable[[], int],
    state: Path | str,
    listener: SearchListener,
    train: Callable[..., None] = train_trial,
    watch: Callable[[], None] = lambda: None,
    look: Callable[[Counts], None] = lambda counts: None,
    discard: Callable[[str], None] | None = None,
) -> None:
    """Run the search to its end on the Ray that this process is connected to.

    Args:
        search: the search so far; trials that had not ended go on first.
        data: the training and validation images of every trial; the settings refer to the same images.
        placement: says on which nodes a trial may run, and with which resources.
        slots: says how many trials may run at a time.
        state: folder or URI for Ray Tune's own state; this project reads nothing from it.
        train: Ray Tune's trainable, called as `train_trial` is.
        watch: called at least about once a second; an exception that it raises ends the search.
        look: called as often with a function that counts the trials given to Ray and those that have a worker.
        discard: deletes the checkpoint of a trial that has ended; at once if None.

    Raises:
        StorageFailed: if the checkpoints of a trial cannot be kept, attempt after attempt.
        OtherCode: if every node that could run a trial has other code.
        StudyFailed: if Ray ended the search before every trial had ended.
    """
    if search.is_done():
        return
    # Tune logs the traceback of every failed attempt; the ledger keeps the last.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    trainable = tune.with_parameters(
        train, architectures=dict(architectures), split=data.split, statistics=data.statistics, settings=settings
    )
    raised: list[Exception] = []
    scheduler = _Scheduler(search, listener, placement, raised)
    tuner = tune.Tuner(
        tune.with_resources(trainable, tune.PlacementGroupFactory([placement.bundle])),
        tune_config=tune.TuneConfig(
            search_alg=_Searcher(
                search, listener, slots, discard or settings.checkpoints.delete, scheduler.has_failed, raised
            ),
            scheduler=scheduler,
            num_samples=-1,
            reuse_actors=True,
            trial_name_creator=_trial_id,
            trial_dirname_creator=_trial_id,
        ),
        run_config=tune.RunConfig(
            # A resumed search starts a Tune experiment of its own.
            name=f"search-{datetime.now():%Y%m%d-%H%M%S}",
            storage_path=str(state),
            # Tune would count every failure. The scheduler stops a trial that has used up its attempts.
            failure_config=tune.FailureConfig(max_failures=-1),
            callbacks=[_Steps(search, listener, watch, look, raised)],
            verbose=0,
        ),
    )
    try:
        with trials_start_sooner():
            tuner.fit()
    except TuneError as error:
        # Tune hides what it could not write behind the text of a traceback.
        raise error.__context__ or error from None
    if not search.is_done():
        raise StudyFailed("Ray Tune ended the search before all trials had ended")


def _trial_id(trial: Any) -> str:
    return str(trial.config["trial_id"])


class _Unpickled:
    """Stays out of Tune's saved state: this project restores everything from the ledger."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


@contextmanager
def _kept(raised: list[Exception]) -> Iterator[None]:
    """Keep an error of the searcher or the scheduler until the end of Tune's step. Tune would blame the trial."""
    try:
        yield
    except Exception as error:
        raised.append(error)


class _Searcher(_Unpickled, Searcher):
    """Hands out the trials of `Search` and tells it how they ended."""

    def __init__(
        self,
        search: Search,
        listener: SearchListener,
        slots: Callable[[], int],
        discard: Callable[[str], None],
        has_failed: Callable[[str], bool],
        raised: list[Exception],
    ) -> None:
        super().__init__(metric="val_accuracy", mode="max")
        self._search = search
        self._listener = listener
        self._slots = slots
        self._discard = discard
        self._has_failed = has_failed
        self._raised = raised
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
        with _kept(self._raised):
            self._search.end(ended, failed=error or self._has_failed(ended))
            self._discard(ended)
            self._listener.on_change(self._search)

    def save(self, checkpoint_path: str) -> None:
        Path(checkpoint_path).touch()

    def restore(self, checkpoint_path: str) -> None:
        raise NotImplementedError("a search is resumed from its ledger")


class _Scheduler(_Unpickled, FIFOScheduler):
    """Hands every result to `Search`, which decides whether the trial is stopped."""

    def __init__(self, search: Search, listener: SearchListener, placement: Placement, raised: list[Exception]) -> None:
        super().__init__()
        self._search = search
        self._listener = listener
        self._placement = placement
        self._raised = raised
        self._attempts = Attempts()
        self._epochs: dict[str, int] = {}
        self._failed: set[str] = set()

    def has_failed(self, trial_id: str) -> bool:
        """Return whether a trial has used up its attempts."""
        return trial_id in self._failed

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        if self.has_failed(_trial_id(trial)):
            tune_controller.stop_trial(trial)
        else:
            self._place(trial)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        stops = False
        with _kept(self._raised):
            row = EpochResult(**{name: result[name] for name in EpochResult.__dataclass_fields__})
            trial_id = _trial_id(trial)
            self._epochs[trial_id] = max(row.epoch, self._epochs.get(trial_id, 0))
            stops = self._search.report(trial_id, row)
            self._listener.on_change(self._search)
        return TrialScheduler.STOP if stops else TrialScheduler.CONTINUE

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        # Tune's own get_error() looks for the files in a place that they may not have reached yet.
        with _kept(self._raised):
            path = trial.pickled_error_file
            error = None if path is None else getattr(cloudpickle.loads(Path(path).read_bytes()), "cause", None)
            if isinstance(error, UnfitNode):
                self._placement.avoid(_trial_id(trial), error)
                self._place(trial)
            elif trial.error_file is not None:
                trial_id = _trial_id(trial)
                if not self._attempts.has_another(trial_id, self._epochs.get(trial_id, 0)):
                    self._failed.add(trial_id)
                text = Path(trial.error_file).read_text().rpartition("Failure # ")[2]
                self._search.ledger.note_error(trial_id, f"{explain(text)}\n{text}")

    def _place(self, trial: Trial) -> None:
        """Let a trial that waits begin on fit nodes alone."""
        if labels := self._placement.labels:
            request = tune.PlacementGroupFactory([self._placement.bundle], bundle_label_selector=[labels])
            trial.update_resources(request)


class _Steps(_Unpickled, tune.Callback):
    """Calls `watch` and the listener at each step of Tune's loop, which waits for an event for a tenth of a second."""

    def __init__(
        self,
        search: Search,
        listener: SearchListener,
        watch: Callable[[], None],
        look: Callable[[Counts], None],
        raised: list[Exception],
    ) -> None:
        super().__init__()
        self._search = search
        self._listener = listener
        self._watch = watch
        self._look = look
        self._raised = raised

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        if self._raised:
            raise self._raised[0]
        self._watch()
        self._look(
            lambda: (sum(not trial.is_finished() for trial in trials), sum(t.status == Trial.RUNNING for t in trials))
        )
        self._listener.on_step(self._search)
