"""Records learning curves once, so that `benchmarks.search` can replay them.

    python -m benchmarks.curves --data-dir PATH --output FILE

trains each network with the project's own loop at its documented baseline and at points of a Halton sequence over the
search space, each with some seeds, and writes a row an epoch: arch, each hyperparameter, run, epoch, train_loss,
val_loss, val_accuracy, seconds. The file is written again after every run. The same command continues with the runs
that are missing.

A run ends at the cap or out of patience, like a trial of any side in a replay, so no replay asks for more epochs. The
validation set is larger than a tenth: with 200 images one image would be 0.5 points, the margin of the replay. Each run
has one thread, and seconds are CPU seconds of the training pass, so other load on the machine matters little.
"""

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.stats import qmc
from sklearn.model_selection import train_test_split

from analysis.paths import user_path
from analysis.results.files import write_text
from benchmarks.processes import workers
from benchmarks.replay import Curve
from benchmarks.spaces import SPACES, baseline_of
from models.data import Split, TrainingData, stratified_subset
from models.networks.hyperparameters import Value
from models.networks.registry import ARCHITECTURES
from models.precision import resolve
from models.randomness import RunSeeds
from models.training.history import EpochResult
from models.training.loop import TrainingRun
from models.training.recipe import TrainingConfig
from study.data import datasets
from study.settings.search_space import SEARCH_SPACE, SearchSpace

MEASURED = ["epoch", "train_loss", "val_loss", "val_accuracy", "seconds"]
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Task:
    """Names one run to record.

    Its random streams are selected by its number, its run, the size of its space and the number of training images.
    """

    number: int
    arch: str
    values: Mapping[str, Value]
    run: int
    max_epochs: int

    @property
    def key(self) -> tuple[Value, ...]:
        """Return what tells the run from all others of a table."""
        return (self.arch, *self.values.values(), self.run)


def tasks(space: SearchSpace, archs: Sequence[str], configurations: int, max_epochs: int, seeds: int = 1) -> list[Task]:
    """Returns the runs of each network's baseline and of `configurations` Halton points, point by point.

    A larger number of configurations begins with the same ones.
    """
    points = qmc.Halton(len(space.ranges), rng=np.random.default_rng(0)).random(configurations)
    # Rounded, so that the table holds exactly the values that were trained.
    drawn = [{name: float(f"{value:.4g}") for name, value in space.at(point).items()} for point in points.tolist()]
    return [
        Task(number, arch, values, run, max_epochs)
        for number in range(configurations + 1)
        for arch in archs
        for values in [drawn[number - 1] if number else baseline_of(arch, space)]
        for run in range(seeds)
    ]


def record(task: Task, data: TrainingData) -> pd.DataFrame:
    """Trains one run to its end on one thread."""
    torch.set_num_threads(1)
    config = TrainingConfig(task.values, task.max_epochs)
    seeds = RunSeeds.of(0, "curves", task.arch, task.number, task.run, len(task.values), len(data.split.train))
    named = {"arch": task.arch, **task.values, "run": task.run}
    rows = [named | vars(result) for result in train(data, task.arch, config, seeds)]
    return pd.DataFrame(rows, columns=[*named, *MEASURED])


def train(data: TrainingData, arch: str, config: TrainingConfig, seeds: RunSeeds) -> Iterator[EpochResult]:
    """Yields the epochs of a run, training each when it is asked for. Seconds are CPU seconds."""
    run = TrainingRun(ARCHITECTURES[arch], config, data, seeds, CPU, resolve("auto", CPU))
    while run.outcome is None:
        wall, cpu = time.perf_counter(), time.process_time()
        result = run.train_epoch()
        training_share = result.seconds / (time.perf_counter() - wall)
        yield replace(result, seconds=(time.process_time() - cpu) * training_share)


class Live:
    """Trains the curves of one network when a search asks for them, each configuration once a seed."""

    def __init__(self, data: TrainingData, arch: str, max_epochs: int) -> None:
        self.space = SEARCH_SPACE
        self.max_epochs = max_epochs
        self.expected: np.ndarray | None = None
        self._data = data
        self._arch = arch
        self._curves: dict[tuple[Value, ...], Curve] = {}

    def __call__(self, seed: int, **values: Value) -> Curve:
        config = TrainingConfig(values, self.max_epochs)
        key = (*values.values(), seed)
        if key not in self._curves:
            rows = train(self._data, self._arch, config, RunSeeds.of(seed, "live", self._arch))
            self._curves[key] = Curve(values, rows, config)
        return self._curves[key]


def load(data_dir: Path | None, train_images: int, validation_images: int) -> TrainingData:
    """Loads a stratified part of a folder's training images, or of scikit-learn's digits."""
    dataset = datasets.load("folder" if data_dir else "digits", data_dir)
    source = stratified_subset(dataset.train, train_images + validation_images, seed=0)
    train, validation = train_test_split(
        np.arange(len(source)), test_size=validation_images, stratify=source.labels, random_state=0
    )
    return TrainingData.from_split(source, Split(np.sort(train), np.sort(validation)), len(dataset.classes))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=user_path, help="folder of images; scikit-learn's digits if not given")
    parser.add_argument("--output", type=user_path, required=True, help="the table, as CSV")
    parser.add_argument("--archs", nargs="+", choices=list(ARCHITECTURES), default=list(ARCHITECTURES))
    parser.add_argument(
        "--dimensions",
        type=int,
        choices=list(SPACES),
        default=min(SPACES),
        help="hyperparameters: learning rate and dropout, or with weight decay and label smoothing 4",
    )
    parser.add_argument("--configurations", type=int, default=48, help="of each network, besides its baseline")
    parser.add_argument("--seeds", type=int, default=1, help="runs of each configuration")
    parser.add_argument("--train-images", type=int, default=1_800)
    parser.add_argument("--validation-images", type=int, default=1_000)
    parser.add_argument("--max-epochs", type=int, default=20)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args(arguments)
    data = load(options.data_dir, options.train_images, options.validation_images)
    space = SPACES[options.dimensions]
    named = ["arch", *space.ranges, "run"]
    table = pd.read_csv(options.output) if options.output.exists() else pd.DataFrame(columns=[*named, *MEASURED])
    if list(table.columns) != [*named, *MEASURED]:
        parser.error(f"{options.output} has other columns than {', '.join([*named, *MEASURED])}: name another file")
    recorded = set(table[named].itertuples(index=False, name=None))
    wanted = tasks(space, options.archs, options.configurations, options.max_epochs, options.seeds)
    missing = [task for task in wanted if task.key not in recorded]
    with workers(options.processes) as pool:
        for future in as_completed([pool.submit(record, task, data) for task in missing]):
            curve = future.result()
            table = curve if table.empty else pd.concat([table, curve], ignore_index=True)
            write_text(options.output, table.to_csv(index=False, float_format="%.6g"))
            last = curve.iloc[-1]
            values = " ".join(f"{name} {last[name]:g}" for name in space.ranges)
            print(f"{last.arch} {values} run {last.run}: {last.epoch} epochs", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
