"""A light replica of a whole search, played on many surfaces at once.

The replica begins with the same trials as the search, and then proposes the point with the largest expected improvement
by a Gaussian process, none too near to an earlier trial. It confirms the trials of the highest expected scores and
chooses the highest among them again, as the search does. It has no rungs, and its trials run one after the other.
"""

from dataclasses import dataclass

import numpy as np
from scipy import special

from analysis.statistics.search_luck.fits import Fits
from analysis.statistics.search_luck.places import Distances
from analysis.statistics.search_luck.surfaces import LEAST_TRIALS, Parameters, Prior, Surfaces

# Sets of parameters that the replica chooses from before each proposal; a power of 2.
PARAMETERS = 16
# The prior of Optuna's GPSampler, which proposes in the search, in the form of ours.
SAMPLER = Prior((0.37, 0.57), (1.3, 0.39), (0.16, 0.57))
# A proposal lies at least this far from every trial, as a share of the distance between as many evenly spread trials,
# and each confirmed trial has this many runs: as in the search that is replicated.
NEAREST = 0.25
CONFIRMATIONS = 2


@dataclass(frozen=True)
class Plan:
    """Describes the search that is replicated.

    Attributes:
        trials: number of trials.
        confirm: number of leading trials that are confirmed; with 0 or 1 the leader is chosen.
        starts: the points of the first trials, which every search begins with.
        numeric: number of hyperparameters that are numbers.
    """

    trials: int
    confirm: int
    starts: tuple[int, ...]
    numeric: int


@dataclass(frozen=True)
class Played:
    """Holds searches that were played.

    Attributes:
        tried: the points of the trials, int [searches, trials].
        scores: their scores, float64 [searches, trials].
        leaders: the points of the leading trials, int [searches, leaders].
        confirmed: the scores of their confirmation runs, float64 [runs, searches, leaders].
        chosen: the true score of the chosen configuration, float64 [searches].
    """

    tried: np.ndarray
    scores: np.ndarray
    leaders: np.ndarray
    confirmed: np.ndarray
    chosen: np.ndarray


class Replica:
    """Plays searches on a set of points.

    Args:
        plan: the search.
        between: squared distances between the points, [hyperparameters, points, points].
        rng: the source of chance.
    """

    def __init__(self, plan: Plan, between: Distances, rng: np.random.Generator) -> None:
        self._plan = plan
        self.rng = rng
        self._distances = np.sqrt(between.sum(axis=0))
        self._parameters = Parameters.drawn(SAMPLER, PARAMETERS, len(between), rng)
        self._covariance = self._parameters.covariance(between)

    def play(self, surfaces: Surfaces) -> "Played":
        """Play one search on each surface."""
        every = np.arange(len(surfaces.scores))
        leading = max(self._plan.confirm, 1)
        fits = Fits(self._parameters, self._covariance, len(every), self._plan.trials + CONFIRMATIONS * leading)
        scores = np.empty((len(every), 0))
        for number in range(self._plan.trials):
            if number < len(self._plan.starts):
                point = np.full(len(every), self._plan.starts[number])
            else:
                point = self._propose(fits, scores)
            fits.add(point)
            scores = np.column_stack([scores, self.run(surfaces, point[:, None])])
        tried, ends = fits.tried, scores
        ranks = self._expected(fits, scores, tried) if self._plan.trials >= LEAST_TRIALS else scores
        leaders = np.take_along_axis(tried, np.argsort(-ranks, axis=1, kind="stable"), axis=1)[:, :leading]
        confirmed = np.stack([self.run(surfaces, leaders) for _ in range(CONFIRMATIONS)])
        ranks = confirmed.mean(axis=0)
        if self._plan.trials >= LEAST_TRIALS:
            for run in confirmed:
                for leader, score in zip(leaders.T, run.T, strict=True):
                    fits.add(leader)
                    scores = np.column_stack([scores, score])
            ranks = self._expected(fits, scores, leaders)
        chosen = leaders[every, ranks.argmax(axis=1)]
        return Played(tried, ends, leaders, confirmed, surfaces.scores[every, chosen])

    def _expected(self, fits: Fits, scores: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Return the expected scores at some points of each search by its likeliest parameters, float64 as points."""
        told = _standardised(scores)
        mean, _ = fits.predict(fits.log_likelihood(told).argmax(axis=0), told)
        return np.take_along_axis(mean, points, axis=1)

    def run(self, surfaces: Surfaces, points: np.ndarray) -> np.ndarray:
        """Return the score of a run at some points of each surface, float64 [surfaces, points]."""
        noise = np.broadcast_to(surfaces.noise, surfaces.scores.shape)
        true, deviation = (np.take_along_axis(values, points, axis=1) for values in (surfaces.scores, noise))
        return np.asarray(true + deviation * self.rng.standard_normal(points.shape))

    def _propose(self, fits: Fits, scores: np.ndarray) -> np.ndarray:
        """Return the point of the next trial of each search, int [searches]."""
        told = _standardised(scores)
        fit = fits.log_likelihood(told)
        # Adding Gumbel noise draws a set of parameters by its posterior probability.
        mean, deviation = fits.predict((fit + self.rng.gumbel(size=fit.shape)).argmax(axis=0), told)
        above = (mean - told.max(axis=1, keepdims=True)) / deviation
        improvement = np.log(deviation) + _log_expected(above)
        # Each proposal is the best of a random half of the points, because two real searches never see the same points.
        seen = self.rng.random(improvement.shape) < 0.5
        point = np.where(seen, improvement, -np.inf).argmax(axis=1)
        spacing = fits.tried.shape[1] ** (-1 / max(self._plan.numeric, 1))
        apart = self._distances[fits.tried].min(axis=1) >= NEAREST * spacing
        chance = (apart * self.rng.random(apart.shape)).argmax(axis=1)
        return np.asarray(np.where(apart[np.arange(len(point)), point], point, chance))


def _standardised(scores: np.ndarray) -> np.ndarray:
    """Return the scores of each search with mean 0 and deviation 1."""
    deviations = np.maximum(scores.std(axis=1, keepdims=True), 1e-9)
    return np.asarray((scores - scores.mean(axis=1, keepdims=True)) / deviations)


def _log_expected(above: np.ndarray) -> np.ndarray:
    """Return the logarithm of the expected excess of a standard normal number over a bound, which lies below 0 by this.

    Args:
        above: the mean minus the bound, in standard deviations.
    """
    density = np.exp(-(above**2) / 2) / np.sqrt(2 * np.pi)
    # Far below the bound the two terms cancel; there the excess is nearly density / above^2.
    near = density + above * special.ndtr(above)
    far = -(above**2) / 2 - 0.5 * np.log(2 * np.pi) - 2 * np.log(np.maximum(-above, 1.0))
    return np.asarray(np.where(above > -5, np.log(np.maximum(near, 1e-300)), far))
