"""Real studies without a difference to find: one network entered under two names.

Each twin has its own search with its own random streams. Then both are retrained on the same seeds, as in a study, and
compared. Every "better" is wrong. The distance between the accuracies of the tuned configurations shows the luck of a
search, which no interval over seeds and images covers.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import optuna
import torch

from analysis.statistics.comparison import Comparison, compare
from models.data import Dataset, TrainingData, stratified_split, stratified_subset
from models.networks.registry import ARCHITECTURES
from models.precision import resolve
from models.randomness import RunSeeds, integer, stream
from models.training.inference import DeviceImages, predict_logits
from models.training.loop import TrainingRun
from models.training.recipe import TrainingConfig, steps_per_epoch
from study.data import datasets
from study.search.ledger import Ledger
from study.search.search import Search
from study.settings.config import StudyConfig
from study.settings.networks import baseline_of

NETWORK = "mobilenet"
TWINS = ("first", "second")
CPU = torch.device("cpu")


@dataclass(frozen=True)
class TwinStudy:
    """Holds the comparison of one study, and the mean test accuracy of each twin in [0, 1]."""

    comparison: Comparison
    accuracies: tuple[float, float]


def run_twin_study(seed: int, config: StudyConfig) -> TwinStudy:
    """Runs the search and the final runs of one study of twins on digits, in this process, on one thread."""
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    dataset = datasets.load("digits", None)
    if config.train_size is not None:
        kept = stratified_subset(dataset.train, config.train_size, integer(stream(seed, "subset")))
        dataset = Dataset(dataset.title, dataset.classes, kept, dataset.test)
    tuned = _search(seed, config, dataset)
    correct = [
        np.stack([_final_run(seed, number, recipe, dataset) for number in range(config.seed_range[1])])
        for recipe in tuned.values()
    ]
    return TwinStudy(compare(*correct), (float(correct[0].mean()), float(correct[1].mean())))


def _search(seed: int, config: StudyConfig, dataset: Dataset) -> Mapping[str, TrainingConfig]:
    """Returns the tuned recipe of each twin, found by the project's own search, one trial at a time."""
    data = _split(dataset, integer(stream(seed, "search", "split")))
    baseline = baseline_of(config, NETWORK)
    with tempfile.TemporaryDirectory() as directory:
        search = Search(
            config,
            dict.fromkeys(TWINS, baseline),
            Ledger(Path(directory) / "journal.jsonl"),
            steps_per_epoch=steps_per_epoch(len(dataset.train), config.batch_size),
        )
        while (trial := search.next_trial()) is not None:
            seeds = RunSeeds.of(seed, "search", trial.arch, trial.number)
            run = _run(search.recipe(trial), data, seeds)
            while run.outcome is None and not search.report(trial.trial_id, run.train_epoch()):
                pass
            search.end(trial.trial_id)
        return {twin: search.recipe(search.leaders(twin)[0]) for twin in TWINS}


def _final_run(seed: int, number: int, recipe: TrainingConfig, dataset: Dataset) -> np.ndarray:
    """Trains one final run; returns the test images that it classifies rightly, bool [n_test]."""
    data = _split(dataset, integer(stream(seed, "final", number, "split")))
    run = _run(recipe, data, RunSeeds.of(seed, "final", number))
    while run.outcome is None:
        run.train_epoch()
    images = DeviceImages(dataset.test.images, data.statistics, CPU)
    logits = predict_logits(run.best_model(), images, torch.arange(len(dataset.test)), run.precision)
    right: np.ndarray = logits.argmax(dim=1).numpy() == dataset.test.labels
    return right


def _split(dataset: Dataset, seed: int) -> TrainingData:
    return TrainingData.from_split(dataset.train, stratified_split(dataset.train.labels, seed), len(dataset.classes))


def _run(recipe: TrainingConfig, data: TrainingData, seeds: RunSeeds) -> TrainingRun:
    return TrainingRun(ARCHITECTURES[NETWORK], recipe, data, seeds, CPU, resolve("auto", CPU))
