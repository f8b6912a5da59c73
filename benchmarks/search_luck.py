"""How often does the interval hold the difference between two networks, over repeated searches?

    python -m benchmarks.search_luck

plays searches of both documented networks on surfaces that are smoothed over the recorded learning curves
(benchmarks/smoothed_curves.py), with fresh noise. Each search chooses a configuration. The true difference of the
networks is the difference between the mean true scores of the chosen configurations over many searches. For each search
`analysis.statistics.search_luck` estimates the luck from that search's scores alone. Each search of one network meets
several searches of the other: their final runs are drawn with fresh seeds and test images, and two intervals are
computed. The first takes the two configurations as given, the second is over searches. A third shows what the second
would be if the luck were known.

The searches are the replica's, because the real ones take too long. The surfaces are smooth, and no rung stops a trial.

    python -m benchmarks.search_luck --real

plays this project's own search on the same surfaces instead, and shows the true luck of both beside each other.
"""

import argparse
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna
from rich.console import Console
from rich.table import Table

from analysis.paths import user_path
from analysis.statistics.search_luck.interval import OverSearches
from analysis.statistics.two_way_layout import TwoWayLayout
from benchmarks.smoothed_curves import RECORDED, Truth
from benchmarks.surface_searches import Searched, real_luck, searches
from models.networks.registry import ARCHITECTURES

# Trials and confirmed trials of each network.
BUDGETS = ((32, 3), (16, 3), (8, 3), (6, 0))
# A real search of 32 trials takes several seconds.
REAL_BUDGETS = BUDGETS[1:3]
SEEDS = (5, 10, 20)
# Searches of each network whose mean is the truth.
SEARCHES_OF_TRUTH = 200
# Each search meets this many searches of the other network.
PAIRS = 20
# Test images, and the deviation over images of the difference in the networks' chances to be right, as in RESULTS.md.
N_IMAGES, IMAGE_SD, RESIDUAL_SD = 10_000, 0.285, 0.4


def coverage(a: Searched, b: Searched, n_seeds: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Return a row for each meeting of two searches: if each interval holds the difference, and its half-width."""
    rows, count = [], len(a.chosen)
    for first in range(count):
        for second in (first + np.arange(min(PAIRS, count))) % count:
            lead = a.chosen[first] - b.chosen[second]
            over = OverSearches(_layout(lead, (a.noise[first], b.noise[second]), n_seeds, rng))
            error = abs(over.layout.mean - (a.mean - b.mean))
            luck = a.estimated[first], b.estimated[second]
            narrow, wide, known = over.layout.half_width(), over.half_width(luck), over.half_width((a.luck, b.luck))
            holds = {"given": error <= narrow, "over": error <= wide, "known": error <= known}
            rows.append({"a": first, "b": int(second), "narrow": narrow, "wide": wide, **holds})
    return rows


def _layout(lead: float, seed_sds: tuple[float, float], n_seeds: int, rng: np.random.Generator) -> TwoWayLayout:
    """Draw the differences of final runs with fresh seeds and test images, as their mean squares."""
    residual = RESIDUAL_SD**2 / 2  # each network has half of it
    variances = (np.square(seed_sds) + residual / N_IMAGES) * rng.chisquare(n_seeds - 1, 2) / (n_seeds - 1)
    of_mean = np.sum(np.square(seed_sds)) / n_seeds + IMAGE_SD**2 / N_IMAGES + RESIDUAL_SD**2 / (n_seeds * N_IMAGES)
    return TwoWayLayout(
        n_seeds,
        N_IMAGES,
        lead + np.sqrt(of_mean) * rng.standard_normal(),
        N_IMAGES * float(variances.sum()),
        (n_seeds * IMAGE_SD**2 + RESIDUAL_SD**2) * rng.chisquare(N_IMAGES - 1) / (N_IMAGES - 1),
        RESIDUAL_SD**2,
        df_seed=(n_seeds - 1) * float(variances.sum() ** 2 / np.sum(variances**2)),
    )


def _share(rows: Sequence[dict[str, Any]], key: str) -> tuple[float, float]:
    """Return the share of rows in which an interval holds the truth, and its standard error.

    Rows that share a search are not independent. So the means over the searches of either side give the variance.
    """
    held = np.array([row[key] for row in rows], float)
    variance = 0.0
    for side in ("a", "b"):
        _, index = np.unique([row[side] for row in rows], return_inverse=True)
        means = np.bincount(index, held) / np.bincount(index)
        variance += means.var(ddof=1) / len(means)
    return held.mean(), float(np.sqrt(variance))


def _replicas(sizes: Sequence[int], budgets: Sequence[tuple[int, int]], count: int, of_truth: int) -> list[Any]:
    rows = []
    for trials, confirm in budgets:
        met: dict[int, list[dict[str, Any]]] = {}
        for images in sizes:
            rng = np.random.default_rng([images, trials])
            sides = [searches(Truth.of(arch, images), trials, confirm, count, of_truth, rng) for arch in ARCHITECTURES]
            for arch, side in zip(ARCHITECTURES, sides, strict=True):
                _say(arch, images, trials, side)
            for n_seeds in SEEDS:
                own = coverage(sides[0], sides[1], n_seeds, rng)
                met.setdefault(n_seeds, []).extend(
                    row | {"a": f"{images} {row['a']}", "b": f"{images} {row['b']}"} for row in own
                )
                rows.append(_row(trials, confirm, images, n_seeds, own))
        rows += [_row(trials, confirm, "all", n_seeds, own) for n_seeds, own in met.items()]
        _print([row for row in rows if row["trials"] == trials])
    return rows


def _say(arch: str, images: int, trials: int, side: Searched) -> None:
    variances = side.estimated**2
    print(
        f"{arch}, {images} images, {trials} trials: luck {100 * side.luck:.2f} points, estimated"
        f" {100 * np.sqrt(variances.mean()):.2f} (root mean square), its variance with"
        f" {2 * variances.mean() ** 2 / variances.var(ddof=1):.1f} degrees of freedom",
        flush=True,
    )


def _row(trials: int, confirm: int, images: int | str, n_seeds: int, met: list[dict[str, Any]]) -> dict[str, Any]:
    shares = {key: _share(met, key) for key in ("given", "over", "known")}
    return {
        "trials": trials,
        "confirm": confirm,
        "images": images,
        "seeds": n_seeds,
        "pairs": len(met),
        **{key: share for key, (share, _) in shares.items()},
        **{f"{key}_error": error for key, (_, error) in shares.items()},
        "wider": float(np.median([row["wide"] / row["narrow"] for row in met])),
    }


def _print(rows: Sequence[dict[str, Any]]) -> None:
    table = Table(title="How often an interval holds the difference, in percent, with one Monte-Carlo standard error")
    for heading in ("trials", "confirmed", "images", "seeds", "given both", "over searches", "luck known", "wider by"):
        table.add_column(heading, justify="right")
    for row in rows:
        shares = [f"{100 * row[key]:.1f} ± {100 * row[f'{key}_error']:.1f}" for key in ("given", "over", "known")]
        cells = [str(row[key]) for key in ("trials", "confirm", "images", "seeds")]
        table.add_row(*cells, *shares, f"{row['wider']:.2f}")
    Console(width=110).print(table)


def _real(sizes: Sequence[int], budgets: Sequence[tuple[int, int]], count: int, of_truth: int) -> list[Any]:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    rows = []
    for images in sizes:
        for arch in ARCHITECTURES:
            for trials, confirm in budgets:
                truth, rng = Truth.of(arch, images), np.random.default_rng(images)
                real, ours = (
                    real_luck(truth, trials, confirm, count, rng),
                    searches(truth, trials, confirm, 0, of_truth, rng),
                )
                error = real.std(ddof=1) / np.sqrt(2 * count - 2)
                found = {"real": real.std(ddof=1), "replica": ours.luck, "mean": real.mean(), "replica_mean": ours.mean}
                rows.append({"arch": arch, "images": images, "trials": trials, "searches": count, **found})
                print(
                    f"{arch}, {images} images, {trials} trials: luck of {count} real searches"
                    f" {100 * real.std(ddof=1):.2f} ± {100 * error:.2f} points, of the replica {100 * ours.luck:.2f};"
                    f" mean chosen {100 * real.mean():.1f} and {100 * ours.mean:.1f} %",
                    flush=True,
                )
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--searches", type=int, default=40, help="searches of each network with each budget")
    parser.add_argument("--real", action="store_true", help="play this project's own search")
    parser.add_argument("--quick", action="store_true", help="a short form: 12 searches of 8 trials, one set of curves")
    parser.add_argument("--json", type=user_path, help="write the rows there")
    options = parser.parse_args(arguments)
    sizes, budgets = list(RECORDED), list(REAL_BUDGETS if options.real else BUDGETS)
    count, of_truth = options.searches, SEARCHES_OF_TRUTH
    if options.quick:
        sizes, budgets, count, of_truth = sizes[:1], [BUDGETS[2]], 12, 100
    rows = (_real if options.real else _replicas)(sizes, budgets, count, of_truth)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
