"""Looks ahead: the time that a study takes on this machine or cluster."""

from collections.abc import Mapping
from dataclasses import dataclass

from analysis.results.study_folder import StudyFolder
from analysis.retraining.plans import CONFIRMATION_SEEDS
from analysis.retraining.step_time import StepTime
from models.data import VALIDATION_FRACTION
from models.training.recipe import steps_per_epoch
from study.cluster.capacity import Resources
from study.data.datasets import Sizes
from study.plan.estimate import Forecast, Interval, Lengths, Work, estimate
from study.plan.outline import describe_range
from study.settings.config import PRESETS, StudyConfig
from study.settings.search_space import RUNGS

# Runs on CPUs share caches and memory: an epoch takes at most this many times longer beside others than alone.
SLOWDOWN = 1.5
# The advice about the preset laptop is for studies that may take more than an hour.
LONG_SECONDS = 3600.0


@dataclass(frozen=True)
class Outlook:
    """Holds the time of a study as a range, and the forecast that is sharpened as it runs."""

    seconds: Interval
    forecast: Forecast


def look_ahead(
    config: StudyConfig,
    sizes: Sizes,
    resources: Resources,
    times: Mapping[str, StepTime],
    folder: StudyFolder | None = None,
) -> Outlook | None:
    """Estimate the time of what a study has left to do.

    Args:
        sizes: images and classes of the study's data.
        times: the step time of each network.
        folder: the study's folder if it was begun before.

    Returns:
        The estimate, or None if the step time of a network is not known.
    """
    if not set(config.archs) <= set(times):
        return None
    steps = steps_per_epoch(sizes.train, config.batch_size)
    lengths = Lengths(config.max_epochs, config.patience, RUNGS.first(config.max_epochs, steps), RUNGS.reduction_factor)
    least, works = (
        {arch: _work(arch, config, seeds, sizes, steps, times[arch], folder) for arch in config.archs}
        for seeds in config.seed_range
    )
    is_shared = resources.concurrency > 1
    slowdown = 1 / min(1.0, resources.gpus_per_trial) if resources.gpus_per_trial else SLOWDOWN if is_shared else 1.0
    shortest, longest = (estimate(one, lengths, resources.concurrency, slowdown) for one in (least, works))
    seconds = Interval(shortest.low, longest.high)
    return Outlook(seconds, Forecast(works, lengths, resources.concurrency))


def _work(
    arch: str,
    config: StudyConfig,
    seeds: int,
    sizes: Sizes,
    steps: int,
    time: StepTime,
    folder: StudyFolder | None,
) -> Work:
    epoch_seconds = steps * time.step_seconds + VALIDATION_FRACTION * sizes.train * time.image_seconds
    if config.baseline:
        planned = {"trials": 0, "confirmations": 0, "finals": seeds}
    else:
        confirmations = min(config.confirm, config.trials) * CONFIRMATION_SEEDS
        planned = {"trials": config.trials, "confirmations": confirmations, "finals": 2 * seeds}
    if folder is not None:
        trials = folder.read_trials()
        made = {"trials": 0 if trials is None else int((trials["arch"] == arch).sum())}
        for name, runs in (("confirmations", folder.confirm), ("finals", folder.final)):
            made[name] = sum(metrics["arch"] == arch for metrics in runs.metrics().values())
        planned = {name: max(0, count - made[name]) for name, count in planned.items()}
    return Work(epoch_seconds, **planned)


def laptop_advice(
    config: StudyConfig, resources: Resources, times: Mapping[str, StepTime], outlook: Outlook
) -> str | None:
    """Return a line that names the preset laptop if the full preset takes long on CPUs alone, else None."""
    is_planned = config.preset != "full" or config.budget_hours is not None
    if is_planned or resources.gpus_per_trial or outlook.seconds.high < LONG_SECONDS:
        return None
    laptop = PRESETS["laptop"]
    assert laptop.train_size is not None
    shorter = look_ahead(laptop, Sizes(laptop.train_size, 10_000, 10), resources, times)
    if shorter is None or shorter.seconds.high > outlook.seconds.low:
        return None
    return (
        f"On CPUs alone the full preset takes {describe_range(outlook.seconds)}; `--preset laptop` takes"
        f" {describe_range(shorter.seconds)}."
    )
