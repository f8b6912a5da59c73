"""Plays many searches of a network on a surface of true scores, with the replica or with this project's own search."""

import math
from dataclasses import dataclass

import numpy as np

from analysis.statistics.search_luck.expected import rank
from analysis.statistics.search_luck.luck import Run, SearchRecord, search_luck
from analysis.statistics.search_luck.replica import CONFIRMATIONS, Plan, Played, Replica
from analysis.statistics.search_luck.surfaces import Surfaces
from benchmarks.smoothed_curves import PLACES, SPACE, Truth
from benchmarks.this_project import ThisProject
from models.training.history import EpochResult

POINTS = 512
# At most 25 searches see the same points, so that the truth does not depend on them.
TOGETHER = 25


@dataclass(frozen=True)
class Searched:
    """Holds the searches of one network with one budget.

    Attributes:
        every: true score of the configuration that each search chose, float64 [searches].
        noise_of_every: deviation between the runs of each of these, float64 [searches].
        chosen: true score of the searches whose luck is estimated, float64 [searches].
        noise: deviation between the runs of each of these, float64 [searches].
        estimated: their estimated luck, float64 [searches].
    """

    every: np.ndarray
    noise_of_every: np.ndarray
    chosen: np.ndarray
    noise: np.ndarray
    estimated: np.ndarray

    @property
    def mean(self) -> float:
        """Return the mean true score of the chosen configurations."""
        return float(self.every.mean())

    @property
    def luck(self) -> float:
        """Return the standard deviation of the true score between searches."""
        return float(self.every.std(ddof=1))


def searches(truth: Truth, trials: int, confirm: int, count: int, of_truth: int, rng: np.random.Generator) -> Searched:
    """Play searches of one network, and estimate their luck from each.

    Args:
        truth: the network.
        trials: trials of a search.
        confirm: trials that it confirms.
        count: number of searches whose luck is estimated.
        of_truth: number of searches in all.
        rng: the source of chance.
    """
    every, noise_of_every, chosen, noise = [], [], [], []
    records: list[SearchRecord] = []
    batches = math.ceil(of_truth / TOGETHER)
    for _ in range(batches):
        points = np.concatenate([PLACES.of([truth.baseline]), PLACES.spread(POINTS, rng)])
        surfaces = Surfaces(np.tile(truth.surface(points), (TOGETHER, 1)), truth.noise(points)[None])
        played = Replica(Plan(trials, confirm, (0,), 2), PLACES.distances(points, points), rng).play(surfaces)
        own = played.chosen[: min(math.ceil(count / batches), count - len(records))]
        records += [_record(points, played, number, confirm) for number in range(len(own))]
        noise_of_every.append(surfaces.noise[0, np.abs(surfaces.scores[0] - played.chosen[:, None]).argmin(axis=1)])
        noise.append(noise_of_every[-1][: len(own)])
        chosen.append(own)
        every.append(played.chosen)
    estimated = np.array([search_luck(record) for record in records])
    return Searched(
        np.concatenate(every), np.concatenate(noise_of_every), np.concatenate(chosen), np.concatenate(noise), estimated
    )


def _record(points: np.ndarray, played: Played, search: int, confirm: int) -> SearchRecord:
    """Return one of the searches as a study records it."""

    def runs(at: np.ndarray, scores: np.ndarray) -> list[Run]:
        return [Run(config_at(points[point]), score) for point, score in zip(at, scores, strict=True)]

    trials = runs(played.tried[search], played.scores[search])
    confirmed = [run for scores in played.confirmed for run in runs(played.leaders[search], scores[search])]
    return SearchRecord(SPACE, trials, confirmed if confirm else [], len(trials), confirm)


def config_at(place: np.ndarray) -> dict[str, float]:
    """Return the configuration at a place."""
    rate, dropout = SPACE["lr"], SPACE["dropout"]
    return {
        "lr": rate.low * (rate.high / rate.low) ** place[0],
        "dropout": dropout.low + (dropout.high - dropout.low) * place[1],
    }


def real_luck(truth: Truth, trials: int, confirm: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Play this project's own search; return the true score of each chosen configuration, float64 [count]."""
    chosen = []
    for number in range(count):
        side = ThisProject(truth.arch, truth.space, trials, 1, number)
        runs: dict[int, Run] = {}
        known: dict[int, tuple[float, float]] = {}
        while trial := side.next_trial():
            place = PLACES.of([trial.values])
            true, noise = truth.surface(place)[0], truth.noise(place)[0]
            score = true + noise * rng.standard_normal()
            side.report(trial, EpochResult(1, 1 - score, 1 - score, score, 1.0))
            side.end(trial, is_stopped=False)
            runs[trial.number], known[trial.number] = Run(trial.values, score), (true, noise)
        leading = rank(PLACES, runs, {})[:confirm]
        again = {
            number: [known[number][0] + known[number][1] * rng.standard_normal() for _ in range(CONFIRMATIONS)]
            for number in leading
        }
        chosen.append(known[next(number for number in rank(PLACES, runs, again) if number in leading)][0])
    return np.array(chosen)
