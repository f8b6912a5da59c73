"""How is a machine best divided among training runs, and what memory does one more take?

    python -m benchmarks.concurrency --data-dir PATH

trains so many runs at a time, each in a Ray worker with so many threads, as a study does, or with an equal share of the
GPU if there is one, on a data set that lies in Ray's shared memory once. Every worker trains epochs of both networks in
turn; the divisions take turns, round after round. Throughput is of all runs together, in trials an hour, where a trial
is EPOCHS_A_TRIAL epochs of each network on the images given, validation included.

Memory of a run is what its worker has for itself (unique set size): the data set is not in it, and is given apart. On a
GPU it is what torch has reserved there, images included, without CUDA's own.
"""

import argparse
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import ray
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.curves import load
from models.data import TrainingData
from models.networks.registry import ARCHITECTURES
from models.precision import resolve, training_device
from models.randomness import RunSeeds
from models.training.loop import TrainingRun
from models.training.recipe import baseline_recipe
from study.cluster import session as cluster
from study.cluster.capacity import divide
from study.settings.config import StudyConfig

EPOCHS_A_TRIAL = 10
RUNS_ON_GPU = (1, 2, 4, 8)
TRAIN_IMAGES_ON_CPU, TRAIN_IMAGES_ON_GPU = 1_000, 45_000
MEBI = 2**20


class _Worker:
    """A Ray actor with a run of each network."""

    def __init__(self, data: TrainingData, threads: int, number: int) -> None:
        torch.set_num_threads(threads)
        device = training_device()
        self._runs = {
            arch: TrainingRun(
                architecture,
                baseline_recipe(architecture.baseline_dropout, 10_000, 10_000),
                data,
                RunSeeds.of(number),
                device,
                resolve("auto", device),
            )
            for arch, architecture in ARCHITECTURES.items()
        }

    def epoch(self, arch: str) -> int:
        """Trains one; returns the bytes that this process alone has, of the memory it trains in."""
        self._runs[arch].train_epoch()
        if training_device().type == "cuda":
            return torch.cuda.max_memory_reserved()
        return int(psutil.Process().memory_full_info().uss)


def measure(data: TrainingData, divisions: Sequence[tuple[int, int]], rounds: int, gpus: float) -> list[dict[str, Any]]:
    """A row a division, network and round: seconds an epoch of all runs at a time, and the memory of a run.

    A round before the first warms up; of no rounds it is the one that counts.

    Args:
        divisions: pairs of runs at a time and threads of each.
        gpus: what the workers of all divisions share, though only those of one train at a time.
    """
    shared = ray.put(data)
    actor: Any = ray.remote(num_gpus=gpus / sum(runs for runs, _ in divisions))(_Worker)
    workers = {
        (runs, threads): [actor.options(num_cpus=0).remote(shared, threads, number) for number in range(runs)]
        for runs, threads in divisions
    }
    rows = []
    for number in range(rounds + 1):
        for (runs, threads), group in workers.items():
            for arch in ARCHITECTURES:
                start = time.perf_counter()
                memory = ray.get([worker.epoch.remote(arch) for worker in group])
                seconds = time.perf_counter() - start
                row = {"runs": runs, "threads": threads, "arch": arch, "round": number, "seconds": seconds}
                rows.append(row | {"memory_mib": max(memory) / MEBI})
    return [row for row in rows if row["round"] or not rounds]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, help="folder of images; scikit-learn's digits if not given")
    parser.add_argument("--train-images", type=int, help="1,000 if not given, on a GPU 45,000")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="few images, not warmed up")
    parser.add_argument("--json", type=Path, help="write the rows there")
    options = parser.parse_args(arguments)
    if options.quick:
        options.train_images, options.rounds = 200, 0
    has_gpu = torch.cuda.is_available()
    train_images = options.train_images or (TRAIN_IMAGES_ON_GPU if has_gpu else TRAIN_IMAGES_ON_CPU)
    data = load(options.data_dir, train_images, train_images // 10)
    cpus = len(os.sched_getaffinity(0))
    # One run alone, then as many as use every core once.
    divisions = [(1, 1)] + [(cpus // threads, threads) for threads in range(cpus, 0, -1) if cpus % threads == 0]
    with cluster.ray_session(None) as capacity:
        chosen = divide(capacity, StudyConfig())
        if has_gpu:
            divisions = [(runs, chosen.threads) for runs in RUNS_ON_GPU]
        rows = measure(data, list(dict.fromkeys(divisions)), options.rounds, capacity.gpus)
    _print(rows, (chosen.concurrency, chosen.threads))
    images = data.source.images.nbytes / MEBI
    print(f"The data set, {images:.0f} MiB here, lies in shared memory once, whatever the number of runs.")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2))
    return 0


def _print(rows: Sequence[dict[str, Any]], chosen: tuple[int, int]) -> None:
    table = Table(title="Trials an hour, medians over rounds")
    for heading in ("runs at a time", "threads each", *ARCHITECTURES, "beside one alone", "MiB a run"):
        table.add_column(heading, justify="right")
    divisions = list(dict.fromkeys((row["runs"], row["threads"]) for row in rows))
    rates = {
        (division, arch): division[0]
        * 3600
        / EPOCHS_A_TRIAL
        / np.array([row["seconds"] for row in rows if (row["runs"], row["threads"], row["arch"]) == (*division, arch)])
        for division in divisions
        for arch in ARCHITECTURES
    }
    for runs, threads in divisions:
        gains = [np.median(rates[(runs, threads), arch] / rates[divisions[0], arch]) for arch in ARCHITECTURES]
        memory = max(row["memory_mib"] for row in rows if (row["runs"], row["threads"]) == (runs, threads))
        table.add_row(
            f"{runs}{' (automatic)' if (runs, threads) == chosen else ''}",
            str(threads),
            *(f"{np.median(rates[(runs, threads), arch]):.1f}" for arch in ARCHITECTURES),
            ", ".join(f"{gain:.2f}" for gain in gains),
            f"{memory:.0f}",
        )
    Console(width=120).print(table)


if __name__ == "__main__":
    raise SystemExit(main())
