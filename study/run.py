"""`python -m study.run`: the whole study, from the command line to the report.

The composition root: it alone knows every part, and the parts know nothing of it.
"""

import logging
import shlex
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import optuna
import ray
import torch
from rich.console import Console

from analysis.confirmation import plan_confirmations
from analysis.final_runs import RunsRecorder, missing_runs, plan_final_runs
from analysis.latency import measure_latency
from analysis.report import build_report
from analysis.results import load_results
from analysis.retraining import FailedRun, RunPlan, retrain
from analysis.samples import choose_positions
from analysis.summary import summarise
from analysis.terminal import comparison
from models.data import Dataset, TrainingData, stratified_split
from models.precision import resolve, training_device
from models.randomness import integer, stream
from models.registry import ARCHITECTURES, Architecture
from study import cluster, preparation
from study.checkpoints import CheckpointStore
from study.config import StudyConfig
from study.driver import run_search
from study.errors import BadInput, StudyFailed
from study.files import DamagedFile
from study.folder import Samples, StudyFolder
from study.ledger import Ledger
from study.preparation import Request, read_request
from study.progress import Progress
from study.recorder import SearchRecorder
from study.resources import Resources, divide
from study.search import Search
from study.trainable import WorkerSettings


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns its exit status."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("ray").setLevel(logging.ERROR)
    request: Request | None = None
    try:
        _interrupt_on_signals()
        request = read_request(sys.argv[1:] if arguments is None else arguments)
        return _run(request)
    except BadInput as error:
        return _fail(f"error: {error}", 2)
    except (StudyFailed, DamagedFile) as error:
        return _fail(f"the study failed: {error}", 1)
    except KeyboardInterrupt:
        if request is None or not (request.folder.path / "study.json").exists():
            return _fail("interrupted before the study began", 130)
        return _fail(f"interrupted; go on with: {_resume_line(request.folder)}", 130)


def _run(request: Request) -> int:
    console = Console()
    if request.is_resumed and _is_finished(request):
        _say(console, f"The study is finished. Report: {(request.folder.report / 'report.html').absolute()}")
        return 0
    dataset = preparation.load_dataset(request.config)
    with cluster.ray_session(request.config.address) as capacity:
        _interrupt_on_signals()  # Ray has put handlers of its own there
        resources = divide(capacity, request.config)
        _check_storage(request)
        if request.config.address is not None:
            _say(console, f"Joined a cluster for {resources.concurrency} training runs at a time")
        config = replace(
            request.config,
            precision=_resolve_precision(request.config, resources),
            cpus_per_trial=resources.cpus_per_trial,
            gpus_per_trial=resources.gpus_per_trial,
            # What a cluster has may change, so there only a number that was asked for is kept.
            concurrency=resources.concurrency if request.config.address is None else request.config.concurrency,
        )
        if request.is_resumed:
            preparation.take_up_folder(request, dataset)
        else:
            preparation.create_folder(request, config, dataset)
        settings = WorkerSettings(
            dataset=ray.put(dataset),
            seed=config.seed,
            precision=resolve(config.precision, torch.device("cpu")),
            threads=resources.threads,
            checkpoints=_checkpoints(request.folder, config),
        )
        with Progress(console) as progress:
            slots = cluster.Slots(resources, request.config)
            study = _Study(request.folder, config, dataset, resources, slots, progress, settings)
            search = None if config.baseline else study.search()
            failures = []
            if search is not None:
                failures += study.runs("Confirmation", plan_confirmations(config, search))
            plans = plan_final_runs(config, search, request.folder.read_confirmations())
            failures += study.runs("Final runs", plans)
            study.measure_latency()
            study.keep_samples()
    return _conclude(request.folder, console, failures)


@dataclass(frozen=True)
class _Study:
    """The stages of one study, each of which does what is not done yet."""

    folder: StudyFolder
    config: StudyConfig
    dataset: Dataset
    resources: Resources
    slots: cluster.Slots
    progress: Progress
    settings: WorkerSettings

    @property
    def architectures(self) -> dict[str, Architecture]:
        return {arch: ARCHITECTURES[arch] for arch in self.config.archs}

    def search(self) -> Search:
        """Searches every architecture, and writes its tables whatever happens."""
        search = _open_search(self.folder, self.config)
        if search.is_done() and self.folder.optuna.exists():
            return search
        titles = {arch: entry.title for arch, entry in self.architectures.items()}
        recorder = SearchRecorder(self.folder, self.progress, titles, self.config.trials)
        split = stratified_split(self.dataset.train.labels, integer(stream(self.config.seed, "search", "split")))
        data = TrainingData.from_split(self.dataset.train, split, len(self.dataset.classes))
        recorder.begin(search)
        try:
            run_search(
                search,
                self.architectures,
                data,
                self.settings,
                self.resources,
                self.slots,
                self.folder.tune.absolute(),
                recorder,
            )
        finally:
            recorder.flush(search)
        recorder.finish(search)
        return search

    def runs(self, stage: str, plans: Sequence[RunPlan]) -> list[FailedRun]:
        """Makes those of the planned runs that are missing; returns the ones that failed."""
        missing = missing_runs(plans, self.folder)
        if not missing:
            return []
        recorder = RunsRecorder(self.folder, self.progress, stage, plans)
        failures = []
        runs = retrain(missing, self.architectures, self.settings, self.resources, self.slots, recorder.on_epoch)
        for plan, run in runs:
            recorder.on_end(plan, run)
            if isinstance(run, FailedRun):
                failures.append(run)
            else:
                self.settings.checkpoints.delete(plan.name)
        recorder.finish()
        return failures

    def measure_latency(self) -> None:
        """Times the networks in a task of their own, when nothing else runs."""
        latency = self.folder.read_latency() or {}
        if set(self.architectures) <= set(latency):
            return
        task = ray.remote(measure_latency).options(
            num_cpus=self.resources.cpus_per_trial, num_gpus=self.resources.gpus_per_trial
        )
        self.progress.say("Measuring inference time")
        self.folder.write_latency(
            ray.get(task.remote(self.architectures, len(self.dataset.classes), self.resources.threads))
        )

    def keep_samples(self) -> None:
        """Keeps the test images that the report shows."""
        positions = choose_positions(load_results(self.folder).groups)
        if positions:
            chosen = np.unique(np.concatenate(list(positions.values())))
            self.folder.write_samples(Samples(self.dataset.test.images[chosen], chosen))


def _checkpoints(folder: StudyFolder, config: StudyConfig) -> CheckpointStore:
    """Beside the study, or in a storage that studies may share."""
    if config.storage:
        return CheckpointStore(config.storage, within=folder.path.name)
    return CheckpointStore(str(folder.checkpoints.absolute()))


def _check_storage(request: Request) -> None:
    """Raises BadInput unless every node finds there what another writes."""
    storage = request.config.storage
    if storage is not None or request.config.address is not None:
        cluster.check_shared(CheckpointStore(storage or str(request.folder.path.parent.absolute())))


def _open_search(folder: StudyFolder, config: StudyConfig) -> Search:
    baselines = {arch: config.baseline_training(arch) for arch in config.archs}
    return Search(config, baselines, Ledger(folder.journal))


def _resolve_precision(config: StudyConfig, resources: Resources) -> str:
    """What "auto" means where the training runs."""
    if config.precision != "auto":
        return config.precision
    if config.address is None and not resources.gpus_per_trial:
        return resolve("auto", torch.device("cpu"))
    probe = ray.remote(lambda: resolve("auto", training_device()))
    return str(ray.get(probe.options(num_cpus=resources.cpus_per_trial, num_gpus=resources.gpus_per_trial).remote()))


def _is_finished(request: Request) -> bool:
    folder, config = request.folder, request.config
    if not (folder.report / "report.html").exists():
        return False
    search = None if config.baseline else _open_search(folder, config)
    if search is not None and not search.is_done():
        return False
    plans = plan_final_runs(config, search, folder.read_confirmations())
    return not missing_runs([*(plan_confirmations(config, search) if search else ()), *plans], folder)


def _conclude(folder: StudyFolder, console: Console, failures: Sequence[FailedRun]) -> int:
    """Builds the report and says where it is."""
    report = build_report(folder)
    summary = summarise(load_results(folder))
    console.print(comparison(summary))
    if summary["verdict"]:
        _say(console, summary["verdict"]["text"])
    for failure in failures:
        _fail(f"the run {failure.plan.name} failed: {failure.reason}", 1)
    if folder.optuna.exists():
        database = f"sqlite:///{folder.optuna.absolute()}"
        _say(console, f"Search in a browser: optuna-dashboard {shlex.quote(database)}")
    _say(console, f"Report: {report.absolute()}")
    return 1 if failures else 0


def _say(console: Console, line: str) -> None:
    console.print(line, highlight=False, markup=False, emoji=False, soft_wrap=True)


def _fail(message: str, status: int) -> int:
    print(message, file=sys.stderr)
    return status


def _resume_line(folder: StudyFolder) -> str:
    path = folder.path
    return shlex.join(["python", "-m", "study.run", "--resume", "--results-dir", str(path.parent), "--name", path.name])


def _interrupt_on_signals() -> None:
    """SIGTERM, as a pre-empted machine sends it, ends the study as Ctrl-C does, in the background too."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


if __name__ == "__main__":
    sys.exit(main())
