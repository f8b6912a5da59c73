"""How many runs at a time give the most trials an hour, and how much memory does a run take?

    python -m benchmarks.concurrency --data-dir PATH

trains several runs at a time, as a study does: each in a Ray worker with its own threads, or with an equal share of the
GPU if there is one. Ray's shared memory holds the data set once. Every worker trains epochs of both networks in turn,
and the divisions of the machine take turns, round after round. Throughput counts the trials of all runs together in an
hour. A trial is EPOCHS_A_TRIAL epochs of a network on the images given, validation included.

The memory of a run is the unique set size of its worker. The data set is not part of it and is printed separately. On
a GPU it is the memory that torch reserved there, images included, but not CUDA's own.
"""

import argparse
import json
import os
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import ray
import torch
from rich.console import Console
from rich.table import Table

from analysis.paths import user_path
from benchmarks.concurrent_worker import Worker
from benchmarks.curves import load
from models.data import TrainingData
from models.networks.registry import ARCHITECTURES
from study.cluster.capacity import divide
from study.cluster.session import ray_session
from study.settings.config import StudyConfig

EPOCHS_A_TRIAL = 10
RUNS_ON_GPU = (1, 2, 4, 8)
TRAIN_IMAGES_ON_CPU, TRAIN_IMAGES_ON_GPU = 1_000, 45_000
MEBI = 2**20


def measure(data: TrainingData, divisions: Sequence[tuple[int, int]], rounds: int, gpus: float) -> list[dict[str, Any]]:
    """Returns a row for each division, network and round: seconds of an epoch of all runs, and memory of a run.

    An extra first round warms up. If `rounds` is 0, the extra round is the result.

    Args:
        divisions: pairs (runs at a time, threads of each run).
        rounds: number of rounds that count.
        gpus: number of GPUs; the workers of all divisions share them, but only one division trains at a time.
    """
    shared = ray.put(data)
    # Divisions of equal threads take the same workers.
    most = {threads: max(runs for runs, each in divisions if each == threads) for _, threads in divisions}
    actor: Any = ray.remote(num_gpus=gpus / sum(most.values()))(Worker)
    workers = {
        threads: [actor.options(num_cpus=0).remote(shared, threads, number) for number in range(runs)]
        for threads, runs in most.items()
    }
    rows = []
    for number in range(rounds + 1):
        for runs, threads in divisions:
            for arch in ARCHITECTURES:
                start = time.perf_counter()
                memory = ray.get([worker.epoch.remote(arch) for worker in workers[threads][:runs]])
                seconds = time.perf_counter() - start
                row = {"runs": runs, "threads": threads, "arch": arch, "round": number, "seconds": seconds}
                rows.append(row | {"memory_mib": max(memory) / MEBI})
    return [row for row in rows if row["round"] or not rounds]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=user_path, help="folder of images; scikit-learn's digits if not given")
    parser.add_argument("--train-images", type=int, help="1,000 if not given, on a GPU 45,000")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="40 images, one run alone and the automatic division")
    parser.add_argument("--json", type=user_path, help="write the rows there")
    options = parser.parse_args(arguments)
    if options.quick:
        options.train_images, options.rounds = 40, 0
    has_gpu = torch.cuda.is_available()
    train_images = options.train_images or (TRAIN_IMAGES_ON_GPU if has_gpu else TRAIN_IMAGES_ON_CPU)
    data = load(options.data_dir, train_images, max(train_images // 10, 20))
    cpus = len(os.sched_getaffinity(0))
    # One run alone, then every division that uses each core once.
    divisions = [(1, 1)] + [(cpus // threads, threads) for threads in range(cpus, 0, -1) if cpus % threads == 0]
    with ray_session(None) as capacity:
        chosen = divide(capacity, StudyConfig())
        if has_gpu:
            divisions = [(runs, chosen.threads) for runs in RUNS_ON_GPU]
        if options.quick:
            divisions = [divisions[0], (chosen.concurrency, chosen.threads)]
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
