"""Trains a run in a worker, from its newest checkpoint on."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from time import monotonic

import ray

from analysis.results.files import DamagedFile
from models.data import LabelledImages
from models.precision import Precision
from models.training.history import EpochResult
from models.training.loop import TrainingRun
from models.training.proof import Setting
from study.cluster.health.code import Code, own_code
from study.storage.checkpoints import CheckpointStore

# Checkpoints take at most this share of a run's time, but one is written at least every CHECKPOINT_SECONDS.
CHECKPOINT_SHARE = 0.01
CHECKPOINT_SECONDS = 60.0


@dataclass(frozen=True)
class WorkerSettings:
    """Holds the settings that all training runs of a study share.

    Attributes:
        train: the training images in Ray's shared memory, which every node fetches once.
        test: the test images, which only final runs fetch.
        seed: the study's seed.
        threads: the number of torch's threads on the CPU.
        checkpoints: a store that every node reaches.
        kernels: "auto" or "off", as TrainingRun takes it.
        code: the code that every worker must have.
    """

    train: "ray.ObjectRef[LabelledImages]"
    test: "ray.ObjectRef[LabelledImages]"
    n_classes: int
    seed: int
    precision: Precision
    threads: int
    checkpoints: CheckpointStore
    kernels: Setting = "auto"
    code: Code = field(default_factory=own_code)


def train_with_checkpoints(run: TrainingRun, store: CheckpointStore, name: str) -> Iterator[EpochResult]:
    """Trains a run to its end. Saves a checkpoint after the first epoch, the last, and often in between.

    An interruption costs one epoch, or at most CHECKPOINT_SECONDS of training if epochs are short.

    Yields:
        The result of every epoch. The epochs of an earlier attempt come first, because the driver may have missed some.

    Raises:
        StorageFailed: if a checkpoint cannot be read or written.
    """
    try:
        if (state := store.load(name)) is not None:
            run.load_state_dict(state)
    except (DamagedFile, ValueError) as error:
        logging.getLogger(__name__).warning("%s: the run %s begins anew", error, name)
    # Not "yield from": Ray sends values into its generators, and a list's iterator accepts none.
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
