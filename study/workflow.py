"""The whole study, from its request to its report.

This module and study/stages.py are the composition root: they alone know every part, and no part knows them.
"""

import logging
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from typing import Any

import optuna
import ray
import torch

from analysis.results.study_folder import StudyFolder
from analysis.retraining.plans import (
    FailedRun,
    plan_confirmations,
)
from models.data import Dataset
from models.precision import resolve
from study.cli.endings import ending_of
from study.cli.interrupts import Interrupts
from study.cli.opening import created_folder, take_up_folder
from study.cli.request import Request
from study.cluster.capacity import Slots, divide
from study.cluster.health.lifeline import lifeline
from study.cluster.health.placement import Placement
from study.cluster.health.probe import probe_nodes
from study.cluster.places.waiting import Waiting
from study.cluster.session import ray_session, send_code
from study.cluster.worker import WorkerSettings
from study.conclusion.finished import final_plans, is_finished
from study.conclusion.report import conclude, name_report
from study.data.datasets import load_dataset, sizes
from study.earlier.telling import check_same_data, trials_to_tell
from study.errors import StudyFailed
from study.listeners.progress import Progress
from study.mirror.follow import following, lacks_files
from study.plan.memory import check_memory
from study.planning import (
    announce,
    announce_cluster,
    checked,
    resolve_precision,
    trains_on_cpus_here,
    why_no_c,
)
from study.runs.ray_runs import RayRuns
from study.settings.config import StudyConfig
from study.settings.networks import architecture_of
from study.stages import Stages, outcomes_of
from study.storage.checkpoints import CheckpointStore
from study.storage.claim import held, mend
from study.storage.leftovers import folder_of
from study.storage.object_store import ObjectStore
from study.storage.provenance import describe_networks
from study.track.feed import live


def carry_out(request: Request, interrupts: Interrupts, progress: Progress, *, is_dry: bool = False) -> int:
    """Do everything that the study still lacks.

    Args:
        is_dry: True prints the plan alone and creates nothing.

    Returns:
        The exit status: 0, or 1 if a run failed.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("ray").setLevel(logging.ERROR)
    screen = progress.screen
    with screen.study_log.warnings_of_python(), ExitStack() as stack:
        if request.is_resumed and not request.is_named:
            when = request.folder.worked_on()
            progress.say(f"Going on with {request.folder.path}: its last session began last ({when})")
        if request.is_resumed and not is_dry:
            stack.enter_context(held(request.folder.path))
            for line in mend(request.folder):
                screen.warn(line)
            stack.enter_context(live(request.folder.path, request.config.track, screen.warn))
            if is_finished(request.folder, request.config, screen.warn):
                if lacks_files(request.folder):
                    checkpoints = _checkpoints(request.folder, request.config)
                    copy = following(request.folder, request.config.storage, checkpoints, screen.warn)
                    stack.enter_context(copy).discard_all()
                return name_report(request.folder, screen)
        check_memory(request.config)
        request = checked(request, progress)
        if is_dry:
            announce(request, progress, is_dry=True)
            _say_what_is_told(request, progress)
            return 0
        if trains_on_cpus_here(request.config):
            request = announce(request, progress)
        progress.do("Loading the images")
        dataset = load_dataset(request.config)
        for note in dataset.findings.notes:
            progress.say(note)
        check_same_data(request.earlier, dataset)
        failures = _do(request, dataset, progress, interrupts, stack)
        progress.show("Writing the report", "Report")
        return conclude(request.folder, screen, failures)


def _say_what_is_told(request: Request, progress: Progress) -> None:
    """Say which trials of an earlier study, if there is one, the new study would be told.

    Raises:
        BadInput: if there is no trial to tell.
    """
    if request.earlier is None:
        return
    networks = describe_networks(request.config, sizes(request.config).classes, request.notes)
    if (telling := trials_to_tell(request.earlier, request.config, networks)) is not None:
        progress.say(f"{telling.sentence()}. The images of both studies are compared when the study begins")


def _do(
    request: Request, dataset: Dataset, progress: Progress, interrupts: Interrupts, stack: ExitStack
) -> Sequence[FailedRun]:
    """Do on Ray everything that is not done yet. Return the final runs that failed."""
    describing: Future[dict[str, dict[str, Any]]] | None = None
    if not request.is_resumed:
        # It takes a second, in which Ray starts.
        pool = stack.enter_context(ThreadPoolExecutor(1))
        describing = pool.submit(describe_networks, request.config, len(dataset.classes), request.notes)
    progress.do("Starting Ray" if request.config.address is None else "Joining the cluster")
    with (
        ray_session(request.config.address) as capacity,
        progress.screen.study_log.warnings_of_ray(),
        ExitStack() as while_ray_runs,
    ):
        interrupts.listen()  # Ray has put its own handlers there
        interrupts.check()  # Ray's start drops an exception that came inside a destructor or a callback
        resources = divide(capacity, request.config)
        lost = partial(_abort, request=request, progress=progress, interrupts=interrupts)
        while_ray_runs.enter_context(lifeline(lost, progress.screen.warn))
        needs = resources.cpus_per_trial, resources.gpus_per_trial
        placement = Placement(*needs, progress.screen.warn)
        waiting = Waiting(*needs, progress.screen.warn, request.config.wait, fit=placement)
        _check_nodes(request, placement)
        if request.config.address is not None:
            progress.say(f"Joined a cluster for {resources.concurrency} training runs at a time")
        elif (reason := why_no_c()) is not None:
            progress.say(f"{reason}, so training will take longer")
        config = replace(
            request.config,
            bit_depth=dataset.bit_depth or request.config.bit_depth,
            precision=resolve_precision(request.config, resources, placement, waiting),
            cpus_per_trial=resources.cpus_per_trial,
            gpus_per_trial=resources.gpus_per_trial,
            # A cluster may grow or shrink, so only a number that the user chose is kept there.
            concurrency=resources.concurrency if request.config.address is None else request.config.concurrency,
        )
        if describing is None:
            take_up_folder(request, dataset)
        else:
            networks = describing.result()
            if (telling := trials_to_tell(request.earlier, config, networks)) is not None:
                progress.say(telling.sentence())
            aside = stack.enter_context(created_folder(request, config, dataset, networks, telling))
            if aside is not None:
                progress.screen.warn(
                    f"{request.folder.path} held results but no study.json; what was there is now in {aside}"
                )
            stack.enter_context(live(request.folder.path, config.track, progress.screen.warn))
        progress.screen.study_log.open(request.folder.log)
        checkpoints = _checkpoints(request.folder, config)
        copy = following(request.folder, config.storage, checkpoints, progress.screen.warn)
        follower = stack.enter_context(copy)
        architectures = {arch: architecture_of(config, arch) for arch in config.archs}
        send_code(architectures.values(), config.address)
        if not trains_on_cpus_here(request.config):
            announce_cluster(request, progress, resources, config.precision, placement, waiting)
        settings = WorkerSettings(
            train=ray.put(dataset.train),
            test=ray.put(dataset.test),
            n_classes=len(dataset.classes),
            seed=config.seed,
            precision=resolve(config.precision, torch.device("cpu")),
            threads=resources.threads,
            checkpoints=checkpoints,
            kernels=config.kernels,
        )
        slots = Slots(resources, request.config, placement)

        def watch() -> None:
            interrupts.check()
            follower.check()
            progress.beat()

        ray_runs = RayRuns(architectures, settings, placement, slots, watch, waiting.look)
        stages = Stages(
            request.folder,
            config,
            dataset,
            resources,
            slots,
            watch,
            progress,
            settings,
            architectures,
            ray_runs,
            waiting,
            placement,
            follower,
        )
        search = None if config.baseline else stages.search()
        failures: list[FailedRun] = []
        if search is not None:
            failures += stages.runs("Confirmation", plan_confirmations(outcomes_of(search, config), config.confirm))
        failures += stages.final_runs(partial(final_plans, request.folder, config, search))
        stages.measure_latency()
        stages.keep_samples()
        if not failures:
            # A run that ended just as a driver died has left its checkpoint.
            follower.discard_all()
    return failures


def _abort(line: str, request: Request, progress: Progress, interrupts: Interrupts) -> None:
    """End the process now, because its Ray is lost and calls of Ray hang."""
    ending = ending_of(StudyFailed(line), request)
    assert ending is not None
    with suppress(OSError):
        progress.screen.note(ending[0])
    interrupts.abort(*ending)


def _checkpoints(folder: StudyFolder, config: StudyConfig) -> CheckpointStore:
    """Keep checkpoints in the study's folder, or in a storage that several studies may share."""
    if config.storage:
        return CheckpointStore(config.storage, within=folder_of(folder.read_study(), config.storage))
    return CheckpointStore(str(folder.checkpoints.absolute()))


def _check_nodes(request: Request, placement: Placement) -> None:
    """Check that every node has the same code and can read what another node writes into the storage."""
    storage = request.config.storage
    if storage is not None or request.config.address is not None:
        probe_nodes(ObjectStore(storage or str(request.folder.path.parent.absolute())), placement)
