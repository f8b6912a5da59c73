"""Surfaces of the true score over the search space, smoothed over recorded learning curves.

A recorded configuration has the mean score of its runs, which are one as a rule. A thin-plate spline over the scores
stands for the true score of every configuration. Leave-one-out cross-validation chooses how smooth the spline is. The
noise of a run is the deviation of the nearest recorded scores from the spline, so it differs over the search space.
Neither the spline nor the noise is what `analysis.statistics.search_luck` assumes.

Low scores are compressed before, because a spline cannot follow the cliff at which a network stops learning. Its misfit
would count as noise there, and simulated runs would score far above the best recorded run.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.interpolate import RBFInterpolator

from analysis.results.study_json import Range
from analysis.statistics.search_luck.places import Places
from analysis.statistics.search_luck.surfaces import Compression
from benchmarks.spaces import baseline_of, space_of
from models.networks.hyperparameters import Value
from study.settings.search_space import SEARCH_SPACE, SearchSpace

# The curves of one seed, in the space of two hyperparameters, by their number of training images.
RECORDED = {600: "curves-600.csv", 1_800: "curves.csv", 4_500: "curves-4500.csv"}
NEIGHBOURS = 12
SPACE = {name: Range.model_validate(one) for name, one in SEARCH_SPACE.to_json().items()}
PLACES = Places(SPACE)


@dataclass(frozen=True)
class Truth:
    """Gives the true score of any configuration of one network, and the noise of one run.

    Attributes:
        arch: the network.
        space: the search space of the curves.
        places: places of the recorded configurations, float64 [configurations, hyperparameters].
        residuals: their scores minus the surface, without the bias of the fit, float64 [configurations].
        spline: returns the true scores at some places, compressed.
        compression: stretches them.
    """

    arch: str
    space: SearchSpace
    places: np.ndarray
    residuals: np.ndarray
    spline: RBFInterpolator
    compression: Compression

    @classmethod
    def of(cls, arch: str, images: int) -> "Truth":
        """Smooth the curves of a network that were recorded with this many training images."""
        return cls.smooth(pd.read_csv(Path(__file__).with_name(RECORDED[images])), arch)

    @classmethod
    def smooth(cls, table: pd.DataFrame, arch: str) -> "Truth":
        """Smooth the curves of a network in a table with the columns that `benchmarks.replay.Recorded` takes."""
        space = space_of(table.columns)
        names = list(space.ranges)
        runs = table[table.arch == arch].assign(run=table.get("run", 0))
        ends = runs.loc[runs.groupby([*names, "run"]).val_loss.idxmin()]
        kept = ends.groupby(names, as_index=False).val_accuracy.mean()
        compression = Compression.of(kept.val_accuracy.to_numpy())
        places = Places.described(space.to_json()).of([dict(row) for _, row in kept[names].iterrows()])
        scores = compression.compress(kept.val_accuracy.to_numpy())
        fits = []
        for smoothing in 10.0 ** np.arange(-4, 2.1, 0.5):
            weights = RBFInterpolator(places, np.eye(len(scores)), smoothing=smoothing)(places)
            free = 1 - np.diag(weights)
            residuals = scores - weights @ scores
            fits.append((np.mean((residuals / free) ** 2), smoothing, residuals / np.sqrt(free)))
        _, smoothing, residuals = min(fits, key=lambda fit: fit[0])
        spline = RBFInterpolator(places, scores, smoothing=smoothing)
        return cls(arch, space, places, residuals, spline, compression)

    @property
    def baseline(self) -> dict[str, Value]:
        """Return the configuration that every search begins with."""
        return baseline_of(self.arch, self.space)

    def surface(self, places: np.ndarray) -> np.ndarray:
        """Return the true scores at some places, float64 [places]."""
        return self.compression.stretch(self.spline(places))

    def noise(self, places: np.ndarray) -> np.ndarray:
        """Return the deviation of one run's score at some places, float64 [places]."""
        likeness = Places.described(self.space.to_json())
        nearest = np.argsort(likeness.distances(places, self.places).sum(axis=0), axis=1)[:, :NEIGHBOURS]
        return np.asarray(np.sqrt(np.mean(self.residuals[nearest] ** 2, axis=1)))
