"""The worker of `benchmarks.concurrency`. Imports little, because every worker imports it."""

import gc

import psutil
import torch

from models.data import TrainingData
from models.networks.registry import ARCHITECTURES
from models.precision import resolve, training_device
from models.randomness import RunSeeds
from models.training.loop import TrainingRun
from models.training.recipe import TrainingConfig, baseline_values


class Worker:
    """Trains a run of each network in a Ray actor."""

    def __init__(self, data: TrainingData, threads: int, number: int) -> None:
        gc.enable()  # as a run of a study does (study/cluster/health/starting.py)
        torch.set_num_threads(threads)
        device = training_device()
        self._runs = {
            arch: TrainingRun(
                architecture,
                TrainingConfig(baseline_values(architecture.baseline), 10_000, 10_000),
                data,
                RunSeeds.of(number),
                device,
                resolve("auto", device),
            )
            for arch, architecture in ARCHITECTURES.items()
        }

    def epoch(self, arch: str) -> int:
        """Trains one epoch; returns the bytes that only this process holds, on the GPU if it trains there."""
        self._runs[arch].train_epoch()
        if training_device().type == "cuda":
            return torch.cuda.max_memory_reserved()
        return int(psutil.Process().memory_full_info().uss)
