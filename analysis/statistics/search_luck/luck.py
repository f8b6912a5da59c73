"""Estimates the luck of a network's search from that search alone, by searches on an emulator of the network.

A Gaussian process is fitted to the scores. On each of several surfaces drawn from its posterior, a replica of the whole
search is played twice, with fresh noise. If x1 and x2 are the two chosen configurations and f is the surface, then

    tau^2 = mean of (f(x1) - f(x2))^2 / 2

is the variance of the true score of a chosen configuration between searches. No network is trained.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from analysis.results.study_json import Dimension
from analysis.statistics.search_luck.places import Places
from analysis.statistics.search_luck.replica import Plan, Replica
from analysis.statistics.search_luck.surfaces import LEAST_TRIALS, Fit, Surfaces

SURFACES = 16
# Degrees of freedom of the estimated variance. Estimates from different searches of one network vary somewhat more, and
# with 4 the interval still holds the difference as often as it says (benchmarks/RESULTS.md). More surfaces would not
# help, because all come from one fit.
FREEDOM = 4
# Searches choose among this many points and the points of the first trials; a power of 2.
POINTS = 256
# At most this many trials are fitted and replicated, because the time grows faster than their number. Fewer trials have
# more luck, so a longer search is not made to look luckier than it is.
MOST_TRIALS = 64


@dataclass(frozen=True)
class Run:
    """Holds the score of one run of the search or its confirmation.

    Attributes:
        config: the value of each hyperparameter.
        score: validation accuracy, in [0, 1].
    """

    config: Mapping[str, Any]
    score: float


@dataclass(frozen=True)
class SearchRecord:
    """Holds the search of one network.

    Attributes:
        space: its search space, each hyperparameter as study.json describes it.
        trials: the trials that have a score, in their order.
        confirmations: the runs with a score that chose between the leading trials.
        planned: number of trials of the search, with those that have no score.
        confirm: number of trials that were confirmed.
        starts: number of first trials that every search begins with: the baseline and the fixed learning rates.
    """

    space: Mapping[str, Dimension]
    trials: Sequence[Run]
    confirmations: Sequence[Run]
    planned: int
    confirm: int
    starts: int = 1

    def suffices(self) -> bool:
        """Return whether there is enough to estimate the luck of the search."""
        return len(self.trials) >= LEAST_TRIALS and len(self.confirmations) > 0


def search_luck(record: SearchRecord) -> float:
    """Estimate the standard deviation of the true score of the chosen configuration between searches.

    Its square has about FREEDOM degrees of freedom. Equal records give equal numbers, because the scores are the seed.

    Args:
        record: a search with at least one scored trial. The estimate is of use if the record suffices.

    Returns:
        The deviation in fractions, such as 0.01 for 1 percentage point.
    """
    places = Places(record.space)
    if not len(places):
        return 0.0
    # The matrices are small, so further threads of BLAS would only wait for each other.
    with threadpool_limits(1):
        return _luck(record, places)


def fitted_runs(record: SearchRecord) -> tuple[list[Run], np.random.Generator]:
    """Return the runs that a Gaussian process is fitted to, and a source of chance that depends on their scores alone.

    These are at most MOST_TRIALS trials, evenly spaced, and then the confirmation runs.
    """
    kept = np.unique(np.linspace(0, len(record.trials) - 1, MOST_TRIALS).astype(int))
    runs = [*(record.trials[index] for index in kept), *record.confirmations]
    scores = np.array([run.score for run in runs], float)
    return runs, np.random.default_rng(np.frombuffer(scores.tobytes(), np.uint32))


def _luck(record: SearchRecord, places: Places) -> float:
    runs, rng = fitted_runs(record)
    scores = np.array([run.score for run in runs], float)
    told = places.of([run.config for run in runs])
    starts = min(record.starts, len(runs) - len(record.confirmations))
    points = np.concatenate([told[:starts], places.spread(POINTS, rng)])
    between = places.distances(points, points)
    surfaces = Fit.of(scores, places.distances(told, told), rng).draw(
        places.distances(points, told), between, SURFACES, rng
    )
    plan = Plan(min(record.planned, MOST_TRIALS), record.confirm, tuple(range(starts)), places.numeric)
    twice = Surfaces(np.tile(surfaces.scores, (2, 1)), np.tile(surfaces.noise, (2, 1)))
    first, second = np.split(Replica(plan, between, rng).play(twice).chosen, 2)
    return float(np.sqrt(np.mean((first - second) ** 2) / 2))
