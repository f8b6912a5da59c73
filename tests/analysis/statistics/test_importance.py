"""The importance of hyperparameters, with intervals that hold the importance in known functions."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from analysis.results.study_json import Choices, Dimension, Range
from analysis.statistics.importance import LEAST_TRIALS, importance
from analysis.statistics.search_luck.luck import Run, SearchRecord

SPACE: dict[str, Dimension] = {
    "lr": Range(low=1e-4, high=1e-2, log=True),
    "dropout": Range(low=0.0, high=0.8, log=False),
    "norm": Choices(choices=["None", "batch"]),
}
FIXED: dict[str, Dimension] = {**SPACE, "momentum": Range(low=0.9, high=0.9, log=False)}


def score(config: Mapping[str, Any]) -> float:
    """Return a score whose variances over the space are 1 / 12, 1 / 48 and 1 / 16 of the square of 0.2."""
    rate = (np.log10(config["lr"]) + 4) / 2
    interaction = 0.4 * (rate - 0.5) * (config["dropout"] / 0.8 - 0.5)
    return float(0.5 + 0.2 * (rate + 0.5 * config["dropout"] / 0.8 + 0.5 * (config["norm"] == "batch") + interaction))


# The interaction has no part in them.
TRUE = {"lr": 0.5, "dropout": 0.125, "norm": 0.375}


def record(trials: int, noise: float = 0.01, seed: int = 0, space: dict[str, Dimension] = SPACE) -> SearchRecord:
    rng = np.random.default_rng(seed)
    configs = [
        {
            "lr": float(10 ** rng.uniform(-4, -2)),
            "dropout": float(rng.uniform(0, 0.8)),
            "norm": str(rng.choice(["None", "batch"])),
            "momentum": 0.9,
        }
        for _ in range(trials)
    ]
    runs = [Run(config, score(config) + noise * rng.standard_normal()) for config in configs]
    return SearchRecord(space, runs, [], trials, 0)


def holds(trials: int, seed: int) -> list[bool]:
    """Return, for each hyperparameter, whether the interval from one search holds the true importance."""
    shares = importance(record(trials, seed=seed)).shares
    return [shares[name].low <= true <= shares[name].high for name, true in TRUE.items()]


def test_intervals_hold_the_true_importance_and_shrink_with_trials() -> None:
    few, many = (importance(record(trials)) for trials in (LEAST_TRIALS, 64))
    assert (many.trials, many.reason) == (64, "")
    for name, true in TRUE.items():
        assert many.shares[name].low < true < many.shares[name].high
        assert many.shares[name].share == pytest.approx(true, abs=0.1)
        widths = [found.shares[name].high - found.shares[name].low for found in (few, many)]
        assert widths[1] < widths[0]
    assert importance(record(64)) == many, "the same each time"


@pytest.mark.slow
def test_intervals_hold_the_true_importance_in_19_of_20_searches() -> None:
    held = [holds(trials, seed) for trials in (16, 32) for seed in range(20)]
    # A standard error of the share is at most 0.03.
    assert np.mean(held) > 0.88


def test_noise_alone_decides_nothing() -> None:
    noisy = importance(record(32, noise=1.0)).shares
    assert all(share.high - share.low > 0.5 for share in noisy.values())


def test_a_hyperparameter_that_cannot_vary_has_no_importance() -> None:
    assert list(importance(record(LEAST_TRIALS, space=FIXED)).shares) == list(SPACE)
    alone = {name: FIXED[name] for name in ("lr", "momentum")}
    assert importance(record(LEAST_TRIALS, space=alone)).shares["lr"].low == 1


def test_what_cannot_be_known_has_a_reason() -> None:
    few, flat = record(LEAST_TRIALS - 1), record(LEAST_TRIALS)
    flat = replace(flat, trials=[Run(run.config, 0.5) for run in flat.trials])
    nothing = record(LEAST_TRIALS, space={"momentum": FIXED["momentum"]})
    reasons = {
        "it takes at least 16 trials with a score": few,
        "all trials have the same score": flat,
        "no hyperparameter varies": nothing,
    }
    for reason, search in reasons.items():
        found = importance(search)
        assert (found.shares, found.reason, found.trials) == ({}, reason, len(search.trials))
