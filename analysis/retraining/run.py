"""One run after the search: a configuration trained on a fresh seed, and judged once on the test set if it is final."""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime

import pandas as pd
import torch

from analysis.results.run_folders import EPOCH_COLUMNS, CompletedRun, FinalRun
from analysis.retraining.plans import RunPlan
from analysis.statistics.metrics import metric_values
from models.data import LabelledImages, TrainingData, stratified_split
from models.networks.registry import Architecture
from models.precision import Precision, training_device
from models.randomness import RunSeeds, integer, stream
from models.training.history import EpochResult, best_epoch
from models.training.inference import DeviceImages, predict_logits
from models.training.loop import TrainingRun
from models.training.proof import Setting


def train_and_judge(
    plan: RunPlan,
    architecture: Architecture,
    seed: int,
    precision: Precision,
    kernels: Setting,
    n_classes: int,
    train: LabelledImages,
    read_test: Callable[[], LabelledImages],
    train_epochs: Callable[[TrainingRun], Iterator[EpochResult]],
) -> Iterator[EpochResult | CompletedRun]:
    """Train one run and, if it is a final run, predict the test set once.

    Args:
        seed: the study's seed, which every random stream of the run depends on.
        kernels: "auto" or "off", as TrainingRun takes it.
        train: all training images; the run's own seed splits them.
        read_test: gives the test images; not called for a confirmation run.
        train_epochs: trains the run to its end and yields each epoch's result.

    Yields:
        Each epoch's result, then a FinalRun, or a CompletedRun for a confirmation run.
    """
    split = stratified_split(train.labels, integer(stream(seed, plan.purpose, plan.seed, "split")))
    data = TrainingData.from_split(train, split, n_classes)
    seeds = RunSeeds.of(seed, plan.purpose, plan.seed)
    run = TrainingRun(architecture, plan.recipe, data, seeds, training_device(), precision, kernels)
    yield from train_epochs(run)
    done = _complete(plan, run)
    yield done if plan.purpose == "confirm" else _judge(done, run, data, read_test())


def _complete(plan: RunPlan, run: TrainingRun) -> CompletedRun:
    best = best_epoch(run.history)
    metrics = {
        "group": plan.group,
        "arch": plan.arch,
        "variant": plan.variant,
        "seed": plan.seed,
        "config": plan.made[0],
        "is_tuned": plan.is_tuned,
        "kernels": run.kernels.path,
        "status": run.outcome,
        "epochs": len(run.history),
        "best_epoch": best.epoch if best else None,
        "val_loss": best.val_loss if best else None,
        "val_accuracy": best.val_accuracy if best else None,
        "seconds": sum(row.seconds for row in run.history),
        "validation_seconds": sum(row.validation_seconds for row in run.history),
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    history = pd.DataFrame([asdict(row) for row in run.history], columns=list(EPOCH_COLUMNS))
    return CompletedRun(plan.group, plan.seed, metrics, history)


def _judge(done: CompletedRun, run: TrainingRun, data: TrainingData, test: LabelledImages) -> FinalRun:
    """Predict the test set with the weights of the lowest validation loss."""
    images = DeviceImages(test.images, run.statistics, training_device())
    everything = torch.arange(len(test), device=images.device)
    logits = predict_logits(run.best_model(), images, everything, run.precision).cpu().numpy()
    mean, deviation = run.statistics.mean.tolist(), run.statistics.deviation.tolist()
    scores = metric_values(logits.argmax(axis=1), test.labels, data.n_classes)
    return FinalRun(
        group=done.group,
        seed=done.seed,
        metrics=done.metrics | {"normalisation": {"mean": mean, "deviation": deviation}} | scores,
        history=done.history,
        logits=logits,
        labels=test.labels.copy(),
        weights={name: value.cpu().contiguous().numpy() for name, value in run.best_weights().items()},
    )
