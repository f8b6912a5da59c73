"""Does the project's training loop learn what a plain PyTorch loop learns?

    python -m benchmarks.agreement --data-dir PATH

trains each network at its documented baseline with both loops, on the same splits, and prints validation accuracy
after the last epoch. The plain loop follows a tutorial: float32, a DataLoader over normalised tensors, Adam. Each loop
draws its own initial weights, data order and dropout masks, so they agree only within the noise of seeds.
"""

import argparse
import json
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from analysis.paths import user_path
from benchmarks.plain import plain_network
from models.data import TrainingData, stratified_split, stratified_subset
from models.networks.registry import ARCHITECTURES, Architecture
from models.precision import resolve
from models.randomness import RunSeeds
from models.training.loop import TrainingRun
from models.training.recipe import BASELINE_LEARNING_RATE, BATCH_SIZE, TrainingConfig, baseline_values
from study.data import datasets

CPU = torch.device("cpu")


def train_plainly(architecture: Architecture, data: TrainingData, epochs: int, seed: int) -> float:
    """Trains with a plain float32 loop; returns the validation accuracy in [0, 1] after the last epoch."""
    torch.manual_seed(seed)
    mean, deviation = (torch.from_numpy(v).view(3, 1, 1) for v in (data.statistics.mean, data.statistics.deviation))
    images = (torch.from_numpy(data.source.images).permute(0, 3, 1, 2).float() - mean) / deviation
    labels = torch.from_numpy(data.source.labels)
    train = TensorDataset(images[data.split.train], labels[data.split.train])
    validation = TensorDataset(images[data.split.validation], labels[data.split.validation])
    model = plain_network(architecture, data.n_classes, float(architecture.baseline["dropout"]))
    optimizer = torch.optim.Adam(model.parameters(), lr=BASELINE_LEARNING_RATE)
    criterion = nn.CrossEntropyLoss()
    for _ in range(epochs):
        model.train()
        for inputs, targets in DataLoader(train, batch_size=BATCH_SIZE, shuffle=True):
            optimizer.zero_grad()
            loss = criterion(model(inputs), targets)
            loss.backward()
            optimizer.step()
    model.eval()
    with torch.no_grad():
        hits = sum((model(inputs).argmax(1) == targets).sum().item() for inputs, targets in DataLoader(validation, 500))
    return float(hits / len(validation))


def train_with_project(architecture: Architecture, data: TrainingData, epochs: int, seed: int) -> float:
    """Trains with the project's loop at its automatic precision; returns the last validation accuracy in [0, 1]."""
    config = TrainingConfig(baseline_values(architecture.baseline), max_epochs=epochs, patience=epochs)
    run = TrainingRun(architecture, config, data, RunSeeds.of(seed, "agreement"), CPU, resolve("auto", CPU))
    while run.outcome is None:
        run.train_epoch()
    return run.history[-1].val_accuracy


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=user_path, help="folder of images; scikit-learn's digits if not given")
    parser.add_argument("--train-size", type=int, default=10_000, help="training images, counted before the split")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", type=user_path, help="write the rows there")
    options = parser.parse_args(arguments)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    dataset = datasets.load("folder" if options.data_dir else "digits", options.data_dir)
    source = stratified_subset(dataset.train, min(options.train_size, len(dataset.train)), seed=0)
    rows: list[dict[str, Any]] = []
    for name, architecture in ARCHITECTURES.items():
        for seed in range(options.seeds):
            split = stratified_split(source.labels, seed)
            data = TrainingData.from_split(source, split, len(dataset.classes))
            rows.append(
                {
                    "arch": name,
                    "seed": seed,
                    "project": train_with_project(architecture, data, options.epochs, seed),
                    "plain": train_plainly(architecture, data, options.epochs, seed),
                }
            )
    columns = ("network", "this project", "plain fp32 loop", "difference of means", "its standard error")
    table = Table(*columns, title="Validation accuracy, %")
    for name in ARCHITECTURES:
        project, plain = (np.array([100 * r[side] for r in rows if r["arch"] == name]) for side in ("project", "plain"))
        table.add_row(
            name,
            f"{project.mean():.2f} ({', '.join(f'{value:.2f}' for value in project)})",
            f"{plain.mean():.2f} ({', '.join(f'{value:.2f}' for value in plain)})",
            f"{project.mean() - plain.mean():+.2f}",
            f"{np.sqrt((project.var(ddof=1) + plain.var(ddof=1)) / options.seeds):.2f}" if options.seeds > 1 else "",
        )
    Console(width=120).print(table)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
