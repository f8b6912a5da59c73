"""The stages of a study, from the search to the images kept for the report. Each does what is not done yet."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import ray

from analysis.results.files import DamagedFile
from analysis.results.load import load_results
from analysis.results.study_folder import Samples, StudyFolder
from analysis.results.study_json import read_study
from analysis.retraining.latency import is_measured, measure_latency, networks_to_measure
from analysis.retraining.plans import FailedRun, RunPlan, SearchOutcome, missing_runs, stray_runs
from models.data import VALIDATION_FRACTION, Dataset, TrainingData, stratified_split
from models.images.pixels import MOST_SHOWN_SIZE, scale_all
from models.networks.registry import Architecture
from models.randomness import integer, stream
from models.training.recipe import steps_per_epoch
from study.cluster.capacity import Resources, Slots
from study.cluster.failures import explain
from study.cluster.health.placement import Placement
from study.cluster.places.waiting import Waiting
from study.cluster.worker import WorkerSettings
from study.earlier.telling import told_trials
from study.errors import StudyFailed
from study.listeners.progress import Progress
from study.listeners.runs_recorder import RunsRecorder
from study.listeners.search_recorder import SearchRecorder
from study.mirror.follow import Follower, Unfollowed
from study.plan.limits import allowances
from study.runs.ray_runs import RayRuns
from study.search.driver import run_search
from study.search.ledger import Ledger
from study.search.search import Search
from study.settings.config import StudyConfig
from study.settings.networks import baseline_of, space_of


@dataclass(frozen=True)
class Stages:
    """Holds what the stages of one study share, with a method for each stage."""

    folder: StudyFolder
    config: StudyConfig
    dataset: Dataset
    resources: Resources
    slots: Slots
    watch: Callable[[], None]
    progress: Progress
    settings: WorkerSettings
    architectures: dict[str, Architecture]
    ray_runs: RayRuns
    waiting: Waiting
    placement: Placement
    follower: Follower | Unfollowed

    def search(self) -> Search:
        """Search every network, and write its tables whatever happens."""
        search = open_search(self.folder, self.config)
        recorder = SearchRecorder(
            self.folder, self.progress, self._titles(), self.config, self.dataset.title, self._images_per_epoch()
        )
        if search.is_done():
            recorder.flush(search)
            return search
        self._drop_damaged_checkpoints([trial.trial_id for trial in search.ledger.trials() if trial.status is None])
        split = stratified_split(self.dataset.train.labels, integer(stream(self.config.seed, "search", "split")))
        data = TrainingData.from_split(self.dataset.train, split, len(self.dataset.classes))
        recorder.begin(search)
        try:
            run_search(
                search,
                self.architectures,
                data,
                self.settings,
                self.placement,
                self.slots,
                self.folder.tune.absolute(),
                recorder,
                watch=self.watch,
                look=self.waiting.look,
                discard=self.follower.discard,
            )
        finally:
            recorder.flush(search)
        recorder.finish(search)
        for trial in search.ledger.trials():
            if trial.status == "FAILED":
                self.progress.screen.warn(
                    f"the trial {trial.trial_id} failed: {(trial.error or '').partition(chr(10))[0]}"
                )
        return search

    def runs(self, stage: str, plans: Sequence[RunPlan]) -> list[FailedRun]:
        """Make the planned runs that are missing and remove runs that nobody planned; return the ones that failed."""
        for purpose, group, seed in stray_runs(plans, self.folder):
            self.folder.runs(purpose).remove(group, seed)
        missing = missing_runs(plans, self.folder)
        if not missing:
            return []
        self._drop_damaged_checkpoints([plan.name for plan in missing])
        recorder = RunsRecorder(
            self.folder, self.progress, stage, plans, missing, self._images_per_epoch(), self._titles()
        )
        failures = []
        for plan, run in self.ray_runs.make(missing, recorder.on_epoch):
            recorder.on_end(plan, run)
            if isinstance(run, FailedRun):
                failures.append(run)
            else:
                self.follower.discard(plan.name)
        recorder.finish()
        return failures

    def final_runs(self, plan: Callable[[int], list[RunPlan]]) -> list[FailedRun]:
        """Make the final runs. With `--seeds auto`, make the runs of one look, then of the next, until the study stops.

        A look is taken once all of its runs are there. study.json records the next one before its first run, so no look
        is ever taken twice with other runs.

        Args:
            plan: returns the final runs of a number of seeds.

        Returns:
            The runs that failed. No look is taken after a failure.
        """
        while True:
            planned = read_study(self.folder).planned_seeds
            failures = self.runs("Final runs", plan(planned))
            if failures or self.config.seeds != "auto":
                return failures
            following = next_look(self.folder)
            if following is None:
                self.progress.say(f"The final runs end at {planned} seeds")
                return failures
            self.progress.say(f"{planned} seeds do not decide: going on to {following} seeds")
            study = self.folder.read_study()
            self.folder.write_study(study | {"looks": study["looks"] | {"reached": following}})

    def _titles(self) -> dict[str, str]:
        return {arch: entry.title for arch, entry in self.architectures.items()}

    def _images_per_epoch(self) -> int:
        return len(self.dataset.train) - round(VALIDATION_FRACTION * len(self.dataset.train))

    def _drop_damaged_checkpoints(self, names: Sequence[str]) -> None:
        """Delete damaged checkpoints and tell the user, which a worker cannot do."""
        for name in names:
            try:
                self.settings.checkpoints.load(name)
            except DamagedFile as error:
                self.progress.say(f"{error}; {name} begins anew")
                self.settings.checkpoints.delete(name)

    def measure_latency(self) -> None:
        """Measure inference time in a task of its own, when nothing else runs."""
        if is_measured(self.architectures, self.folder):
            return
        networks = networks_to_measure(self.architectures, self.folder)
        task = ray.remote(measure_latency).options(**self.placement.options)
        self.progress.do("Measuring inference time", "Inference time")
        try:
            measured = self.waiting.answer(
                task.remote(networks, len(self.dataset.classes), self.resources.threads, self.config.image_size)
            )
        except ray.exceptions.RayError as error:
            raise StudyFailed(f"inference time could not be measured: {explain(error)}") from error
        self.folder.write_latency(measured)

    def keep_samples(self) -> None:
        """Keep the test images that the report shows."""
        from analysis.figures.samples import choose_positions  # here, since it imports SciPy, which no first step needs

        positions = choose_positions(load_results(self.folder).groups)
        if positions:
            chosen = np.unique(np.concatenate(list(positions.values())))
            files = self.dataset.test_files
            size = min(self.config.image_size, MOST_SHOWN_SIZE)
            names = tuple(files[position] for position in chosen) if files else ()
            self.folder.write_samples(Samples(scale_all(self.dataset.test.images[chosen], size), chosen, names))


def open_search(folder: StudyFolder, config: StudyConfig) -> Search:
    """Open the search of a study that was begun, brought up to its journal."""
    baselines = {arch: baseline_of(config, arch) for arch in config.archs}
    data = folder.read_study()["data"]
    steps = steps_per_epoch(data["n_train"], config.batch_size)
    allows = allowances(config, len(data["classes"]))
    spaces = {arch: space_of(config, arch) for arch in config.archs}
    ledger, told = Ledger(folder.journal), told_trials(folder)
    return Search(config, baselines, ledger, steps_per_epoch=steps, spaces=spaces, allows=allows, told=told)


def next_look(folder: StudyFolder) -> int | None:
    """Return the number of seeds of the next look; None if the study stops."""
    from analysis.verdict.looks import next_look  # here, since it imports SciPy, which no first step needs

    return next_look.next_look(load_results(folder))


def outcomes_of(search: Search, config: StudyConfig) -> list[SearchOutcome]:
    """Return the outcome of each network's search, in the order of the study."""
    return [
        SearchOutcome(
            arch,
            baseline_of(config, arch),
            {
                trial.number: (search.recipe(trial), trial.best.val_accuracy)
                for trial in search.leaders(arch)
                if trial.best
            },
            space_of(config, arch).to_json(),
            has_failed=all(trial.status == "FAILED" for trial in search.ledger.trials(arch)),
        )
        for arch in config.archs
    ]
