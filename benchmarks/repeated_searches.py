"""How often does the interval of `--searches K` hold the difference between two networks?

    python -m benchmarks.repeated_searches

plays searches of both documented networks as benchmarks/search_luck.py does, and draws K of each network without
replacement, again and again. Their configurations are trained over fresh seeds, and all are judged on the same fresh
test images. The interval is computed as `analysis.compare` does: the mean of a study is a row of the layout [studies,
images], and the variances of both networks between studies are added. So the searches show their luck themselves.
"""

import argparse
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from analysis.paths import user_path
from analysis.statistics.two_way_layout import TwoWayLayout
from benchmarks.search_luck import BUDGETS, IMAGE_SD, N_IMAGES, RESIDUAL_SD
from benchmarks.smoothed_curves import RECORDED, Truth
from benchmarks.surface_searches import Searched, searches
from models.networks.registry import ARCHITECTURES

SEARCHES = (2, 3, 5)
SEEDS = (5, 10)
PLAYED = 600
# Each search is drawn this many times, with other company.
DRAWS = 20


def intervals(a: Searched, b: Searched, count: int, n_seeds: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Return a row for each draw of `count` searches of both networks: if the interval holds, and its half-width."""
    truth, rows = a.mean - b.mean, []
    for _ in range(DRAWS):
        order_a, order_b = (rng.permutation(len(side.every)) for side in (a, b))
        for first in range(0, len(order_a) - count + 1, count):
            one, other = (order[first : first + count] for order in (order_a, order_b))
            studies = np.stack([_trained(side, drawn, n_seeds, rng) for side, drawn in ((a, one), (b, other))])
            layout = _layout(studies, n_seeds, rng)
            half_width = layout.half_width()
            rows.append({"half_width": half_width, "holds": abs(layout.mean - truth) <= half_width})
    return rows


def _trained(side: Searched, drawn: np.ndarray, n_seeds: int, rng: np.random.Generator) -> np.ndarray:
    """Draw the mean of each study's final runs, float64 [searches]. A network has half of the residual."""
    variance = (side.noise_of_every[drawn] ** 2 + RESIDUAL_SD**2 / 2 / N_IMAGES) / n_seeds
    means: np.ndarray = side.every[drawn] + np.sqrt(variance) * rng.standard_normal(len(drawn))
    return means


def _layout(means: np.ndarray, n_seeds: int, rng: np.random.Generator) -> TwoWayLayout:
    """Draw the difference on fresh test images, as the mean squares of [studies, images].

    Args:
        means: the mean of each study's final runs, [networks, studies].
        n_seeds: number of seeds of a study.
        rng: the source of chance.
    """
    count, residual = means.shape[1], RESIDUAL_SD**2 / n_seeds
    of_images = (count * IMAGE_SD**2 + residual) * rng.chisquare(N_IMAGES - 1) / (N_IMAGES - 1)
    mean = np.subtract(*means).mean() + IMAGE_SD / np.sqrt(N_IMAGES) * rng.standard_normal()
    variances = means.var(axis=1, ddof=1)
    df = (count - 1) * variances.sum() ** 2 / np.sum(variances**2)
    ms_studies = N_IMAGES * variances.sum()
    return TwoWayLayout(count, N_IMAGES, float(mean), float(ms_studies), of_images, residual, df_seed=float(df))


def _rows(sizes: Sequence[int], budgets: Sequence[tuple[int, int]], played: int) -> list[dict[str, Any]]:
    rows = []
    for trials, confirm in budgets:
        met: dict[tuple[int, int], list[dict[str, Any]]] = {}
        for images in sizes:
            rng = np.random.default_rng([images, trials])
            a, b = (searches(Truth.of(arch, images), trials, confirm, 0, played, rng) for arch in ARCHITECTURES)
            for count in SEARCHES:
                for n_seeds in SEEDS:
                    met.setdefault((count, n_seeds), []).extend(intervals(a, b, count, n_seeds, rng))
        for (count, n_seeds), drawn in met.items():
            share = float(np.mean([row["holds"] for row in drawn]))
            # Draws share searches, so only those that share none count as independent.
            error = float(np.sqrt(share * (1 - share) / (len(drawn) / DRAWS)))
            half_width = float(np.median([row["half_width"] for row in drawn]))
            told = {"trials": trials, "confirm": confirm, "searches": count, "seeds": n_seeds}
            rows.append({**told, "holds": share, "holds_error": error, "half_width": half_width})
    return rows


def _print(rows: Sequence[dict[str, Any]]) -> None:
    table = Table(title="How often the interval over K searches holds the difference, with a Monte-Carlo error")
    for heading in ("trials", "confirmed", "searches", "seeds", "holds, percent", "half-width, points"):
        table.add_column(heading, justify="right")
    for row in rows:
        share = f"{100 * row['holds']:.1f} ± {100 * row['holds_error']:.1f}"
        told = [str(row[key]) for key in ("trials", "confirm", "searches", "seeds")]
        table.add_row(*told, share, f"{100 * row['half_width']:.2f}")
    Console(width=100).print(table)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a short form: 50 searches of 8 trials, one set of curves")
    parser.add_argument("--json", type=user_path, help="write the rows there")
    options = parser.parse_args(arguments)
    rows = _rows([*RECORDED][:1], [BUDGETS[2]], 50) if options.quick else _rows([*RECORDED], BUDGETS, PLAYED)
    _print(rows)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
