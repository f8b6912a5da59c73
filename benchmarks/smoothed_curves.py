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
from models.networks.registry import ARCHITECTURES
from models.training.recipe import BASELINE_LEARNING_RATE
from study.settings.search_space import SEARCH_SPACE

# Training images of the curves, by file.
RECORDED = {600: "curves-600.csv", 1_800: "curves.csv", 4_500: "curves-4500.csv"}
NEIGHBOURS = 12
SPACE = {name: Range.model_validate(one) for name, one in SEARCH_SPACE.to_json().items()}
PLACES = Places(SPACE)


@dataclass(frozen=True)
class Truth:
    """Gives the true score of any configuration of one network, and the noise of one run.

    Attributes:
        places: places of the recorded configurations, float64 [configurations, 2].
        residuals: their scores minus the surface, without the bias of the fit, float64 [configurations].
        spline: returns the true scores at some places, compressed.
        compression: stretches them.
    """

    arch: str
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
        runs = table[table.arch == arch].assign(run=table.get("run", 0))
        ends = runs.loc[runs.groupby(["lr", "dropout", "run"]).val_loss.idxmin()]
        kept = ends.groupby(["lr", "dropout"], as_index=False).val_accuracy.mean()
        configs = [{"lr": lr, "dropout": dropout} for lr, dropout in zip(kept.lr, kept.dropout, strict=True)]
        compression = Compression.of(kept.val_accuracy.to_numpy())
        places, scores = PLACES.of(configs), compression.compress(kept.val_accuracy.to_numpy())
        fits = []
        for smoothing in 10.0 ** np.arange(-4, 2.1, 0.5):
            weights = RBFInterpolator(places, np.eye(len(scores)), smoothing=smoothing)(places)
            free = 1 - np.diag(weights)
            residuals = scores - weights @ scores
            fits.append((np.mean((residuals / free) ** 2), smoothing, residuals / np.sqrt(free)))
        _, smoothing, residuals = min(fits, key=lambda fit: fit[0])
        spline = RBFInterpolator(places, scores, smoothing=smoothing)
        return cls(arch, places, residuals, spline, compression)

    @property
    def baseline(self) -> dict[str, float]:
        """Return the configuration that every search begins with."""
        return {"lr": BASELINE_LEARNING_RATE, "dropout": float(ARCHITECTURES[self.arch].baseline["dropout"])}

    def surface(self, places: np.ndarray) -> np.ndarray:
        """Return the true scores at some places, float64 [places]."""
        return self.compression.stretch(self.spline(places))

    def noise(self, places: np.ndarray) -> np.ndarray:
        """Return the deviation of one run's score at some places, float64 [places]."""
        nearest = np.argsort(PLACES.distances(places, self.places).sum(axis=0), axis=1)[:, :NEIGHBOURS]
        return np.asarray(np.sqrt(np.mean(self.residuals[nearest] ** 2, axis=1)))
