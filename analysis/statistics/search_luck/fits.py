"""Gaussian processes of many searches at once, which grow by one trial at a time.

The inverse of the Cholesky factor of a covariance matrix gets one row more with each trial. So a search of n trials
costs about n^3 operations. It would cost n^4 if each fit began anew.
"""

import numpy as np

from analysis.statistics.search_luck.surfaces import Parameters


class Fits:
    """Holds a Gaussian process for each search and each set of parameters.

    Args:
        parameters: the sets of parameters.
        covariance: covariance between all points, float64 [sets, points, points].
        searches: number of searches.
        trials: the most trials of a search.

    Attributes:
        tried: the points of the trials so far, int [searches, trials].
    """

    def __init__(self, parameters: Parameters, covariance: np.ndarray, searches: int, trials: int) -> None:
        self.tried = np.empty((searches, 0), int)
        self._parameters = parameters
        self._covariance = covariance
        n_sets = len(covariance)
        # Inverse of the lower Cholesky factor L of the covariance of the scores.
        self._inverse = np.zeros((n_sets, searches, trials, trials))
        self._log_pivots = np.zeros((n_sets, searches))

    def add(self, point: np.ndarray) -> None:
        """Add a trial to each search.

        Args:
            point: its point, int [searches].
        """
        count = self.tried.shape[1]
        earlier = self._inverse[:, :, :count, :count]
        towards = self._covariance[:, point[:, None], self.tried]
        row = np.matmul(earlier, towards[..., None])
        alone = self._covariance[:, point, point] + self._parameters.variance()
        pivot = np.sqrt(np.maximum(alone - np.sum(row[..., 0] ** 2, axis=-1), 1e-12))
        self._inverse[:, :, count, :count] = -np.matmul(row.swapaxes(-1, -2), earlier)[..., 0, :] / pivot[..., None]
        self._inverse[:, :, count, count] = 1 / pivot
        self._log_pivots += np.log(pivot)
        self.tried = np.column_stack([self.tried, point])

    def log_likelihood(self, told: np.ndarray) -> np.ndarray:
        """Return the logarithm of the likelihood of scores, up to a constant, float64 [sets, searches].

        Args:
            told: the scores of each search, with mean 0 and deviation 1, float64 [searches, trials].
        """
        count = self.tried.shape[1]
        white = np.matmul(self._inverse[:, :, :count, :count], told[..., None])[..., 0]
        return np.asarray(-0.5 * np.sum(white**2, axis=-1) - self._log_pivots)

    def predict(self, chosen: np.ndarray, told: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the mean and the deviation of the surface at every point, each float64 [searches, points].

        Args:
            chosen: the set of parameters of each search, int [searches].
            told: the scores, as `log_likelihood` takes them.
        """
        count = self.tried.shape[1]
        inverse = self._inverse[chosen, np.arange(len(chosen)), :count, :count]
        points = np.arange(self._covariance.shape[1])
        half = np.matmul(inverse, self._covariance[chosen[:, None, None], self.tried[:, :, None], points])
        mean = np.matmul(np.matmul(inverse, told[..., None]).swapaxes(-1, -2), half)[:, 0]
        variance = self._parameters.signal[chosen, None] ** 2 - np.sum(half**2, axis=1)
        return mean, np.sqrt(np.maximum(variance, 1e-12))
