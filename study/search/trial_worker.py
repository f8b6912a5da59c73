"""Train one trial in a worker, and report each epoch."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import ray
import torch
from ray import tune

from models.data import ChannelStatistics, Split, TrainingData
from models.networks.registry import Architecture
from models.precision import training_device
from models.randomness import RunSeeds
from models.training.loop import TrainingRun
from models.training.recipe import TrainingConfig
from study.cluster.health.code import on_this_node
from study.cluster.worker import WorkerSettings, train_with_checkpoints


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
        statistics: the channel statistics of its training part.

    Raises:
        OtherCode: if this worker has other code than the driver.
        StorageFailed: if a checkpoint cannot be read or written.
    """
    with on_this_node(settings.code):
        torch.set_num_threads(settings.threads)
        run = TrainingRun(
            architectures[config["arch"]],
            TrainingConfig(**config["recipe"]),
            TrainingData(ray.get(settings.train), split, settings.n_classes, statistics),
            RunSeeds.of(settings.seed, "search", config["arch"], config["number"]),
            training_device(),
            settings.precision,
            settings.kernels,
        )
        for result in train_with_checkpoints(run, settings.checkpoints, config["trial_id"]):
            tune.report(asdict(result))
