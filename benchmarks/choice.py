"""How much accuracy does a study lose because it cannot choose the best of all configurations?

    python -m benchmarks.choice

plays searches of both documented networks on surfaces that are smoothed over the recorded learning curves
(benchmarks/smoothed_curves.py), with fresh noise, and lets several rules choose among the trials of each search. A rule
ranks the trials, confirms the leading ones with fresh runs, and chooses one of these. Its loss is the best true score
minus the true score of the configuration it chooses. Trials are proposed by the replica, because real searches take too
long.

    python -m benchmarks.choice --collapse 0.05

lets this share of all runs collapse to a score of 10 %.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from analysis.paths import user_path
from analysis.statistics.search_luck.expected import rank
from analysis.statistics.search_luck.luck import Run
from analysis.statistics.search_luck.replica import CONFIRMATIONS, Plan, Replica
from analysis.statistics.search_luck.surfaces import Surfaces
from benchmarks.smoothed_curves import PLACES, RECORDED, Truth
from benchmarks.surface_searches import POINTS, config_at
from models.networks.registry import ARCHITECTURES

TRIALS: tuple[int, ...] = (8, 16, 32)
CONFIRMED = (0, 3, 6)
# Searches that see the same points.
TOGETHER = 25
COLLAPSED = 0.1

# Ranks the trials of one search, the best first, from their runs and the scores of their confirmation runs.
Rank = Callable[[Mapping[int, Run], Mapping[int, Sequence[float]]], list[int]]


def by_score(trials: Mapping[int, Run], confirmed: Mapping[int, Sequence[float]]) -> list[int]:
    """Rank by the mean of the confirmation runs, or by the score if there are none."""
    known = {number: np.mean(confirmed.get(number, [0.0])) for number in trials} if confirmed else {}
    return sorted(trials, key=lambda number: -known.get(number, trials[number].score))


def by_expectation(trials: Mapping[int, Run], confirmed: Mapping[int, Sequence[float]]) -> list[int]:
    """Rank by the expected score, as the project does."""
    return rank(PLACES, trials, confirmed)


# Which rule ranks the trials to confirm, and which one chooses among them.
RULES: dict[str, tuple[Rank, Rank]] = {
    "highest scores, then highest mean": (by_score, by_score),
    "highest expected scores, then highest mean": (by_expectation, by_score),
    "this project": (by_expectation, by_expectation),
}


class _Collapsing(Replica):
    """Plays searches in which some runs collapse."""

    share: float

    def run(self, surfaces: Surfaces, points: np.ndarray) -> np.ndarray:
        scores = super().run(surfaces, points)
        return np.where(self.rng.random(scores.shape) < self.share, COLLAPSED, scores)


def losses(truth: Truth, trials: int, confirm: int, count: int, collapse: float) -> dict[str, np.ndarray]:
    """Return what each rule loses in each search, in points of accuracy, float64 [searches].

    Args:
        truth: the network.
        trials: trials of a search.
        confirm: trials that are confirmed.
        count: number of searches.
        collapse: share of all runs that collapse.
    """
    rng = np.random.default_rng([trials, confirm])
    lost: dict[str, list[float]] = {rule: [] for rule in RULES}
    for begun in range(0, count, TOGETHER):
        points = np.concatenate([PLACES.of([truth.baseline]), PLACES.spread(POINTS, rng)])
        true, searches = truth.surface(points), min(TOGETHER, count - begun)
        surfaces = Surfaces(np.tile(true, (searches, 1)), truth.noise(points)[None])
        replica = _Collapsing(Plan(trials, 0, (0,), PLACES.numeric), PLACES.distances(points, points), rng)
        replica.share = collapse
        played = replica.play(surfaces)
        # Every rule sees the same fresh runs of a configuration.
        fresh = [replica.run(surfaces, played.tried) for _ in range(CONFIRMATIONS)]
        for search in range(searches):
            runs = {
                number: Run(config_at(points[point]), float(score))
                for number, (point, score) in enumerate(zip(played.tried[search], played.scores[search], strict=True))
            }
            for rule, (lead, choose) in RULES.items():
                leading = lead(runs, {})[: max(confirm, 1)]
                confirmed = {number: [float(run[search, number]) for run in fresh] for number in leading}
                chosen = next(one for one in choose(runs, confirmed) if one in leading) if confirm else leading[0]
                lost[rule].append(100 * float(true.max() - true[played.tried[search, chosen]]))
    return {rule: np.array(values) for rule, values in lost.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--searches", type=int, default=100, help="searches of each network and set of curves")
    parser.add_argument("--collapse", type=float, default=0.0, help="share of all runs that collapse")
    parser.add_argument("--quick", action="store_true", help="a short form: 4 searches of 8 trials, one set of curves")
    parser.add_argument("--json", type=user_path, help="write the rows there")
    options = parser.parse_args(arguments)
    sizes, budgets = list(RECORDED), TRIALS
    if options.quick:
        sizes, budgets, options.searches = sizes[:1], TRIALS[:1], 4
    rows: list[dict[str, Any]] = []
    for trials in budgets:
        for confirm in CONFIRMED:
            cells = [
                losses(Truth.of(arch, images), trials, confirm, options.searches, options.collapse)
                for images in sizes
                for arch in ARCHITECTURES
            ]
            for rule in RULES:
                every = np.concatenate([cell[rule] for cell in cells])
                error = every.std(ddof=1) / np.sqrt(len(every))
                row = {"lost": every.mean(), "error": error, "high": float(np.quantile(every, 0.9))}
                rows.append({"trials": trials, "confirm": confirm, "rule": rule, "searches": len(every), **row})
    _print(rows)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2))
    return 0


def _print(rows: Sequence[Mapping[str, Any]]) -> None:
    table = Table(title="Points of accuracy lost by the choice, with one Monte-Carlo standard error")
    for heading in ("trials", "confirmed", "rule", "searches", "mean", "9 in 10 lose at most"):
        table.add_column(heading, justify="left" if heading == "rule" else "right")
    for row in rows:
        cells = [str(row[key]) for key in ("trials", "confirm", "rule", "searches")]
        table.add_row(*cells, f"{row['lost']:.2f} ± {row['error']:.2f}", f"{row['high']:.2f}")
    Console(width=120).print(table)


if __name__ == "__main__":
    raise SystemExit(main())
