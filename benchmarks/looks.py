"""How often is the verdict wrong if a study chooses its number of seeds, and how many seeds does it train?

    python -m benchmarks.looks

simulates studies of two networks, as benchmarks/calibration.py does, and lets each end by several rules: a number of
seeds fixed beforehand, the looks of `--seeds auto`, and seeds that are added until the call is better or equivalent.
All rules see the same runs of a study.
"""

import argparse
import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import cache

import numpy as np
from rich.console import Console
from rich.table import Table

from analysis.paths import user_path
from analysis.statistics.calls import CONFIDENCE, LOOKS
from analysis.statistics.comparison import Comparison, compare
from benchmarks.calibration import SETTINGS, ProbitModel, Setting, rate

ERROR = 1 - CONFIDENCE
MOST_SEEDS = max(LOOKS)
# The numbers of seeds at which a study may end, each with the error that its comparison may make.
RULES: dict[str, Mapping[int, float]] = {
    **{f"{seeds} seeds": {seeds: ERROR} for seeds in LOOKS},
    "--seeds auto": LOOKS,
    "added until decided": dict.fromkeys(LOOKS, ERROR),
}
STUDIES, STUDIES_A_TASK = 1_000, 100
_KNOWN = {setting.name: setting for setting in SETTINGS if isinstance(setting, Setting)}
# The settings with their true differences. Networks that are hardly alike are never called equivalent with 10,000
# images, so the last setting has networks that differ little from image to image.
CELLS: dict[Setting, tuple[float, ...]] = {
    _KNOWN["seeds far apart"]: (0.0, 0.02, 0.04),
    _KNOWN["CIFAR-like"]: (0.0, 0.01),
    replace(_KNOWN["CIFAR-like"], name="alike on images", image_sd=0.08): (0.0, 0.005),
}


@dataclass(frozen=True)
class Tally:
    """Counts the outcomes of simulated studies that end by one rule, and their seeds."""

    studies: int = 0
    right: int = 0
    wrong: int = 0
    equivalent: int = 0
    covered: int = 0
    seeds: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(*(a + b for a, b in zip(asdict(self).values(), asdict(other).values(), strict=True)))


def end(rule: Mapping[int, float], compared: Callable[[int, float], Comparison]) -> tuple[int, Comparison]:
    """Return the number of seeds at which a study ends, and its comparison there.

    Args:
        rule: the numbers of seeds at which the study may end, each with the error of its comparison.
        compared: returns the comparison of the first runs, of a number of seeds and a confidence.
    """
    for seeds, error in rule.items():
        comparison = compared(seeds, 1 - error)
        if comparison.call != "not shown":
            break
    return seeds, comparison


def simulate(setting: Setting, difference: float, studies: int, seed: Sequence[int]) -> dict[str, Tally]:
    """Count calls, and intervals that hold the truth, by rule. If nothing differs, every "better" is wrong."""
    rng = np.random.default_rng(seed)
    model = ProbitModel.of(setting, difference)
    tallies = dict.fromkeys(RULES, Tally())
    for _ in range(studies):
        a, b = model.sample(MOST_SEEDS, setting.n_images, rng)

        @cache
        def compared(seeds: int, confidence: float, a: np.ndarray = a, b: np.ndarray = b) -> Comparison:
            return compare(a[:seeds], b[:seeds], confidence=confidence)

        for name, rule in RULES.items():
            seeds, found = end(rule, compared)
            tallies[name] += Tally(
                studies=1,
                right=int(difference > 0 and found.winner == "a"),
                wrong=int(found.winner == "b" or (difference == 0 and found.winner == "a")),
                equivalent=int(found.call == "equivalent"),
                covered=int(found.ci95[0] <= difference <= found.ci95[1]),
                seeds=seeds,
            )
    return tallies


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=STUDIES, help="simulated studies a cell (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="a short form: 20 studies a cell")
    parser.add_argument("--json", type=user_path, help="write the rows there")
    options = parser.parse_args(arguments)
    studies = 20 if options.quick else options.studies
    cells = [(setting, difference) for setting, differences in CELLS.items() for difference in differences]
    rows = []
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        tasks = {
            cell: [
                pool.submit(simulate, *cell, min(STUDIES_A_TASK, studies - start), (number, start))
                for start in range(0, studies, STUDIES_A_TASK)
            ]
            for number, cell in enumerate(cells)
        }
        for (setting, difference), parts in tasks.items():
            counted = [part.result() for part in parts]
            for name in RULES:
                tally = sum((part[name] for part in counted), Tally())
                rows.append({"setting": setting.name, "difference": difference, "rule": name, **asdict(tally)})
    _print(rows)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2))
    return 0


def _print(rows: list[dict[str, object]]) -> None:
    table = Table(title="In percent, with one Monte-Carlo standard error")
    for heading in ("setting", "true difference", "rule"):
        table.add_column(heading)
    columns = {
        "right": "better, rightly",
        "wrong": "better, wrongly",
        "equivalent": "equivalent",
        "covered": "interval of the difference holds it",
    }
    for heading in (*columns.values(), "mean seeds"):
        table.add_column(heading, justify="right")
    for row in rows:
        difference, total = f"{100 * float(str(row['difference'])):g}", int(str(row["studies"]))
        rates = [rate(int(str(row[key])), total) for key in columns]
        table.add_row(
            str(row["setting"]), difference, str(row["rule"]), *rates, f"{int(str(row['seeds'])) / total:.1f}"
        )
    Console(width=140).print(table)


if __name__ == "__main__":
    raise SystemExit(main())
