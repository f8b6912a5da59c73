"""One architecture's Optuna study: where its next configuration comes from."""

import heapq
import math
from collections.abc import Iterator
from itertools import chain
from statistics import NormalDist

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial
from threadpoolctl import threadpool_limits
from torch.quasirandom import SobolEngine

from models.randomness import integer, stream
from study.search.ledger import Trial
from study.settings.config import STARTUP_TRIALS, SearchSpace

# A Gaussian process takes time that grows faster than the trials it is fitted to: of a long history it is shown the
# best and the newest.
HISTORY = 100
BEST = 25
# How near to another trial a proposal may lie: a share of the distance between as many trials that are spread evenly.
NEAREST = 0.25


def half_rank(scores: np.ndarray) -> np.ndarray:
    """Scores whose lower half lies as that of a normal distribution would, float64 [trials].

    Those from the median up stay as they are; those below it keep their order only, and the spread of the others. So
    a few very bad ones do not decide what a model makes of the good ones (Song et al., "The Vizier Gaussian Process
    Bandit Algorithm", 2024).

    Args:
        scores: finite, float [trials], at least one.
    """
    median = np.median(scores)
    above = scores[scores >= median]
    spread = np.sqrt(np.mean((above - median) ** 2)) or np.std(scores)
    quantile = [np.mean(scores < score) + np.mean(scores == score) / 2 for score in scores]
    drawn_in = [median + spread * NormalDist().inv_cdf(share) for share in quantile]
    return np.where(scores < median, drawn_in, scores)


class Sampler:
    """Suggests configurations: spread out at first, then where a Gaussian process expects an improvement.

    The first are points of a scrambled Sobol sequence (Owen, 1998), uniform in dropout and in the logarithm of the
    learning rate. From then on Optuna's GPSampler is fitted to the scores of all ended trials, warped by
    `half_rank`, with the trials that are running taken into account. Where it proposes what all but repeats a trial,
    which would buy another draw of chance, the next point of the sequence takes its place.

    What is suggested for trial n is a function of the study's seed, n, and what is known of the other trials, so
    a sampler rebuilt from a ledger goes on as it would have.

    Args:
        arch: name of the architecture, and of its Optuna study.
        space: ranges to sample from.
        seed: the study's seed.
        startup_trials: how many have to end with a score before the Gaussian process is asked.
    """

    warp = staticmethod(half_rank)

    def __init__(self, arch: str, space: SearchSpace, seed: int, startup_trials: int = STARTUP_TRIALS) -> None:
        self.study = optuna.create_study(study_name=arch, direction="maximize")
        self._space = space
        self._seed = seed
        self._startup_trials = startup_trials
        self._configs: dict[int, dict[str, float]] = {}
        self._places: list[tuple[float, float]] = []
        self._running: dict[int, optuna.Trial] = {}
        self._scores: dict[int, float] = {}
        self._distributions: dict[str, BaseDistribution] = {
            "lr": FloatDistribution(*space.lr, log=True),
            "dropout": FloatDistribution(*space.dropout),
        }

    def suggest(self, number: int) -> tuple[float, float]:
        """Learning rate and dropout for the trial of this number, which counts as running from now on."""
        candidates = self._spread_out(number)
        if len(self._scores) >= self._startup_trials:
            candidates = filter(self._is_apart, chain([self._improve(number)], candidates))
        lr, dropout = next(candidates)
        self._take_up(number, lr, dropout)
        return lr, dropout

    def begin(self, trial: Trial) -> None:
        """Takes up a trial whose configuration is given."""
        self._take_up(trial.number, trial.lr, trial.dropout)

    def end(self, trial: Trial) -> None:
        """Tells Optuna how a trial ended.

        One that ended by itself is COMPLETE with its score; one that a rung stopped is PRUNED with its score
        after each epoch; one that diverged is PRUNED without scores; one that failed is FAIL. For the Gaussian
        process a trial has the last of its scores, none if it failed, and 0 if it diverged.
        """
        running = self._running.pop(trial.number)
        scores = trial.scores()
        if trial.status != "DIVERGED":
            for epoch, score in enumerate(scores, start=1):
                running.report(score, epoch)
        if trial.status == "FAILED":
            self.study.tell(running, state=TrialState.FAIL)
            return
        self._scores[trial.number] = 0.0 if trial.status == "DIVERGED" else scores[-1]
        if trial.status in ("COMPLETE", "STOPPED_EARLY"):
            self.study.tell(running, scores[-1])
        else:
            self.study.tell(running, state=TrialState.PRUNED)

    def _take_up(self, number: int, lr: float, dropout: float) -> None:
        self._configs[number] = {"lr": lr, "dropout": dropout}
        self._places.append(self._space.place(lr, dropout))
        self.study.enqueue_trial(self._configs[number])
        self._running[number] = self.study.ask(self._distributions)

    def _spread_out(self, number: int) -> Iterator[tuple[float, float]]:
        """The points of the sequence, from that of this number on."""
        seed = integer(stream(self._seed, "sampler", self.study.study_name, "spread out"))
        sequence = SobolEngine(dimension=2, scramble=True, seed=seed).fast_forward(number)
        while True:
            yield self._space.at(*sequence.draw(1)[0].tolist())

    def _is_apart(self, config: tuple[float, float]) -> bool:
        # Around all trials together this leaves four fifths of the square, so that a point of it is always found.
        place = self._space.place(*config)
        nearest = min(math.dist(place, other) for other in self._places)
        return nearest >= NEAREST / math.sqrt(len(self._places))

    def _improve(self, number: int) -> tuple[float, float]:
        """Asks the Gaussian process, by way of a study in which every ended trial is complete with its warped score."""
        seed = integer(stream(self._seed, "sampler", self.study.study_name, number))
        sampler = optuna.samplers.GPSampler(seed=seed, n_startup_trials=1)
        shown = self._shown()
        warped = self.warp(np.array([self._scores[number] for number in shown]))
        study = optuna.create_study(direction="maximize", sampler=sampler)
        study.add_trials([self._as_told(number, value) for number, value in zip(shown, warped.tolist(), strict=True)])
        study.add_trials([self._as_told(number) for number in sorted(self._running)])
        # Of matrices this small further threads only spin, on processors that are training.
        with threadpool_limits(1):
            params = study.ask(self._distributions).params
        return params["lr"], params["dropout"]

    def _shown(self) -> list[int]:
        """The trials with the highest scores and the newest, in order; all if they are not many."""
        best = heapq.nlargest(BEST, self._scores, key=lambda number: (self._scores[number], number))
        newest = heapq.nlargest(HISTORY - BEST, self._scores)
        return sorted({*best, *newest})

    def _as_told(self, number: int, value: float | None = None) -> FrozenTrial:
        return create_trial(
            state=TrialState.RUNNING if value is None else TrialState.COMPLETE,
            params=self._configs[number],
            distributions=self._distributions,
            value=value,
        )
