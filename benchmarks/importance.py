"""How often does the interval of a hyperparameter's importance hold the true one?

    python -m benchmarks.importance

plays searches with the replica on known functions and on the smoothed curves of benchmarks/smoothed_curves.py, computes
the importance from each search, and prints how often its interval holds the importance of the true function. Optuna's
fANOVA of the same trials, a random forest without an interval, stands beside it.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from rich.console import Console
from rich.table import Table

from analysis.paths import user_path
from analysis.results.study_json import Choices, Dimension, Range
from analysis.statistics.importance import importance, main_effects
from analysis.statistics.search_luck.luck import Run, SearchRecord
from analysis.statistics.search_luck.places import Places
from analysis.statistics.search_luck.replica import Plan, Replica
from analysis.statistics.search_luck.surfaces import Surfaces
from benchmarks.smoothed_curves import SPACE, Truth
from models.networks.registry import ARCHITECTURES

TRIALS = (16, 32, 64)
CONFIRM, POINTS, NOISE = 3, 256, 0.012
# Training images of the recorded curves.
IMAGES = (600, 4_500)
FOUR: dict[str, Dimension] = {
    **SPACE,
    "weight_decay": Range(low=1e-6, high=1e-2, log=True),
    "norm": Choices(choices=["none", "batch"]),
}


@dataclass(frozen=True)
class Function:
    """Describes a true score over a search space: of places float64 [n, coordinates], as is the deviation of a run."""

    space: Mapping[str, Dimension]
    score: Callable[[np.ndarray], np.ndarray]
    noise: Callable[[np.ndarray], np.ndarray] = lambda places: np.full(len(places), NOISE)

    def true_importance(self) -> np.ndarray:
        """Return the importance of each hyperparameter, float64 [hyperparameters]."""
        places, levels, others = Places(self.space), 24, 256
        points = places.sweeps(levels, others, np.random.default_rng(0))
        return np.asarray(main_effects(self.score(points).reshape(1, len(places), levels, others))[0])

    def play(self, trials: int, count: int) -> list[SearchRecord]:
        """Play searches, each with trials at points that the space was sampled at."""
        rng, places = np.random.default_rng(trials), Places(self.space)
        configs = [_drawn(self.space, rng) for _ in range(POINTS)]
        points = places.of(configs)
        surfaces = Surfaces(np.tile(self.score(points), (count, 1)), self.noise(points)[None])
        replica = Replica(Plan(trials, CONFIRM, (0,), places.numeric), places.distances(points, points), rng)
        played = replica.play(surfaces)
        return [
            SearchRecord(
                self.space,
                [Run(configs[at], score) for at, score in zip(played.tried[one], played.scores[one], strict=True)],
                [Run(configs[at], again[one, rank]) for again in played.confirmed for rank, at in enumerate(leaders)],
                trials,
                CONFIRM,
            )
            for one, leaders in enumerate(played.leaders)
        ]


FUNCTIONS = {
    "two, 30 and 70 %": Function(SPACE, lambda at: 0.9 - 0.25 * (at[:, 0] - 0.6) ** 2 - 0.22 * (at[:, 1] - 0.25) ** 2),
    "two that interact": Function(
        SPACE, lambda at: 0.9 - 0.3 * (at[:, 0] - 0.3 - 0.5 * at[:, 1]) ** 2 - 0.05 * at[:, 1]
    ),
    "four": Function(
        FOUR,
        lambda at: (
            0.9 - 0.2 * (at[:, 0] - 0.6) ** 2 - 0.08 * (at[:, 1] - 0.3) ** 2 - 0.01 * at[:, 2] + 0.03 * (at[:, 3] > 0)
        ),
    ),
    **{
        f"{ARCHITECTURES[arch].title}, {images:,} images": Function(SPACE, truth.surface, truth.noise)
        for arch in ARCHITECTURES
        for images in IMAGES
        for truth in (Truth.of(arch, images),)
    },
}


def _drawn(space: Mapping[str, Dimension], rng: np.random.Generator) -> dict[str, Any]:
    """Draw a configuration evenly from the space."""
    drawn: dict[str, Any] = {}
    for name, one in space.items():
        if isinstance(one, Choices):
            drawn[name] = str(rng.choice(one.choices))
        else:
            low, high = (float(np.log(end) if one.log else end) for end in (one.low, one.high))
            value = rng.uniform(low, high)
            drawn[name] = float(np.exp(value) if one.log else value)
    return drawn


def forest(record: SearchRecord) -> np.ndarray:
    """Return Optuna's importance of each hyperparameter, float64 [hyperparameters]."""
    kinds: dict[str, BaseDistribution] = {
        name: CategoricalDistribution(one.choices)
        if isinstance(one, Choices)
        else FloatDistribution(one.low, one.high, log=one.log)
        for name, one in record.space.items()
    }
    study = optuna.create_study(direction="maximize")
    for run in record.trials:
        study.add_trial(optuna.create_trial(params=dict(run.config), distributions=kinds, value=run.score))
    shares = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))
    return np.array([shares[name] for name in record.space])


def measure(function: Function, trials: int, count: int) -> dict[str, float]:
    """Return how often intervals hold the true importance, their median width, and the errors of both estimates."""
    records, true = function.play(trials, count), function.true_importance()
    found = [list(importance(record).shares.values()) for record in records]
    shares = np.array([[(one.share, one.low, one.high) for one in row] for row in found])
    # The true importance is itself computed to about a thousandth.
    held = (shares[..., 1] - 1e-3 <= true) & (true <= shares[..., 2] + 1e-3)
    return {
        "held": float(held.mean()),
        "width": float(np.median(shares[..., 2] - shares[..., 1])),
        "error": float(np.sqrt(np.mean((shares[..., 0] - true) ** 2))),
        "forest_error": float(np.sqrt(np.mean((np.array([forest(record) for record in records]) - true) ** 2))),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--searches", type=int, default=20, help="searches of each function with each number of trials")
    parser.add_argument("--quick", action="store_true", help="a short form: 3 searches of 16 trials on two functions")
    parser.add_argument("--json", type=user_path, help="write the rows there")
    options = parser.parse_args(arguments)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    names, numbers, count = list(FUNCTIONS), list(TRIALS), options.searches
    if options.quick:
        names, numbers, count = names[1:3], list(TRIALS[:1]), 3
    table = Table(title=f"Shares in percent of {count} searches a row")
    for heading in ("function", "trials", "interval holds it", "median width", "error", "error of the forest"):
        table.add_column(heading, justify="right")
    rows: list[dict[str, Any]] = []
    for trials in numbers:
        for name in names:
            rows.append({"function": name, "trials": trials, **measure(FUNCTIONS[name], trials, count)})
            cells = [f"{100 * float(rows[-1][key]):.0f}" for key in ("held", "width", "error", "forest_error")]
            table.add_row(name, str(trials), *cells)
            print(*rows[-1].values(), flush=True)
    Console(width=110).print(table)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
