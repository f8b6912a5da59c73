"""How much does the classic recipe gain over the documented one?

    python -m benchmarks.recipes --data-dir PATH

trains each network at the baseline of the documented recipe and of a recipe file, and prints the accuracy on the test
images. Both recipes share the cap on epochs, and run k of both has the same split, data order and initial weights. Each
run has one thread. A run is judged with the weights of its lowest validation loss.
"""

import argparse
import json
import tomllib
from collections.abc import Mapping, Sequence
from concurrent.futures import as_completed
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from analysis.paths import user_path
from benchmarks.processes import workers
from models.data import Dataset, LabelledImages, TrainingData, stratified_split, stratified_subset
from models.networks.registry import ARCHITECTURES
from models.precision import resolve
from models.randomness import RunSeeds
from models.training.inference import DeviceImages, predict_logits
from models.training.loop import TrainingRun
from models.training.recipe import TrainingConfig, baseline_values
from study.data import datasets

CLASSIC = Path(__file__).parents[1] / "examples" / "classic_recipe.toml"
RECIPES = ("documented", "classic")
CPU = torch.device("cpu")


def recipe_of(name: str, arch: str, told: Mapping[str, Any], epochs: int) -> TrainingConfig:
    """Returns the baseline of a network with the documented recipe, or with the recipe of a study file.

    Args:
        name: one of RECIPES.
        arch: name of the network.
        told: the study file's tables.
        epochs: cap on the epochs, which ends the schedule.
    """
    if name == "documented":
        return TrainingConfig(baseline_values(ARCHITECTURES[arch].baseline), epochs)
    return TrainingConfig(told["networks"][arch]["baseline"], epochs, **told["recipe"])


def train(
    name: str, arch: str, seed: int, config: TrainingConfig, source: LabelledImages, test: LabelledImages, classes: int
) -> dict[str, Any]:
    """Trains one run; returns its row."""
    torch.set_num_threads(1)
    data = TrainingData.from_split(source, stratified_split(source.labels, seed), classes)
    run = TrainingRun(ARCHITECTURES[arch], config, data, RunSeeds.of(seed, "recipes"), CPU, resolve("auto", CPU))
    while run.outcome is None:
        run.train_epoch()
    images = DeviceImages(test.images, data.statistics, CPU)
    logits = predict_logits(run.best_model(), images, torch.arange(len(test)), run.precision)
    return {
        "arch": arch,
        "recipe": name,
        "seed": seed,
        "accuracy": float((logits.argmax(dim=1).numpy() == test.labels).mean()),
        "epochs": len(run.history),
        "seconds": sum(row.seconds for row in run.history),
        "precision": run.precision,
    }


def measure(
    dataset: Dataset, archs: Sequence[str], told: Mapping[str, Any], epochs: int, seeds: int, processes: int
) -> list[dict[str, Any]]:
    """Returns a row for each network, recipe and seed."""
    with workers(processes) as pool:
        futures = [
            pool.submit(train, name, arch, seed, config, dataset.train, dataset.test, len(dataset.classes))
            for seed in range(seeds)
            for arch in archs
            for name in RECIPES
            for config in [recipe_of(name, arch, told, epochs)]
        ]
        rows = []
        for future in as_completed(futures):
            rows.append(future.result())
            print(rows[-1], flush=True)  # a run that is cut off has printed its results so far
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=user_path, help="folder of images; scikit-learn's digits if not given")
    parser.add_argument("--recipe", type=user_path, default=CLASSIC, help="study file with [recipe] and baselines")
    parser.add_argument("--archs", nargs="+", default=list(ARCHITECTURES))
    parser.add_argument("--train-size", type=int, default=10_000, help="training images, counted before the split")
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="100 + 40 images, 1 epoch, 1 seed, 1 process")
    parser.add_argument("--json", type=user_path, help="write the rows there")
    options = parser.parse_args(arguments)
    if options.quick:
        options.train_size, options.epochs, options.seeds, options.processes = 100, 1, 1, 1
    told = tomllib.loads(options.recipe.read_text())
    dataset = datasets.load("folder" if options.data_dir else "digits", options.data_dir)
    source = stratified_subset(dataset.train, min(options.train_size, len(dataset.train)), seed=0)
    test = stratified_subset(dataset.test, 40, seed=0) if options.quick else dataset.test
    part = Dataset(dataset.title, dataset.classes, source, test)
    rows = measure(part, options.archs, told, options.epochs, options.seeds, options.processes)
    _print(rows, options.archs)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2))
    return 0


def _print(rows: Sequence[Mapping[str, Any]], archs: Sequence[str]) -> None:
    table = Table(title="Accuracy on the test images, %: mean ± standard deviation (each seed)")
    for heading in ("network", *RECIPES, "gain (each seed)", "epochs"):
        table.add_column(heading)
    for arch in archs:
        found = {
            name: sorted((row for row in rows if (row["arch"], row["recipe"]) == (arch, name)), key=lambda r: r["seed"])
            for name in RECIPES
        }
        documented, classic = (np.array([100 * row["accuracy"] for row in found[name]]) for name in RECIPES)
        table.add_row(
            ARCHITECTURES[arch].title,
            *(_spread(values) for values in (documented, classic, classic - documented)),
            "; ".join(", ".join(str(row["epochs"]) for row in found[name]) for name in RECIPES),
        )
    Console(width=140).print(table)


def _spread(values: np.ndarray) -> str:
    deviation = f" ± {values.std(ddof=1):.2f}" if len(values) > 1 else ""
    return f"{values.mean():.2f}{deviation} ({', '.join(f'{value:.2f}' for value in values)})"


if __name__ == "__main__":
    raise SystemExit(main())
