"""How many steps does a network need before patience may end its training?

    python -m benchmarks.patience
    python -m benchmarks.patience --data-dir PATH --train-size 300

trains final runs of a small training set to the cap on epochs, each once. Then it looks at which epoch a patience of 5
would have ended each run, for several numbers of grace steps, and prints the test accuracy of the weights kept by then.
A run has the split and the random streams of a study's final run, and one thread.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from analysis.paths import user_path
from models.data import LabelledImages, TrainingData, stratified_split, stratified_subset
from models.networks.registry import ARCHITECTURES
from models.precision import resolve
from models.randomness import RunSeeds, integer, stream
from models.training.history import EpochResult, best_epoch, outcome_of
from models.training.inference import DeviceImages, predict_logits
from models.training.loop import TrainingRun
from models.training.recipe import GRACE_STEPS, PATIENCE, TrainingConfig, steps_per_epoch
from study.data.datasets import load_dataset
from study.settings.config import StudyConfig

GRACES = (0, 40, GRACE_STEPS, 100, 1_000_000)
# A run that ends this far below its accuracy at the cap has lost by ending early.
LOST = 0.1
# At most 360 test images, as digits has, because a run is judged after many epochs.
TEST_IMAGES = 360
CPU = torch.device("cpu")


def train(seed: int, config: TrainingConfig, arch: str, source: LabelledImages, test: LabelledImages) -> dict[str, Any]:
    """Trains one run to its cap; returns its epochs, and the test accuracy of the weights kept after each."""
    torch.set_num_threads(1)
    split = stratified_split(source.labels, integer(stream(0, "final", seed, "split")))
    data = TrainingData.from_split(source, split, int(source.labels.max()) + 1)
    seeds, patient = RunSeeds.of(0, "final", seed), replace(config, patience=config.max_epochs)
    run = TrainingRun(ARCHITECTURES[arch], patient, data, seeds, CPU, resolve("auto", CPU))
    images = DeviceImages(test.images, run.statistics, CPU)
    kept: list[float] = []
    while run.outcome is None:
        run.train_epoch()
        if best_epoch(run.history) is run.history[-1]:
            logits = predict_logits(run.best_model(), images, torch.arange(len(test)), run.precision)
            accuracy = float((logits.argmax(dim=1).numpy() == test.labels).mean())
        kept.append(accuracy)
    return {"seed": seed, "history": [asdict(row) for row in run.history], "kept": kept, "precision": run.precision}


def last_epoch(history: Sequence[EpochResult], config: TrainingConfig, steps: float) -> int:
    """Returns the epoch at which a run with this history ends."""
    ends = (end for end in range(1, len(history) + 1) if outcome_of(list(history[:end]), config, steps))
    return next(ends, len(history))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=user_path, help="folder of images; scikit-learn's digits if not given")
    parser.add_argument("--train-size", type=int, default=500, help="training images, counted before the split")
    parser.add_argument("--arch", default="mobilenet", choices=list(ARCHITECTURES))
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(10)))
    parser.add_argument("--quick", action="store_true", help="200 images, 2 epochs, 2 seeds")
    parser.add_argument("--json", type=user_path, help="write the runs there")
    options = parser.parse_args(arguments)
    if options.quick:
        options.train_size, options.epochs, options.seeds = 200, 2, [0, 1]
    kind = "folder" if options.data_dir else "digits"
    dataset = load_dataset(StudyConfig(dataset=kind, data_dir=options.data_dir, train_size=options.train_size))
    test = stratified_subset(dataset.test, min(TEST_IMAGES, len(dataset.test)), seed=0)
    values = {**ARCHITECTURES[options.arch].baseline, "lr": options.lr}
    config = TrainingConfig(values, options.epochs, PATIENCE)
    runs = []
    for seed in options.seeds:
        runs.append(train(seed, config, options.arch, dataset.train, test))
        print(f"run {seed}: {100 * runs[-1]['kept'][-1]:.1f} % at the cap", flush=True)
    _print(runs, config, steps_per_epoch(len(dataset.train), config.batch_size))
    if options.json:
        options.json.write_text(json.dumps(runs, indent=2))
    return 0


def _print(runs: Sequence[dict[str, Any]], config: TrainingConfig, steps: int) -> None:
    table = Table(title=f"Runs with {steps} steps an epoch, at most {config.max_epochs} epochs, patience {PATIENCE}")
    for heading in ("grace steps", "accuracy, %", "deviation", "lowest", "10 points below the cap's", "mean epochs"):
        table.add_column(heading, justify="right")
    for grace in GRACES:
        rule = replace(config, grace_steps=grace)
        ends = [last_epoch([EpochResult(**row) for row in run["history"]], rule, steps) for run in runs]
        kept = np.array([run["kept"][end - 1] for run, end in zip(runs, ends, strict=True)])
        lost = sum(run["kept"][-1] - accuracy > LOST for run, accuracy in zip(runs, kept, strict=True))
        deviation = f"{100 * kept.std(ddof=1):.1f}" if len(kept) > 1 else ""
        numbers = (f"{100 * kept.mean():.1f}", deviation, f"{100 * kept.min():.1f}", f"{lost} of {len(runs)}")
        table.add_row("to the cap" if grace == GRACES[-1] else str(grace), *numbers, f"{np.mean(ends):.1f}")
    Console(width=140).print(table)


if __name__ == "__main__":
    raise SystemExit(main())
