"""How often do the field's usual rules call one of two equal networks better?

    python -m benchmarks.field_rules

simulates studies of two networks, as benchmarks/calibration.py does, and applies to the runs of each study

    this project          the call of analysis.statistics.compare
    paired t over seeds   Student's t test of the differences in accuracy between runs of equal seeds, at 5 %
    Welch over seeds      Welch's t test of the accuracies, at 5 %
    bootstrap over seeds  the 95 % percentile interval of the mean difference over resampled seeds excludes 0
    almost stochastic,    almost stochastic order (Dror, Shlomov, Reichart, ACL 2019): the upper bound at 95 % of the
    0.5 or 0.2            violation ratio lies below 0.5, or below 0.2 as Ulmer et al. (2022) advise
    McNemar on one run    the exact test of the images on which the first runs of both networks disagree, at 5 %

All rules but the last see all runs. Rules over seeds take the test images as given, and McNemar's test takes the two
runs as given. A reader asks about fresh seeds and fresh images.
"""

import argparse
import json
import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import product

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy import stats

from analysis.paths import user_path
from analysis.statistics.calls import CONFIDENCE
from analysis.statistics.comparison import compare
from benchmarks.calibration import SETTINGS, Setting

ERROR = 1 - CONFIDENCE
CELLS = {setting.name: setting for setting in SETTINGS if isinstance(setting, Setting)}
CHOSEN = ("CIFAR-like", "small, 97.5 %", "seeds far apart")
SEEDS = (5, 10)
DIFFERENCES = (0.0, 0.01)
RESAMPLED = 2_000

# Takes the images that each network classifies rightly, bool [seeds, images], and returns 1 if it calls the first
# network better, -1 if the second, else 0.
Rule = Callable[[np.ndarray, np.ndarray, np.random.Generator], int]


def this_project(a: np.ndarray, b: np.ndarray, rng: np.random.Generator) -> int:
    return {"a": 1, "b": -1, None: 0}[compare(a, b).winner]


def paired_t(a: np.ndarray, b: np.ndarray, rng: np.random.Generator) -> int:
    differences = a.mean(axis=1) - b.mean(axis=1)
    return _called(float(stats.ttest_1samp(differences, 0.0).pvalue), float(differences.mean()))


def welch(a: np.ndarray, b: np.ndarray, rng: np.random.Generator) -> int:
    ours, theirs = a.mean(axis=1), b.mean(axis=1)
    p = float(stats.ttest_ind(ours, theirs, equal_var=False).pvalue)
    return _called(p, float(ours.mean() - theirs.mean()))


def bootstrap(a: np.ndarray, b: np.ndarray, rng: np.random.Generator) -> int:
    differences = a.mean(axis=1) - b.mean(axis=1)
    means = differences[rng.integers(0, len(differences), (RESAMPLED, len(differences)))].mean(axis=1)
    low, high = np.quantile(means, (ERROR / 2, 1 - ERROR / 2))
    return int(low > 0) - int(high < 0)


def almost_stochastic_order(a: np.ndarray, b: np.ndarray, rng: np.random.Generator, threshold: float) -> int:
    """Calls a network better if the other's quantiles exceed its own in a small part of their squared distance."""
    ours, theirs = a.mean(axis=1), b.mean(axis=1)
    seeds, root = len(ours), math.sqrt(len(ours) / 2)
    again = [scores[rng.integers(0, seeds, (RESAMPLED, seeds))] for scores in (ours, theirs)]
    violation, resampled = _violation(ours, theirs), _violation(*again)
    margin = stats.norm.ppf(CONFIDENCE) * float(np.std(root * (resampled - violation))) / root
    # The violation ratio of the other order is one minus this one.
    return int(violation + margin < threshold) - int(1 - violation + margin < threshold)


def _violation(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Return the share of the squared distance between sorted scores that speaks against `ours`; 0.5 if all tie."""
    distance = np.sort(ours, axis=-1) - np.sort(theirs, axis=-1)
    whole = (distance**2).sum(axis=-1)
    return np.where(whole > 0, (np.minimum(distance, 0) ** 2).sum(axis=-1) / np.where(whole > 0, whole, 1), 0.5)


def mcnemar(a: np.ndarray, b: np.ndarray, rng: np.random.Generator) -> int:
    for_a, for_b = int((a[0] & ~b[0]).sum()), int((b[0] & ~a[0]).sum())
    if not for_a + for_b:
        return 0
    return _called(float(stats.binomtest(for_a, for_a + for_b).pvalue), for_a - for_b)


RULES: dict[str, Rule] = {
    "this project": this_project,
    "paired t over seeds": paired_t,
    "Welch over seeds": welch,
    "bootstrap over seeds": bootstrap,
    "almost stochastic, 0.5": partial(almost_stochastic_order, threshold=0.5),
    "almost stochastic, 0.2": partial(almost_stochastic_order, threshold=0.2),
    "McNemar on one run": mcnemar,
}


def _called(p_value: float, difference: float) -> int:
    return int(np.sign(difference)) if p_value < ERROR else 0


def simulate(setting: Setting, seeds: int, difference: float, studies: int, number: int) -> dict[str, tuple[int, int]]:
    """Counts the calls of each rule that are right, and that are wrong; without a difference every call is wrong."""
    rng = np.random.default_rng((number, seeds))
    model = setting.model(difference)
    assert model is not None
    calls = {name: np.zeros(studies, int) for name in RULES}
    for study in range(studies):
        a, b = model.sample(seeds, setting.n_images, rng)
        for name, rule in RULES.items():
            calls[name][study] = rule(a, b, rng)
    right = {name: int((called > 0).sum()) if difference else 0 for name, called in calls.items()}
    return {name: (right[name], int((called != 0).sum()) - right[name]) for name, called in calls.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=1_000, help="simulated studies a cell (default: 1,000)")
    parser.add_argument("--quick", action="store_true", help="20 studies a cell")
    parser.add_argument("--json", type=user_path, help="write the rows there")
    options = parser.parse_args(arguments)
    studies = 20 if options.quick else options.studies
    cells = [(CELLS[name], seeds, difference) for name, seeds, difference in product(CHOSEN, SEEDS, DIFFERENCES)]
    rows = []
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        tasks = [pool.submit(simulate, *cell, studies, number) for number, cell in enumerate(cells)]
        for (setting, seeds, difference), task in zip(cells, tasks, strict=True):
            for rule, (right, wrong) in task.result().items():
                row = {"setting": setting.name, "seeds": seeds, "difference": difference, "rule": rule}
                rows.append(row | {"studies": studies, "right": right, "wrong": wrong})
    table = Table(title=f"Studies in which a network is called better, % (of {studies:,} studies)")
    for heading in ("setting", "seeds", "rule", "no difference: wrongly", "1 point: rightly", "1 point: wrongly"):
        table.add_column(heading)
    for name, seeds, rule in product(CHOSEN, SEEDS, RULES):
        key = {"setting": name, "seeds": seeds, "rule": rule}
        none, one = (row for row in rows if key.items() <= row.items())
        counts = (none["wrong"], one["right"], one["wrong"])
        table.add_row(name, str(seeds), rule, *(f"{100 * int(str(count)) / studies:.1f}" for count in counts))
    Console(width=120).print(table)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
