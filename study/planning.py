"""Tells the user how a study will use the machine and how long it takes, before its first step."""

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import ray
import torch

from analysis.retraining.step_time import StepTime, measure_step
from models.precision import resolve, training_device
from study.cli.request import Request
from study.cluster.capacity import Resources, divide, machine_capacity
from study.cluster.health.placement import Placement
from study.cluster.places.waiting import Waiting
from study.data.datasets import Sizes, sizes
from study.errors import BadInput
from study.listeners.progress import Progress
from study.plan.budget import budget_text, fit
from study.plan.forecast import laptop_advice, look_ahead
from study.plan.limits import check_baselines
from study.plan.outline import budget_line, details, outline, time_line
from study.plan.step_times import step_times
from study.settings.config import StudyConfig
from study.settings.network_checks import check_by_building
from study.settings.networks import architecture_of


def trains_on_cpus_here(config: StudyConfig) -> bool:
    """Return whether the driver's own processor can measure a step. A GPU's memory is left to the workers."""
    return config.address is None and not divide(machine_capacity(), config).gpus_per_trial


def checked(request: Request, progress: Progress) -> Request:
    """Return the request after its new networks were checked, with the notes about them. Say the notes.

    Raises:
        BadInput: if a network cannot be studied, or its baseline is above a limit of the study.
    """
    known = request.folder.read_study()["architectures"] if request.is_resumed else {}
    new = tuple(arch for arch in request.config.archs if arch not in known)
    if not new:
        return request
    progress.show("Checking the networks")
    images = sizes(request.config)
    config, notes = check_by_building(replace(request.config, archs=new), images.train, images.classes)
    check_baselines(replace(config, archs=new), images.classes)
    for arch, lines in notes.items():
        for line in lines:
            progress.say(f"The network {arch!r} {line}")
    return replace(request, config=replace(config, archs=request.config.archs), notes=notes)


def why_no_c() -> str | None:
    """Return why no C code can be built and run here; None if nothing is known to be in the way."""
    if shutil.which("cc") is None:
        return "There is no C compiler (cc) on this machine"
    folder = tempfile.gettempdir()
    if os.statvfs(folder).f_flag & os.ST_NOEXEC:
        return f"No code runs in {folder} (it is mounted noexec; TMPDIR may name another folder)"
    return None


def resolve_precision(config: StudyConfig, resources: Resources, placement: Placement, waiting: Waiting) -> str:
    """Return the precision that "auto" means on the hardware that trains. It asks a worker if that is elsewhere."""
    if config.precision != "auto":
        return config.precision
    if config.address is None and not resources.gpus_per_trial:
        return resolve("auto", torch.device("cpu"))
    probe = ray.remote(lambda: resolve("auto", training_device())).options(**placement.options)
    return str(waiting.answer(probe.remote()))


def announce(request: Request, progress: Progress, *, is_dry: bool = False) -> Request:
    """Print the plan from a measurement in this process, and return the request with what a budget has lowered.

    Args:
        is_dry: True leaves no trace in the user's cache.

    Raises:
        BadInput: if the study does not fit into its budget.
    """
    config = request.config
    if config.address is not None:
        progress.say(f"The time is estimated once the cluster at {config.address} is joined")
        return request
    resources = divide(machine_capacity(), config)
    device = training_device() if resources.gpus_per_trial else torch.device("cpu")
    return _announce(request, progress, resources, str(resolve(config.precision, device)), keep=not is_dry)


def announce_cluster(
    request: Request,
    progress: Progress,
    resources: Resources,
    precision: str,
    placement: Placement,
    waiting: Waiting,
) -> None:
    """Print the plan from a measurement in a worker of the joined Ray, which has the GPU that trains."""
    task = ray.remote(measure_step).options(**placement.options)
    is_cluster = request.config.address is not None
    _announce(
        request,
        progress,
        resources,
        precision,
        keep=not is_cluster,
        measure=partial(_measure_in_worker, task, waiting),
        is_elsewhere=is_cluster,
    )


def _measure_in_worker(task: Any, waiting: Waiting, *arguments: object) -> StepTime:
    measured: StepTime = waiting.answer(task.remote(*arguments))
    return measured


def _announce(
    request: Request,
    progress: Progress,
    resources: Resources,
    precision: str,
    keep: bool,
    measure: Callable[..., StepTime] = measure_step,
    is_elsewhere: bool = False,
) -> Request:
    config = request.config
    if request.is_resumed:
        for line in outline(config):
            progress.say(line)
    for line in details(
        request.folder.path, resources.concurrency, resources.cpus_per_trial, resources.gpus_per_trial, precision
    ):
        progress.say(line)
    progress.show("Measuring a training step of each network")
    images = sizes(config)
    times = step_times(
        {arch: architecture_of(config, arch) for arch in config.archs},
        images.classes,
        resolve(precision, torch.device("cpu")),
        config.kernels,
        resources.threads,
        config.batch_size,
        keep,
        measure,
        is_elsewhere,
        config.image_size,
    )
    if config.budget_hours is not None and not request.is_resumed:
        config = _planned(request, images, resources, times)
        progress.say(budget_line(budget_text(request.config, config)))
    outlook = look_ahead(config, images, resources, times, request.folder if request.is_resumed else None)
    progress.say(time_line(None if outlook is None else outlook.seconds))
    if outlook is not None and (advice := laptop_advice(config, resources, times, outlook)) is not None:
        progress.say(advice)
    progress.expect(_stages(config), None if outlook is None else outlook.forecast)
    return replace(request, config=config)


def _planned(request: Request, images: Sizes, resources: Resources, times: Mapping[str, StepTime]) -> StudyConfig:
    """Return the settings of a new study, lowered until it ends within its budget. Raises BadInput if it cannot."""

    def seconds(config: StudyConfig) -> float:
        outlook = look_ahead(config, images, resources, times)
        if outlook is None:
            raise BadInput("--budget-hours cannot plan this study: a training step of a network failed here")
        return outlook.seconds.high

    return fit(request.config, request.fixed, seconds)


def _stages(config: StudyConfig) -> list[str]:
    """Return the names of the stages in their order."""
    search = [] if config.baseline else ["Search", *["Confirmation"] * (config.confirm > 0)]
    return [*search, "Final runs", "Inference time", "Report"]
