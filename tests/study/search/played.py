"""A search without Ray: a small loop reports made-up learning curves, one epoch of each running trial in turn."""

import math
from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np

from models.training.history import EpochResult, outcome_of
from study.search.ledger import Ledger
from study.search.search import Search
from study.search.trial import Trial
from study.settings.config import StudyConfig
from study.settings.networks import baseline_of, space_of
from study.settings.search_space import Rungs
from tests.builders import epoch

ARCHS = ("alexnet", "mobilenet")
Curve = Callable[[Trial, int], EpochResult]
# So early that short searches have some.
EARLY = Rungs(grace_period=2, grace_share=1.0, reduction_factor=3, tolerance=0.0)
# No model is asked, which takes a tenth of a second each time.
STARTUP = 100


def make_config(
    trials: int = 4, max_epochs: int = 9, archs: tuple[str, ...] = ARCHS, first_lrs: tuple[float, ...] = ()
) -> StudyConfig:
    return StudyConfig(trials=trials, max_epochs=max_epochs, archs=archs, first_lrs=first_lrs)


def open_search(
    path: Path,
    config: StudyConfig,
    rungs: Rungs = EARLY,
    steps_per_epoch: float = math.inf,
    startup_trials: int = STARTUP,
) -> Search:
    baselines = {arch: baseline_of(config, arch) for arch in config.archs}
    spaces = {arch: space_of(config, arch) for arch in config.archs}
    return Search(config, baselines, Ledger(path / "journal.jsonl"), rungs, startup_trials, steps_per_epoch, spaces)


def flat(score: float) -> Curve:
    """A loss that falls for ever, and one score."""
    return lambda trial, number: epoch(number, 1 / number, score)


def varied(trial: Trial, number: int) -> EpochResult:
    """Scores that depend on the configuration; some trials run out of patience, some diverge, at once or later."""
    score = 0.9 - 0.1 * abs(np.log10(trial.values["lr"]) + 3) - 0.1 * trial.values["dropout"]
    match trial.number % 6:
        case 2:
            return epoch(number, 1 / min(number, 2) + 0.01 * number, 0.97)
        case 4:
            return epoch(number, float("nan") if number == 3 else 1 / number, 0.98)
        case 5:
            return epoch(number, float("inf"), score) if trial.arch == "alexnet" else epoch(number, 1 / number, 0.1)
    return epoch(number, 1 / number, score + 0.01 * number)


def play(
    search: Search,
    curve: Curve,
    concurrency: int = 1,
    failing: Collection[str] = (),
    order: list[str] | None = None,
    steps_per_epoch: float = math.inf,
) -> None:
    """Does what the driver and its workers do. A failing trial fails for good after its first epoch."""
    running: dict[str, tuple[Trial, int]] = {}
    while True:
        while len(running) < concurrency and (trial := search.next_trial()) is not None:
            # A worker that takes up a trial again reports its epochs from the first on.
            running[trial.trial_id] = trial, 0
            if order is not None:
                order.append(trial.trial_id)
        if not running:
            return
        for trial_id, (trial, number) in list(running.items()):
            stops = search.report(trial_id, curve(trial, number + 1))
            running[trial_id] = trial, number + 1
            results = [curve(trial, past) for past in range(1, number + 2)]
            failed = trial_id in failing
            if stops or failed or outcome_of(results, search.recipe(trial), steps_per_epoch):
                search.end(trial_id, failed=failed)
                del running[trial_id]
