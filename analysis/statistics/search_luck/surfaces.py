"""Surfaces of the true score over a search space, drawn from a Gaussian process that is fitted to a search.

The process has a Matern 5/2 kernel with one length scale for each hyperparameter, and noise (Rasmussen and Williams,
Gaussian Processes for Machine Learning, 2006, chapters 2, 4 and 5). Its parameters have weak priors. Each surface is
drawn with parameters that are drawn from their posterior, so a fit to few scores gives surfaces that differ much.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.stats import qmc

from analysis.statistics.search_luck.places import Distances

# At least 8 trials with a score, because fewer do not show if a surface is like the ones in benchmarks/RESULTS.md.
LEAST_TRIALS = 8
# A power of 2, because Sobol points are balanced then.
PARAMETERS = 512
# Added to the variance of each score, so that equal places have a covariance matrix that can be inverted.
JITTER = 1e-5
# A mean over the posterior leaves out sets of parameters that are less probable.
LIKELY = 1e-4
# Scores below the median are compressed on a scale of this many times the distance from the median to the best score.
COMPRESSION = 2.0


@dataclass(frozen=True)
class Prior:
    """Describes a weak prior of the parameters, for scores of deviation 1 on places in a unit cube.

    Attributes:
        length: median of a length scale, and the deviation of its logarithm.
        signal: the same of the deviation of the surface.
        noise: the same of the deviation of a run's score around the surface.
    """

    length: tuple[float, float]
    signal: tuple[float, float]
    noise: tuple[float, float]

    @classmethod
    def of_surfaces(cls, dimensions: int) -> "Prior":
        """Return the prior of the surfaces of networks.

        A length scale above 1 is a hyperparameter that hardly matters. The distance between two places grows with the
        root of the number of hyperparameters, and the length scale with it (Hvarfner et al., 2024).
        """
        return cls((0.7 * np.sqrt(dimensions), 1.2), (1.2, 0.5), (0.3, 1.0))


@dataclass(frozen=True)
class Compression:
    """Compresses scores below their median logarithmically, and stretches compressed scores again.

    Configurations that fail altogether would else decide the shape of the surface near the best ones.

    Attributes:
        median: scores from here on stay as they are.
        scale: a score this far below the median is compressed to log(2) times the distance.
    """

    median: float
    scale: float

    @classmethod
    def of(cls, scores: np.ndarray) -> "Compression":
        median = float(np.median(scores))
        return cls(median, max(COMPRESSION * (float(scores.max()) - median), 1e-6))

    def compress(self, scores: np.ndarray) -> np.ndarray:
        below = np.maximum(self.median - scores, 0) / self.scale
        return np.where(scores < self.median, self.median - self.scale * np.log1p(below), scores)

    def stretch(self, compressed: np.ndarray) -> np.ndarray:
        """Return the scores that were compressed. A score below 0 becomes 0."""
        most = np.log1p(self.median / self.scale)
        below = np.clip((self.median - compressed) / self.scale, 0, most)
        return np.where(compressed < self.median, self.median - self.scale * np.expm1(below), compressed)


@dataclass(frozen=True)
class Parameters:
    """Holds sets of parameters of a Gaussian process.

    Attributes:
        lengths: the length scale of each hyperparameter, float64 [sets, hyperparameters].
        signal: deviation of the surface, float64 [sets].
        noise: deviation of one run's score around the surface, float64 [sets].
    """

    lengths: np.ndarray
    signal: np.ndarray
    noise: np.ndarray

    @classmethod
    def drawn(cls, prior: Prior, count: int, dimensions: int, rng: np.random.Generator) -> "Parameters":
        """Draw sets of parameters from a prior; a count that is a power of 2."""
        # A point of the sequence may be 0, which would give a length of 0.
        normal = stats.norm.ppf(np.clip(qmc.Sobol(dimensions + 2, rng=rng).random(count), 1e-12, 1 - 1e-12))
        lengths, (signal, noise) = normal[:, :-2], normal[:, -2:].T
        parts = (prior.length, lengths), (prior.signal, signal), (prior.noise, noise)
        return cls(*(median * np.exp(deviation * part) for (median, deviation), part in parts))

    def __getitem__(self, chosen: np.ndarray | list[int]) -> "Parameters":
        return Parameters(self.lengths[chosen], self.signal[chosen], self.noise[chosen])

    def covariance(self, distances: Distances) -> np.ndarray:
        """Return the covariance of the surface between places, float64 [sets, a, b]."""
        scaled = np.sqrt(5 * np.tensordot(self.lengths**-2, distances, 1))
        return np.asarray(self.signal[:, None, None] ** 2 * (1 + scaled + scaled**2 / 3) * np.exp(-scaled))

    def variance(self) -> np.ndarray:
        """Return what the noise of one run adds to the diagonal of a covariance matrix, float64 [sets, 1]."""
        return self.noise[:, None] ** 2 + JITTER


def log_likelihood(covariance: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return the logarithm of the likelihood of scores, up to a constant.

    Args:
        covariance: the covariance of the scores with their noise, float64 [..., scores, scores].
        scores: with mean 0, float64 [..., scores].
    """
    root = np.linalg.cholesky(covariance)
    white = np.linalg.solve(root, scores[..., None])[..., 0]
    return np.asarray(-0.5 * np.sum(white**2, axis=-1) - np.sum(np.log(np.diagonal(root, axis1=-2, axis2=-1)), axis=-1))


@dataclass(frozen=True)
class Surfaces:
    """Holds surfaces on a set of points.

    Attributes:
        scores: the true score at each point, at least 0, float64 [surfaces, points].
        noise: deviation of one run's score around it, float64 [surfaces, points] or [surfaces, 1].
    """

    scores: np.ndarray
    noise: np.ndarray


@dataclass(frozen=True)
class Fit:
    """Holds the Gaussian process that is fitted to runs, for each set of parameters.

    Attributes:
        parameters: the sets of parameters.
        weights: posterior probability of each set, float64 [sets].
        noisy: covariance of the runs' scores with their noise, float64 [sets, runs, runs].
        told: the scores, compressed, with mean 0 and deviation 1, float64 [runs].
        compression: how they were compressed.
        centre: mean of the compressed scores.
        scale: deviation of the compressed scores.
    """

    parameters: Parameters
    weights: np.ndarray
    noisy: np.ndarray
    told: np.ndarray
    compression: Compression
    centre: float
    scale: float

    @classmethod
    def of(cls, scores: np.ndarray, among: Distances, rng: np.random.Generator, sets: int = PARAMETERS) -> "Fit":
        """Fit to runs.

        Args:
            scores: the score of each run of a trial and of its confirmation, in [0, 1], float64 [runs].
            among: squared distances between the runs, [hyperparameters, runs, runs].
            rng: the source of chance.
            sets: number of sets of parameters, a power of 2; by default 512.
        """
        compression = Compression.of(scores)
        compressed = compression.compress(scores)
        centre, scale = compressed.mean(), max(compressed.std(), 1e-9)
        told = (compressed - centre) / scale
        prior = Parameters.drawn(Prior.of_surfaces(len(among)), sets, len(among), rng)
        noisy = prior.covariance(among) + prior.variance()[:, :, None] * np.eye(len(told))
        fit = log_likelihood(noisy, told)
        weights = np.exp(fit - fit.max())
        return cls(prior, weights / weights.sum(), noisy, told, compression, centre, scale)

    def draw(self, across: Distances, between: Distances, count: int, rng: np.random.Generator) -> Surfaces:
        """Draw surfaces from the posterior.

        Args:
            across: squared distances from the points to the runs, [hyperparameters, points, runs].
            between: squared distances between the points, [hyperparameters, points, points].
            count: number of surfaces.
            rng: the source of chance.
        """
        # Systematic resampling: evenly spaced quantiles of the posterior of the parameters.
        quantiles = (np.arange(count) + rng.random()) / count
        chosen = np.searchsorted(np.cumsum(self.weights)[:-1], quantiles)
        drawn = []
        for index in chosen:
            one = self.parameters[[index]]
            towards = one.covariance(across)[0]
            gain = np.linalg.solve(self.noisy[index], towards.T)
            covariance = one.covariance(between)[0] - towards @ gain
            root = np.linalg.cholesky(covariance + JITTER * np.eye(len(covariance)))
            drawn.append(self.told @ gain + root @ rng.standard_normal(len(covariance)))
        scores = self.compression.stretch(self.centre + self.scale * np.array(drawn))
        return Surfaces(scores, self.scale * self.parameters.noise[chosen][:, None])

    def means(self, across: Distances) -> np.ndarray:
        """Return the mean of the surface over its posterior at some places, float64 [places].

        The mean is taken of compressed scores, and stretched.

        Args:
            across: squared distances from the places to the runs, [hyperparameters, places, runs].
        """
        likely = np.flatnonzero(self.weights > LIKELY)
        towards = self.parameters[likely].covariance(across)
        gain = np.linalg.solve(self.noisy[likely], np.broadcast_to(self.told, (len(likely), len(self.told)))[..., None])
        means = np.average((towards @ gain)[..., 0], axis=0, weights=self.weights[likely])
        return self.compression.stretch(self.centre + self.scale * means)
