"""How soon does a search find a good configuration, compared with the searches that users would run instead?

    python -m benchmarks.search --curves FILE

replays each side on learning curves that `benchmarks.curves` recorded, by default on the curves of this repository. A
configuration has the curve of the nearest recorded one, with the hyperparameters scaled to their ranges. Every side has
the same number of trials, workers and repetitions, the same cap and patience, and a seed for each repetition. The first
rung of this project depends on the optimizer steps of an epoch: --train-images N is the number of training images of
the recorded curves.

A chosen configuration is judged by its expected score, smoothed over the recorded configurations and their seeds. The
distance to the highest expected score is what a side loses if it stops at some epoch, counted over all trials. "Epochs
to random's" is the number of epochs from which on the mean loss of a side is at most what random search at full length
loses at its end.

"Reached" judges by the score of the chosen run itself, which rewards luck. The target of a network is 0.5 points below
the median, over repetitions, of the best score that random search at full length finds. A side reaches the target at
the epoch after which its chosen configuration never falls below it. The side "told every expected score" shows what
the noise of a run's score costs a search that knows everything else.

    python -m benchmarks.search --rules

replays this project's search with other rules instead of its own, and

    python -m benchmarks.search --data-dir PATH

trains on real images instead of replaying. Its clock counts CPU seconds of training, on one thread a trial. Nothing is
smoothed there: each run's own score stands for its configuration.
"""

import argparse
import json
import math
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import torch
from rich.console import Console
from rich.table import Table
from scipy import stats

from analysis.paths import user_path
from analysis.results.files import without_nan
from benchmarks import curves
from benchmarks.expected_loss import compare, losses
from benchmarks.processes import workers
from benchmarks.replay import Played, Recorded, Source, play
from benchmarks.search_rules import rules
from benchmarks.sides import SIDES, Informed, MakeSide
from benchmarks.smoothed_curves import Truth
from benchmarks.this_project import ThisProject
from models.networks.registry import ARCHITECTURES
from models.training.recipe import BATCH_SIZE

RECORDED = Path(__file__).with_name("curves.csv")
FEWEST = 48
REFERENCE = "random search, full length"
INFORMED = "told every expected score"
MARGIN = 0.005


def play_all(
    arch: str, seed: int, sides: Mapping[str, MakeSide], source: Source, trials: int, workers: int
) -> dict[str, Played]:
    """Plays one repetition of every side on one network, and on recorded curves of INFORMED."""
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    curve_of = partial(source, seed=seed)
    made = {name: make(arch, source.space, trials, source.max_epochs, seed) for name, make in sides.items()}
    if isinstance(source, Recorded):
        made[INFORMED] = Informed(source, arch, source.space, trials, source.max_epochs, seed)
    return {name: play(side, curve_of, workers) for name, side in made.items()}


def summarise(arch: str, played: Mapping[str, Sequence[Played]], source: Source) -> list[dict[str, Any]]:
    """Returns a row for each side: how soon it loses as little as random search, reaches the target, and its choice."""
    target = float(np.median([one.best_tried for one in played[REFERENCE]])) - MARGIN
    rows = [_summary(arch, side, target, repetitions) for side, repetitions in played.items()]
    if source.expected is not None:
        best, by_lot = float(source.expected.max()), float(source.expected.mean())
        lost = {side: losses(repetitions, best, by_lot) for side, repetitions in played.items()}
        for row in rows:
            row |= vars(compare(lost[row["side"]], lost[REFERENCE]))
            if row["side"] == REFERENCE:
                row |= {"epochs_to_random": row["epochs"], "epochs_to_random_ci95": row["epochs_ci95"]}
    return rows


def _summary(arch: str, side: str, target: float, repetitions: Sequence[Played]) -> dict[str, Any]:
    reached = [one.reached(target) for one in repetitions]
    hits = sum(choice is not None for choice in reached)
    share = stats.binomtest(hits, len(reached)).proportion_ci(method="wilson")
    return {
        "arch": arch,
        "side": side,
        "repetitions": len(repetitions),
        "target": target,
        "reached": hits / len(reached),
        "reached_ci95": [share.low, share.high],
        **_median("epochs_until", [choice.epochs if choice else math.inf for choice in reached]),
        **_median("seconds_until", [choice.seconds if choice else math.inf for choice in reached]),
        **_median("epochs", [one.epochs for one in repetitions]),
        **_median("seconds", [one.seconds for one in repetitions]),
        **_median("score", [one.score for one in repetitions]),
        "best_stopped": float(np.mean([one.is_best_stopped for one in repetitions])),
        "lost_points": float(np.mean([100 * (one.best_tried - one.score) for one in repetitions])),
    }


def _median(name: str, values: Sequence[float]) -> dict[str, Any]:
    """Returns the median and its distribution-free 95 % interval from order statistics; both can be infinite."""
    ordered = np.sort(values)
    low, high = stats.binom.interval(0.95, len(ordered), 0.5)
    ends = ordered[max(0, int(low) - 1)], ordered[min(len(ordered) - 1, int(high))]
    # Infinite values have no mean, so the median is the lower of the two middle values.
    return {name: float(ordered[(len(ordered) - 1) // 2]), f"{name}_ci95": [float(end) for end in ends]}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--curves", type=user_path, default=RECORDED, help="table of recorded learning curves, as CSV")
    parser.add_argument("--data-dir", type=user_path, help="folder of images to train on instead")
    parser.add_argument(
        "--train-images",
        type=int,
        help="training images of the curves (default: 1,800 for this repository's curves; 1,000 with --data-dir)",
    )
    parser.add_argument("--validation-images", type=int, default=1_000, help="with --data-dir")
    parser.add_argument("--max-epochs", type=int, default=12, help="with --data-dir; else the longest curve")
    parser.add_argument(
        "--least", type=int, default=FEWEST, help=f"configurations that are enough to judge by (default: {FEWEST})"
    )
    parser.add_argument("--rules", action="store_true", help="replay this project's search with other rules")
    parser.add_argument("--sides", nargs="+", metavar="SIDE", help="replay only these, beside random search")
    parser.add_argument("--repetitions", type=int, default=200)
    parser.add_argument("--trials", type=int, default=32, help="trials of each network")
    parser.add_argument("--workers", type=int, default=2, help="trials at a time on the simulated clock")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--quick", action="store_true", help="4 repetitions of 8 trials, 1 process")
    parser.add_argument("--json", type=user_path, help="write the rows there")
    options = parser.parse_args(arguments)
    if options.quick:
        options.repetitions, options.trials, options.processes = 4, 8, 1
    if options.train_images is None and (options.data_dir or options.curves == RECORDED):
        options.train_images = 1_000 if options.data_dir else 1_800
    steps_per_epoch = math.ceil(options.train_images / BATCH_SIZE) if options.train_images else math.inf
    ours = partial(ThisProject, steps_per_epoch=steps_per_epoch)
    others = {REFERENCE: SIDES[REFERENCE], **rules(ours)} if options.rules else SIDES
    sides: dict[str, MakeSide] = {**others, "this project": ours}
    if options.sides:
        if unknown := set(options.sides) - set(sides):
            parser.error(f"no side is called {', '.join(sorted(unknown))}: choose from {', '.join(sides)}")
        sides = {side: make for side, make in sides.items() if side in (REFERENCE, *options.sides)}
    if options.data_dir:
        data = curves.load(options.data_dir, options.train_images, options.validation_images)
        sources: dict[str, Source] = {arch: curves.Live(data, arch, options.max_epochs) for arch in ARCHITECTURES}
    else:
        table = pd.read_csv(options.curves)
        sources = {arch: Recorded(table, arch, Truth.smooth(table, arch).surface) for arch in dict.fromkeys(table.arch)}
        for arch, source in sources.items():
            recorded = len(table.loc[table.arch == arch, list(source.space.ranges)].drop_duplicates())
            few = f", too few to judge by (at least {options.least})" if recorded < options.least else ""
            print(f"{arch}: {recorded} configurations recorded{few}")
    rows = []
    with workers(options.processes) as pool:
        futures = {
            arch: [
                pool.submit(play_all, arch, seed, sides, source, options.trials, options.workers)
                for seed in range(options.repetitions)
            ]
            for arch, source in sources.items()
        }
        for arch, repetitions in futures.items():
            results = [future.result() for future in repetitions]
            played = {side: [result[side] for result in results] for side in results[0]}
            rows += summarise(arch, played, sources[arch])
    _print(rows)
    if options.json:
        options.json.write_text(json.dumps(without_nan(rows), indent=2))
    return 0


def _print(rows: Sequence[dict[str, Any]]) -> None:
    for arch in dict.fromkeys(row["arch"] for row in rows):
        here = [row for row in rows if row["arch"] == arch]
        target, repetitions = 100 * here[0]["target"], here[0]["repetitions"]
        title = f"{arch}: {repetitions} repetitions, mean points lost, medians of the rest, target {target:.1f} %"
        table = Table(title=title)
        table.add_column("side")
        for heading in (
            "points lost",
            "epochs to random's",
            "epochs in all",
            "seconds in all",
            "reached, %",
            "epochs until",
            "chosen, %",
            "best tried was stopped, %",
        ):
            table.add_column(heading, justify="right")
        for row in here:
            low, high = row["reached_ci95"]
            table.add_row(
                row["side"],
                _cell(row, "expected_loss", 1, digits=2),
                *(_cell(row, name, 1) for name in ("epochs_to_random", "epochs", "seconds")),
                f"{100 * row['reached']:.0f} ({100 * low:.0f} to {100 * high:.0f})",
                _cell(row, "epochs_until", 1),
                _cell(row, "score", 100, digits=1),
                f"{100 * row['best_stopped']:.0f}",
            )
        Console(width=180).print(table)


def _cell(row: dict[str, Any], name: str, factor: float, digits: int = 0) -> str:
    if name not in row:
        return "not measured"
    values = [factor * value for value in (row[name], *row[f"{name}_ci95"])]
    middle, low, high = ("never" if math.isinf(value) else f"{value:.{digits}f}" for value in values)
    return f"{middle} ({low} to {high})"


if __name__ == "__main__":
    raise SystemExit(main())
