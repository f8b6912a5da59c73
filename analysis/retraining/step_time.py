"""The time of one optimizer step of a network on this machine."""

import time
from dataclasses import dataclass

import numpy as np
import torch

from models.data import IMAGE_SIZE, LabelledImages, Split, TrainingData
from models.networks.registry import Architecture
from models.precision import Precision, training_device
from models.randomness import RunSeeds
from models.training.loop import TrainingRun
from models.training.proof import Setting
from models.training.recipe import TrainingConfig

# At most 0.4 s and 6 passes a network, because the user waits. The first pass warms up if there is time for a second.
SECONDS = 0.4
_PASSES = 6
# At most this many images of a step on a CPU: a quarter of a batch takes a quarter of its time, to about a tenth.
CPU_IMAGES = 32
# A GPU trains full batches. It captures a step after three, and the passes that follow show its real speed.
_GPU_STEPS = 8


@dataclass(frozen=True)
class StepTime:
    """Holds the speed of one network.

    Attributes:
        step_seconds: one optimizer step on a full batch.
        image_seconds: predicting one image of a large batch.
    """

    step_seconds: float
    image_seconds: float


def measure_step(
    architecture: Architecture,
    n_classes: int,
    precision: Precision,
    kernels: Setting,
    threads: int,
    batch_size: int,
    image_size: int = IMAGE_SIZE,
) -> StepTime:
    """Train a network on a few random images and time the fastest pass. It takes one to three seconds on a CPU.

    Args:
        threads: torch's threads on the CPU.
        batch_size: images of a full batch, at least 1.
        image_size: pixels of a side of the images.

    Returns:
        The times of a run that has its share of the machine to itself.
    """
    device, threads_before = training_device(), torch.get_num_threads()
    size, steps = (batch_size, _GPU_STEPS) if device.type == "cuda" else (min(batch_size, CPU_IMAGES), 1)
    everything = np.arange(size * steps)
    images = np.random.default_rng(0).integers(0, 256, (len(everything), image_size, image_size, 3), np.uint8)
    data = TrainingData.from_split(
        LabelledImages(images, everything % n_classes), Split(everything, everything), n_classes
    )
    recipe = TrainingConfig({**architecture.baseline, "lr": 1e-4}, _PASSES, _PASSES, size)
    torch.set_num_threads(threads)
    try:
        run = TrainingRun(architecture, recipe, data, RunSeeds.of(0, "step time"), device, precision, kernels)
        shares: list[float] = []
        begun = time.perf_counter()
        while run.outcome is None and (not shares or time.perf_counter() - begun < SECONDS):
            wall, processor = time.perf_counter(), time.process_time()
            run.train_epoch()
            wall, processor = time.perf_counter() - wall, time.process_time() - processor
            # Other programs may hold the processor meanwhile, but the cache keeps the time for other days.
            shares.append(1.0 if device.type == "cuda" else min(1.0, processor / (wall * threads)))
    finally:
        torch.set_num_threads(threads_before)
    passes = list(zip(run.history, shares, strict=True))
    training = min(row.seconds * share for row, share in passes) / len(everything)
    predicting = min(row.validation_seconds * share for row, share in passes) / len(everything)
    return StepTime(training * batch_size, predicting)
