"""`python -m study.run`: the whole study, from the command line to the report.

The composition root, with study/stages.py: these two alone know every part, and the parts know nothing of them.
"""

import io
import logging
import shlex
import shutil
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import optuna
import ray
import torch
from rich.console import Console

from analysis.report.terminal import comparison
from analysis.results.load import load_results
from analysis.results.study_folder import StudyFolder
from models.data import Dataset
from models.networks.registry import ARCHITECTURES
from models.precision import resolve, training_device
from study.cli import request as preparation
from study.cli.endings import ending_of, parting, say_error
from study.cli.interrupts import Interrupts
from study.cli.request import Request, read_request
from study.cluster import session as cluster
from study.cluster.capacity import Resources, divide
from study.listeners.progress import Progress, Screen
from study.runs.confirmation import plan_confirmations
from study.runs.final_runs import missing_runs, plan_baselines, plan_final_runs, stray_runs
from study.runs.ray_runs import FailedRun, Retraining
from study.search.trial_worker import WorkerSettings
from study.settings.config import StudyConfig
from study.stages import Stages, open_search
from study.storage.checkpoints import CheckpointStore


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
    console = Screen()
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
            aside = stack.enter_context(preparation.created_folder(request, config, dataset, describing.result()))
            if aside is not None:
                say_error(f"{request.folder.path} held results but no study.json; what was there is now in {aside}")
        settings = WorkerSettings(
            train=ray.put(dataset.train),
            test=ray.put(dataset.test),
            n_classes=len(dataset.classes),
            seed=config.seed,
            precision=resolve(config.precision, torch.device("cpu")),
            threads=resources.threads,
            checkpoints=_checkpoints(request.folder, config),
        )
        with Progress(console) as progress:
            slots = cluster.Slots(resources, request.config)
            architectures = {arch: ARCHITECTURES[arch] for arch in config.archs}
            retraining = Retraining(architectures, settings, resources, slots)
            stages = Stages(
                request.folder, config, dataset, resources, slots, progress, settings, architectures, retraining
            )
            search = None if config.baseline else stages.search()
            failures: list[FailedRun] = []
            if search is not None:
                failures += stages.runs(
                    "Confirmation", plan_confirmations(config, search), ahead=plan_baselines(config, search)
                )
            plans = plan_final_runs(config, search, request.folder.confirm.read_all())
            failures += stages.runs("Final runs", plans)
            stages.measure_latency()
            stages.keep_samples()
            if not failures:
                # Of what ended in the moment in which a driver died there is one left.
                settings.checkpoints.clear()
    return failures


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
    search = None if config.baseline else open_search(folder, config)
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
    plans = [*confirmations, *plan_final_runs(config, search, folder.confirm.read_all())]
    is_measured = folder.read_samples() is not None and set(config.archs) <= set(folder.read_latency() or {})
    return is_measured and not missing_runs(plans, folder) and not stray_runs(plans, folder)


def _name_report(folder: StudyFolder, console: Console) -> int:
    """Says where the report of a finished study is, built anew if it tells of less than is there."""
    from analysis.report.build import is_current  # here, as in _conclude

    if not is_current(folder) or not folder.final.metrics():
        return _conclude(folder, console, ())
    _say(console, f"The study is finished. Report: {(folder.report / 'report.html').absolute()}")
    return 0


def _conclude(folder: StudyFolder, console: Console, failures: Sequence[FailedRun]) -> int:
    """Builds the report and says where it is; returns 1 if a final run is missing that would be there."""
    # Here, since a study would wait for Matplotlib and SciPy before its first step.
    from analysis.report.build import build_report
    from analysis.report.digest import comparison_digest, verdict_digest
    from analysis.verdict.caveat_sentences import caveats
    from analysis.verdict.summary import summarise

    for failure in failures:
        say_error(f"the run {failure.plan.name} failed: {failure.reason}")
    report = build_report(folder)
    results = load_results(folder)
    summary = summarise(results)
    for arch, title in results.architectures.items():
        if len(results.trials) and (results.trials.loc[results.trials["arch"] == arch, "status"] == "FAILED").all():
            say_error(f"{title} has no result: all its trials failed. {folder.journal} says why; begin anew")
    console.print(comparison(summary))
    for line in (verdict_digest(results, summary).text, *comparison_digest(results, summary).pairs):
        _say(console, line)
    if weaknesses := len(caveats(results)):
        _say(console, f"What to keep in mind, {weaknesses} point{'s' * (weaknesses > 1)}, is in the report.")
    if folder.optuna.exists():
        database = f"sqlite:///{folder.optuna.absolute()}"
        _say(console, f"Search in a browser: optuna-dashboard {shlex.quote(database)}")
    _say(console, f"Report: {report.absolute()}")
    return 1 if failures or not summary.groups else 0


def _say(console: Console, line: str) -> None:
    console.print(line, highlight=False, markup=False, emoji=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
