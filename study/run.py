"""`python -m study.run`: the whole study, from the command line to the report.

The composition root: it alone knows every part, and the parts know nothing of it.
"""

import io
import logging
import shlex
import shutil
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import optuna
import ray
import torch
from rich.console import Console

from analysis.confirmation import plan_confirmations
from analysis.early_runs import EarlyRuns
from analysis.final_runs import RunsRecorder, missing_runs, plan_baselines, plan_final_runs, stray_runs
from analysis.latency import measure_latency
from analysis.results import load_results
from analysis.retraining import FailedRun, Retraining, RunPlan
from analysis.terminal import comparison
from models.data import Dataset, TrainingData, stratified_split
from models.precision import resolve, training_device
from models.randomness import integer, stream
from models.registry import ARCHITECTURES, Architecture
from study import cluster, preparation
from study.checkpoints import CheckpointStore
from study.config import StudyConfig, steps_per_epoch
from study.driver import run_search
from study.endings import ending_of, parting, say_error
from study.errors import StudyFailed
from study.failures import explain
from study.files import DamagedFile
from study.folder import Samples, StudyFolder
from study.interrupts import Interrupts
from study.ledger import Ledger
from study.preparation import Request, read_request
from study.progress import Progress
from study.recorder import SearchRecorder
from study.resources import Resources, divide
from study.search import Search
from study.trainable import WorkerSettings


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns its exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # not every terminal has a ±
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("ray").setLevel(logging.ERROR)
    request: Request | None = None
    interrupts = Interrupts(lambda: parting(request))
    try:
        interrupts.listen()
        request = read_request(sys.argv[1:] if arguments is None else arguments)
        return _run(request, interrupts)
    except (Exception, KeyboardInterrupt) as error:
        ending = ending_of(error, request)
        if ending is None:
            raise
        line, status = ending
        say_error(line)
        return status


def _run(request: Request, interrupts: Interrupts) -> int:
    console = Console()
    with ExitStack() as stack:
        if request.is_resumed:
            stack.enter_context(request.folder.held())
            for line in request.folder.mend():
                say_error(line)
            if _is_finished(request):
                return _name_report(request.folder, console)
        dataset = preparation.load_dataset(request.config)
        failures = _do(request, dataset, console, interrupts, stack)
        return _conclude(request.folder, console, failures)


def _do(
    request: Request, dataset: Dataset, console: Console, interrupts: Interrupts, stack: ExitStack
) -> Sequence[FailedRun]:
    """Does on Ray all that is not done yet."""
    describing: Future[dict[str, dict[str, Any]]] | None = None
    if not request.is_resumed:
        # Beside Ray's start, which the driver would only wait for: it takes a second.
        pool = stack.enter_context(ThreadPoolExecutor(1))
        describing = pool.submit(preparation.describe_networks, request.config, len(dataset.classes))
    with cluster.ray_session(request.config.address) as capacity:
        interrupts.listen()  # Ray has put handlers of its own there
        resources = divide(capacity, request.config)
        _check_storage(request)
        if request.config.address is not None:
            _say(console, f"Joined a cluster for {resources.concurrency} training runs at a time")
        elif shutil.which("cc") is None:
            _say(console, "There is no C compiler (cc) on this machine, so training will take longer")
        config = replace(
            request.config,
            precision=_resolve_precision(request.config, resources),
            cpus_per_trial=resources.cpus_per_trial,
            gpus_per_trial=resources.gpus_per_trial,
            # What a cluster has may change, so there only a number that was asked for is kept.
            concurrency=resources.concurrency if request.config.address is None else request.config.concurrency,
        )
        if describing is None:
            preparation.take_up_folder(request, dataset)
        else:
            stack.enter_context(preparation.created_folder(request, config, dataset, describing.result()))
        settings = WorkerSettings(
            dataset=ray.put(dataset),
            seed=config.seed,
            precision=resolve(config.precision, torch.device("cpu")),
            threads=resources.threads,
            checkpoints=_checkpoints(request.folder, config),
        )
        with Progress(console) as progress:
            slots = cluster.Slots(resources, request.config)
            architectures = {arch: ARCHITECTURES[arch] for arch in config.archs}
            retraining = Retraining(architectures, settings, resources, slots)
            study = _Study(
                request.folder, config, dataset, resources, slots, progress, settings, architectures, retraining
            )
            search = None if config.baseline else study.search()
            failures: list[FailedRun] = []
            if search is not None:
                failures += study.runs(
                    "Confirmation", plan_confirmations(config, search), ahead=plan_baselines(config, search)
                )
            plans = plan_final_runs(config, search, request.folder.read_confirmations())
            failures += study.runs("Final runs", plans)
            study.measure_latency()
            study.keep_samples()
            if not failures:
                # Of what ended in the moment in which a driver died there is one left.
                settings.checkpoints.clear()
    return failures


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
    architectures: dict[str, Architecture]
    retraining: Retraining

    def search(self) -> Search:
        """Searches every architecture, and writes its tables whatever happens."""
        search = _open_search(self.folder, self.config)
        titles = {arch: entry.title for arch, entry in self.architectures.items()}
        recorder = SearchRecorder(self.folder, self.progress, titles, self.config.trials)
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
                self.resources,
                self.slots,
                self.folder.tune.absolute(),
                EarlyRuns(recorder, self.config, self.folder, self.retraining),
            )
        finally:
            recorder.flush(search)
        recorder.finish(search)
        for trial in search.ledger.trials():
            if trial.status == "FAILED":
                say_error(f"the trial {trial.trial_id} failed: {(trial.error or '').partition(chr(10))[0]}")
        return search

    def runs(self, stage: str, plans: Sequence[RunPlan], ahead: Sequence[RunPlan] = ()) -> list[FailedRun]:
        """Makes those of the planned runs that are missing, and removes others; returns the ones that failed.

        Args:
            ahead: runs of the next stage, begun on workers that would wait for the last of this one.
        """
        for stray in stray_runs(plans, self.folder):
            self.folder.remove_run(*stray)
        missing = missing_runs(plans, self.folder)
        if not missing:
            return []
        ahead = missing_runs(ahead, self.folder)
        self._drop_damaged_checkpoints([plan.name for plan in (*missing, *ahead)])
        recorder = RunsRecorder(self.folder, self.progress, stage, plans)
        failures = []
        for plan, run in self.retraining.make(missing, recorder.on_epoch, ahead):
            recorder.on_end(plan, run)
            if isinstance(run, FailedRun):
                failures.append(run)
            else:
                self.settings.checkpoints.delete(plan.name)
        recorder.finish()
        return failures

    def _drop_damaged_checkpoints(self, names: Sequence[str]) -> None:
        """A worker would begin anew, too, but could not tell the user."""
        for name in names:
            try:
                self.settings.checkpoints.load(name)
            except DamagedFile as error:
                self.progress.say(f"{error}; {name} begins anew")
                self.settings.checkpoints.delete(name)

    def measure_latency(self) -> None:
        """Times the networks in a task of their own, when nothing else runs."""
        latency = self.folder.read_latency() or {}
        if set(self.architectures) <= set(latency):
            return
        task = ray.remote(measure_latency).options(
            num_cpus=self.resources.cpus_per_trial, num_gpus=self.resources.gpus_per_trial
        )
        self.progress.say("Measuring inference time")
        try:
            measured = ray.get(task.remote(self.architectures, len(self.dataset.classes), self.resources.threads))
        except ray.exceptions.RayError as error:
            raise StudyFailed(f"inference time could not be measured: {explain(error)}") from error
        self.folder.write_latency(measured)

    def keep_samples(self) -> None:
        """Keeps the test images that the report shows."""
        from analysis.samples import choose_positions  # here, as in _conclude

        positions = choose_positions(load_results(self.folder).groups)
        if positions:
            chosen = np.unique(np.concatenate(list(positions.values())))
            self.folder.write_samples(Samples(self.dataset.test.images[chosen], chosen))


def _checkpoints(folder: StudyFolder, config: StudyConfig) -> CheckpointStore:
    """Beside the study, or in a storage that studies may share."""
    if config.storage:
        return CheckpointStore(config.storage, within=f"{folder.path.name}-{folder.read_study()['id'][:8]}")
    return CheckpointStore(str(folder.checkpoints.absolute()))


def _check_storage(request: Request) -> None:
    """Raises BadInput unless every node finds there what another writes."""
    storage = request.config.storage
    if storage is not None or request.config.address is not None:
        cluster.check_shared(CheckpointStore(storage or str(request.folder.path.parent.absolute())))


def _open_search(folder: StudyFolder, config: StudyConfig) -> Search:
    baselines = {arch: config.baseline_training(arch) for arch in config.archs}
    steps = steps_per_epoch(folder.read_study()["data"]["n_train"])
    return Search(config, baselines, Ledger(folder.journal), steps_per_epoch=steps)


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
    search = None if config.baseline else _open_search(folder, config)
    if search is not None:
        ledger = search.ledger
        if ledger.damage:
            say_error(ledger.damage)
        if not search.is_done():
            return False
        if not folder.holds_tables(ledger.trials_table(), ledger.history_table()):
            say_error(f"the tables in {folder.path} are not what {folder.journal} holds; they are made again")
            return False
    confirmations = plan_confirmations(config, search) if search else []
    plans = [*confirmations, *plan_final_runs(config, search, folder.read_confirmations())]
    is_measured = folder.read_samples() is not None and set(config.archs) <= set(folder.read_latency() or {})
    return is_measured and not missing_runs(plans, folder) and not stray_runs(plans, folder)


def _name_report(folder: StudyFolder, console: Console) -> int:
    """Says where the report of a finished study is, built anew if it tells of less than is there."""
    from analysis.report import is_current  # here, as in _conclude

    if not is_current(folder) or not folder.run_metrics("final"):
        return _conclude(folder, console, ())
    _say(console, f"The study is finished. Report: {(folder.report / 'report.html').absolute()}")
    return 0


def _conclude(folder: StudyFolder, console: Console, failures: Sequence[FailedRun]) -> int:
    """Builds the report and says where it is; returns 1 if a final run is missing that would be there."""
    # Here, since a study would wait for Matplotlib and SciPy before its first step.
    from analysis.digest import caveats, comparison_digest, verdict_digest
    from analysis.report import build_report
    from analysis.summary import summarise

    for failure in failures:
        say_error(f"the run {failure.plan.name} failed: {failure.reason}")
    report = build_report(folder)
    results = load_results(folder)
    summary = summarise(results)
    for arch, title in results.architectures.items():
        if len(results.trials) and (results.trials.loc[results.trials["arch"] == arch, "status"] == "FAILED").all():
            say_error(f"{title} has no result: all its trials failed. {folder.journal} says why; begin anew")
    console.print(comparison(summary))
    for line in (verdict_digest(results, summary)["text"], *comparison_digest(results, summary)["pairs"]):
        _say(console, line)
    if weaknesses := len(caveats(results)):
        _say(console, f"What to keep in mind, {weaknesses} point{'s' * (weaknesses > 1)}, is in the report.")
    if folder.optuna.exists():
        database = f"sqlite:///{folder.optuna.absolute()}"
        _say(console, f"Search in a browser: optuna-dashboard {shlex.quote(database)}")
    _say(console, f"Report: {report.absolute()}")
    return 1 if failures or not summary["groups"] else 0


def _say(console: Console, line: str) -> None:
    console.print(line, highlight=False, markup=False, emoji=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
