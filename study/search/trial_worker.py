"""Train one trial in a worker, and report each epoch."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from time import monotonic
from typing import Any

import ray
import torch
from ray import tune

from analysis.results.files import DamagedFile
from models.data import ChannelStatistics, LabelledImages, Split, TrainingData
from models.networks.registry import Architecture
from models.precision import Precision, training_device
from models.randomness import RunSeeds
from models.training.history import EpochResult
from models.training.loop import TrainingRun
from models.training.recipe import TrainingConfig
from study.errors import StorageFailed
from study.storage.checkpoints import CheckpointStore

# In place of an epoch's result: what could not be kept.
STORAGE_FAILED = "storage_failed"
# Of a run's time, what its checkpoints may take, and after how long there is one even if it takes more.
CHECKPOINT_SHARE = 0.01
CHECKPOINT_SECONDS = 60.0


@dataclass(frozen=True)
class WorkerSettings:
    """What every training run of a study has in common.

    Attributes:
        train: reference to the training images in Ray's shared memory, which every node fetches once.
        test: to the test images, which only a final run that is judged asks for.
        seed: the study's seed.
        threads: threads of torch on the CPU.
        checkpoints: where every node can reach them.
    """

    train: "ray.ObjectRef[LabelledImages]"
    test: "ray.ObjectRef[LabelledImages]"
    n_classes: int
    seed: int
    precision: Precision
    threads: int
    checkpoints: CheckpointStore


def train_trial(
    config: dict[str, Any],
    *,
    architectures: Mapping[str, Architecture],
    split: Split,
    statistics: ChannelStatistics,
    settings: WorkerSettings,
) -> None:
    """Ray Tune's trainable: trains one trial from its newest checkpoint on, if there is one.

    Args:
        config: `trial_id`, `arch`, `number` and the fields of TrainingConfig as `recipe`.
        architectures: the registry entries by name; a worker's own registry may lack some.
        split: the search's one split of the training images.
        statistics: of its training part.
    """
    torch.set_num_threads(settings.threads)
    run = TrainingRun(
        architectures[config["arch"]],
        TrainingConfig(**config["recipe"]),
        TrainingData(ray.get(settings.train), split, settings.n_classes, statistics),
        RunSeeds.of(settings.seed, "search", config["arch"], config["number"]),
        training_device(),
        settings.precision,
    )
    try:
        for result in train_with_checkpoints(run, settings.checkpoints, config["trial_id"]):
            tune.report(asdict(result))
    except StorageFailed as error:
        # Told as a result, since Tune would count an exception against the trial.
        tune.report({STORAGE_FAILED: str(error)})


def train_with_checkpoints(run: TrainingRun, store: CheckpointStore, name: str) -> Iterator[EpochResult]:
    """Trains to the end, saving a checkpoint after the first epoch, the last, and as many between as cost little.

    An interruption then costs an epoch or, where epochs are short, what is trained in a hundred times the time of a
    save, but no more than CHECKPOINT_SECONDS.

    Yields:
        Every epoch's result, those of an earlier attempt first: who listens may have missed some.
    """
    try:
        if (state := store.load(name)) is not None:
            run.load_state_dict(state)
    except (DamagedFile, ValueError) as error:
        logging.getLogger(__name__).warning("%s: the run %s begins anew", error, name)
    # Not "yield from": Ray sends values into its generators, which a list's iterator does not take.
    for result in list(run.history):
        yield result
    saved_at, seconds_to_save = monotonic(), 0.0
    while run.outcome is None:
        result = run.train_epoch()
        trained_at = monotonic()
        due = min(seconds_to_save / CHECKPOINT_SHARE, CHECKPOINT_SECONDS)
        if run.outcome is not None or trained_at - saved_at >= due:
            store.save(name, run.state_dict())
            saved_at = monotonic()
            seconds_to_save = saved_at - trained_at
        yield result
