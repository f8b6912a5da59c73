"""What does a trial cost the driver, and does it cost more the more trials there are?

    python -m benchmarks.scale

runs the study's own driver, searcher, rungs and tables on Ray Tune over simulated nodes, with a trainable that
replays learning curves instead of training. It prints a row for each size:

    trials                     trials of both networks together
    driver_seconds_per_trial   wall seconds from the first result to the last, divided by the trials; workers report
                               only once all of them have started, so start-up is left out
    driver_cpu_seconds_per_trial
                               the same in the driver's own processor time, which other load hardly changes
    peak_memory_mb             peak memory of the driver's process
    folder_mb                  size of the study folder at the end

Every size runs in a process of its own, with the same nodes and the same number of trials at a time.

    python -m benchmarks.scale --at-a-time 4 64 400

plays searches with as many trials at a time, without Ray (benchmarks/many_at_a_time.py). Its rows have trials,
at_a_time, driver_cpu_seconds_per_trial, peak_memory_mb, and proposals and epochs per second of processor time.
"""

import argparse
import json
import logging
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import ray
from ray.cluster_utils import Cluster
from rich.console import Console
from rich.table import Table

from analysis.paths import user_path
from analysis.results.study_folder import StudyFolder
from benchmarks.many_at_a_time import play
from benchmarks.replayed_training import WAIT_FOR, replay
from models.data import Dataset, LabelledImages, TrainingData, stratified_split
from study.cluster.health.placement import Placement
from study.cluster.worker import WorkerSettings
from study.listeners.progress import Progress
from study.listeners.screen import Screen
from study.listeners.search_recorder import SearchRecorder
from study.search.driver import run_search
from study.search.ledger import Ledger
from study.search.search import Search
from study.settings.config import StudyConfig
from study.settings.networks import baseline_of
from study.storage.checkpoints import CheckpointStore

SIZES = (100, 1000, 10_000)
QUICK_SIZES = (6,)
# At least this many trials with `--at-a-time`, so that a model proposes most of them.
LEAST_TRIALS = 200
NODES = 2
TRIALS_A_NODE = 2
MAX_EPOCHS = 18
MEBIBYTE = 2**20


class Stopwatch(SearchRecorder):
    """Records the search as a study does, and notes the times of the first and the last result."""

    first: float | None = None
    last = 0.0
    first_cpu = 0.0
    last_cpu = 0.0

    def on_change(self, search: Search) -> None:
        super().on_change(search)
        self.last, self.last_cpu = time.monotonic(), time.process_time()
        if self.first is None and any(search.ledger.tally(arch).epochs for arch in search.samplers):
            self.first, self.first_cpu = self.last, self.last_cpu


def run(trials: int, trials_a_node: int) -> dict[str, Any]:
    """Runs one search with this number of trials over both networks; returns its row."""
    logging.getLogger("ray").setLevel(logging.ERROR)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    config = StudyConfig(dataset="digits", trials=trials // 2, max_epochs=MAX_EPOCHS)
    baselines = {arch: baseline_of(config, arch) for arch in config.archs}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": trials_a_node, "include_dashboard": False})
    with tempfile.TemporaryDirectory() as directory, Progress(Screen(quiet=True)) as progress:
        folder = StudyFolder(Path(directory) / "scale")
        for _ in range(NODES - 1):
            cluster.add_node(num_cpus=trials_a_node)
        ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
        try:
            search = Search(config, baselines, Ledger(folder.journal))
            titles = {arch: arch for arch in config.archs}
            recorder = Stopwatch(folder, progress, titles, config, "replayed curves", images=1)
            recorder.begin(search)
            dataset = _dataset()
            split = stratified_split(dataset.train.labels, 0)
            concurrency = NODES * trials_a_node
            (folder.checkpoints / f"{WAIT_FOR}{concurrency}").mkdir(parents=True)
            run_search(
                search,
                {},
                TrainingData.from_split(dataset.train, split, len(dataset.classes)),
                WorkerSettings(
                    ray.put(dataset.train),
                    ray.put(dataset.test),
                    len(dataset.classes),
                    0,
                    "fp32",
                    1,
                    CheckpointStore(str(folder.checkpoints)),
                ),
                Placement(1.0, 0.0, print),
                lambda: concurrency,
                folder.tune,
                recorder,
                replay,
            )
            recorder.finish(search)
        finally:
            ray.shutdown()
            cluster.shutdown()
        assert recorder.first is not None
        size = sum(path.stat().st_size for path in folder.path.rglob("*") if path.is_file())
        return {
            "trials": len(search.ledger.trials()),
            "driver_seconds_per_trial": (recorder.last - recorder.first) / trials,
            "driver_cpu_seconds_per_trial": (recorder.last_cpu - recorder.first_cpu) / trials,
            "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "folder_mb": size / MEBIBYTE,
        }


def _dataset() -> Dataset:
    images = LabelledImages(np.zeros((40, 32, 32, 3), np.uint8), np.arange(40) % 2)
    return Dataset("nothing", ("a", "b"), images, images)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, nargs="+", metavar="N", help="sizes, each at least 2 and even")
    parser.add_argument("--at-a-time", type=int, nargs="+", metavar="N", help="trials at a time, without Ray")
    parser.add_argument("--quick", action="store_true", help="a short form: 6 trials, one at a time on a node")
    parser.add_argument("--json", type=user_path, help="write the rows there")
    parser.add_argument("--run", type=int, nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--play", type=int, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.run or options.play:
        print(json.dumps(run(*options.run) if options.run else play(*options.play)))
        return 0
    if options.trials and any(size < 2 or size % 2 for size in options.trials):
        parser.error("--trials needs even numbers from 2 on: half of the trials are each network's")
    if options.at_a_time and options.trials and min(options.trials) <= max(options.at_a_time):
        parser.error("--trials needs more than run at a time")
    if options.at_a_time:
        least = 6 if options.quick else LEAST_TRIALS
        rows = [
            _row("--play", number, size)
            for number in options.at_a_time
            for size in options.trials or [2 * max(least // 2, number)]
        ]
        _print(rows, "Without Ray, as many trials at a time as given")
    else:
        a_node = 1 if options.quick else TRIALS_A_NODE
        rows = [_row("--run", size, a_node) for size in options.trials or (QUICK_SIZES if options.quick else SIZES)]
        _print(rows, f"{NODES} simulated nodes, {NODES * a_node} trials at a time")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2))
    return 0


def _row(what: str, *numbers: int) -> dict[str, Any]:
    """Returns a row that a process of its own measures."""
    command = [sys.executable, "-m", "benchmarks.scale", what, *map(str, numbers)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(row, flush=True)
    return row


def _print(rows: list[dict[str, Any]], title: str) -> None:
    table = Table(title=title)
    for heading in rows[0]:
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(*(f"{value:.3f}" if isinstance(value, float) else str(value) for value in row.values()))
    Console(width=120).print(table)


if __name__ == "__main__":
    sys.exit(main())
