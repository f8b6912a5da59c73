"""The expected score of each configuration that a search has tried, over seeds.

The highest of many noisy scores is partly luck. The Gaussian process of `surfaces` knows how noisy a score is, and what
the scores of similar configurations say about it. Its mean is the expected score.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

from analysis.statistics.search_luck.luck import Run
from analysis.statistics.search_luck.places import Places
from analysis.statistics.search_luck.surfaces import LEAST_TRIALS, Fit

# At most this many runs are fitted, because the time grows faster than their number.
MOST_RUNS = 128

Trial = TypeVar("Trial", bound=Hashable)


def expected_scores(
    places: Places, trials: Mapping[Trial, Run], confirmed: Mapping[Trial, Sequence[float]]
) -> dict[Trial, float]:
    """Estimate the expected score of each trial, in [0, 1]. Equal scores, in any order, are the same seed.

    Args:
        places: the places of the search space.
        trials: the trials that trained to their ends, each with its score. If these and their confirmation runs are
            more than MOST_RUNS, the Gaussian process is fitted to those with the highest scores.
        confirmed: the scores of the confirmation runs of some of these trials.

    Returns:
        The expected score of each trial. Empty if there are fewer than LEAST_TRIALS or no hyperparameter varies: a
        Gaussian process would learn nothing.
    """
    if len(trials) < LEAST_TRIALS or not len(places):
        return {}
    runs = [*trials.values(), *(Run(trials[one].config, score) for one in confirmed for score in confirmed[one])]
    scores = np.array([run.score for run in runs], float)
    told = places.of([run.config for run in runs])
    fitted = np.sort(np.argsort(-scores, kind="stable")[:MOST_RUNS])
    rng = np.random.default_rng(np.frombuffer(np.sort(scores).tobytes(), np.uint32))
    # The matrices are small, so further threads of BLAS would only wait for each other.
    with threadpool_limits(1):
        fit = Fit.of(scores[fitted], places.distances(told[fitted], told[fitted]), rng)
        means = fit.means(places.distances(told[: len(trials)], told[fitted]))
    return dict(zip(trials, means.tolist(), strict=True))


def rank(places: Places, trials: Mapping[Trial, Run], confirmed: Mapping[Trial, Sequence[float]]) -> list[Trial]:
    """Rank trials by expected score, the highest first.

    If the expected scores are unknown, the mean of a trial's confirmation runs counts, or its own score if no trial has
    any. Ties go to the higher score of the search, then to the trial that is given first.

    Args:
        places: the places of the search space.
        trials: the trials that trained to their ends, each with its score.
        confirmed: the scores of the confirmation runs of some of these trials.
    """
    expected = expected_scores(places, trials, confirmed)
    expected = expected or {one: float(np.mean(confirmed.get(one, [0.0]))) for one in trials}
    return sorted(trials, key=lambda one: (-expected[one], -trials[one].score))
