"""Plays a search on learning curves with a simulated clock, some workers, and a side that starts and stops trials."""

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd

from benchmarks.spaces import space_of
from models.networks.hyperparameters import Value
from models.training.history import EpochResult, best_epoch, outcome_of
from models.training.recipe import TrainingConfig
from study.search.trial import Trial
from study.settings.search_space import SearchSpace


class Curve:
    """Gives the epochs of one configuration, up to the cap, the end of patience or the last recorded epoch.

    Args:
        values: hyperparameters of the recorded run.
        rows: epochs in order, consumed only when they are asked for.
        config: holds the cap and the patience.
        expected: expected score of the configuration over seeds, in [0, 1], if it is known.
    """

    def __init__(
        self,
        values: Mapping[str, Value],
        rows: Iterable[EpochResult],
        config: TrainingConfig,
        expected: float | None = None,
    ) -> None:
        self.values = values
        self._expected = expected
        self._rows: list[EpochResult] = []
        self._coming: Iterator[EpochResult] = iter(rows)
        self._config = config

    def row(self, epoch: int) -> EpochResult | None:
        """Returns the epoch with this number, counted from 1, or None after the end."""
        while len(self._rows) < epoch:
            row = None if outcome_of(self._rows, self._config) else next(self._coming, None)
            if row is None:
                return None
            self._rows.append(row)
        return self._rows[epoch - 1]

    def full_score(self) -> float:
        """Returns the validation accuracy in [0, 1] of the weights kept at the end, or 0 if no epoch was finite."""
        while self.row(len(self._rows) + 1):
            pass
        best = best_epoch(self._rows)
        return best.val_accuracy if best else 0.0

    def expected_score(self) -> float:
        """Returns the expected score of the configuration, or this run's score if it is unknown."""
        return self.full_score() if self._expected is None else self._expected


class Source(Protocol):
    """Gives a configuration's curve, of at most `max_epochs`.

    Attributes:
        space: the search space.
        max_epochs: the cap.
        expected: expected score over seeds of each configuration, in [0, 1], float64 [configurations], if it is known.
    """

    space: SearchSpace
    max_epochs: int
    expected: np.ndarray | None

    def __call__(self, seed: int, **values: Value) -> Curve: ...


class Recorded:
    """Looks up the curves of one network in a table. A configuration has a curve of the nearest recorded one.

    If a configuration was recorded with several seeds, a repetition draws one of its runs.

    Args:
        table: columns arch, one for each hyperparameter, run, epoch, train_loss, val_loss, val_accuracy, seconds;
            without the column run each configuration has one.
        arch: the network.
        expected: returns the expected scores of some configurations, float64 [configurations, hyperparameters] to
            float64 [configurations]. Without it each run's own score stands for its configuration.

    Attributes:
        values: the recorded configurations.
    """

    def __init__(
        self, table: pd.DataFrame, arch: str, expected: Callable[[np.ndarray], np.ndarray] | None = None
    ) -> None:
        self.space = space_of(table.columns)
        curves: dict[tuple[float, ...], dict[int, list[EpochResult]]] = {}
        for _, row in table[table.arch == arch].sort_values("epoch").iterrows():
            result = EpochResult(int(row.epoch), row.train_loss, row.val_loss, row.val_accuracy, row.seconds)
            runs = curves.setdefault(tuple(row[name] for name in self.space.ranges), {})
            runs.setdefault(int(row.get("run", 0)), []).append(result)
        if not curves:
            raise ValueError(f"the table holds no curve of {arch!r}")
        self.values: list[dict[str, Value]] = [dict(zip(self.space.ranges, key, strict=True)) for key in curves]
        self._runs = [list(runs.values()) for runs in curves.values()]
        self._places = np.array([self.space.place(values) for values in self.values])
        self.max_epochs = max(len(rows) for runs in self._runs for rows in runs)
        self.expected = None if expected is None else expected(self._places)

    def __call__(self, seed: int = 0, **values: Value) -> Curve:
        distances = ((self._places - self.space.place(values)) ** 2).sum(axis=1)
        nearest = int(distances.argmin())
        expected = None if self.expected is None else float(self.expected[nearest])
        runs = self._runs[nearest]
        rows = runs[int(np.random.default_rng([seed, nearest]).integers(len(runs)))]
        recorded = self.values[nearest]
        return Curve(recorded, rows, TrainingConfig(recorded, self.max_epochs), expected)


class Side(Protocol):
    """Searches the best configuration of one network."""

    def next_trial(self) -> Trial | None:
        """Returns the trial to start next, or None if there is none."""

    def report(self, trial: Trial, row: EpochResult) -> bool:
        """Takes the result of an epoch; returns whether to stop the trial."""

    def end(self, trial: Trial, *, is_stopped: bool) -> None:
        """Takes note that the trial has ended, because it was stopped or its curve is over."""

    def chosen(self) -> Trial | None:
        """Returns the trial that would be chosen if the search ended now."""


@dataclass(frozen=True)
class Choice:
    """Marks the moment from which a configuration is chosen.

    Attributes:
        epochs: number of epochs that all trials had trained by then.
        seconds: time on the clock.
        score: score of the configuration's full curve, in [0, 1].
        expected: expected score of the configuration over seeds, in [0, 1].
    """

    epochs: int
    seconds: float
    score: float
    expected: float


@dataclass(frozen=True)
class Played:
    """Holds the course of a search.

    Attributes:
        choices: all choices, in order of time.
        epochs: number of epochs that all trials trained.
        seconds: time on the clock at the end.
        best_tried: highest score of the full curves of all trials.
        is_best_stopped: True if every trial with that score was stopped early.
    """

    choices: list[Choice]
    epochs: int
    seconds: float
    best_tried: float
    is_best_stopped: bool

    @property
    def score(self) -> float:
        """Returns the score of the configuration chosen at the end, or 0 if there is none."""
        return self.choices[-1].score if self.choices else 0.0

    def reached(self, target: float) -> Choice | None:
        """Returns the choice from which on all choices reach the target, or None if the last one does not."""
        since = None
        for choice in self.choices:
            since = None if choice.score < target else since or choice
        return since


def play(side: Side, curve_of: Callable[..., Curve], workers: int) -> Played:
    """Plays a search to its end.

    Args:
        side: the search to play.
        curve_of: returns the curve of a configuration, called with its hyperparameters by name.
        workers: number of trials at a time. An epoch takes its recorded seconds on the clock.
    """
    clock, epochs, order = 0.0, 0, 0
    running: list[tuple[float, int, Trial, Curve, EpochResult]] = []
    tried: list[tuple[Trial, Curve]] = []
    stopped: set[str] = set()
    choices: list[Choice] = []
    curves: dict[str, Curve] = {}
    while True:
        while len(running) < workers and (trial := side.next_trial()):
            curve = curves[trial.trial_id] = curve_of(**trial.values)
            tried.append((trial, curve))
            first = curve.row(1)
            assert first is not None
            heapq.heappush(running, (clock + first.seconds, order := order + 1, trial, curve, first))
        if not running:
            break
        clock, _, trial, curve, row = heapq.heappop(running)
        epochs += 1
        is_stopped = side.report(trial, row)
        following = None if is_stopped else curve.row(row.epoch + 1)
        if following:
            heapq.heappush(running, (clock + following.seconds, order := order + 1, trial, curve, following))
        else:
            # A trial that is stopped at the last epoch of its curve has lost nothing.
            if is_stopped and curve.row(row.epoch + 1):
                stopped.add(trial.trial_id)
            side.end(trial, is_stopped=is_stopped)
        chosen = side.chosen()
        if chosen:
            curve = curves[chosen.trial_id]
            score, expected = curve.full_score(), curve.expected_score()
            if not choices or (choices[-1].score, choices[-1].expected) != (score, expected):
                choices.append(Choice(epochs, clock, score, expected))
    best = max(curve.full_score() for _, curve in tried)
    lost = all(trial.trial_id in stopped for trial, curve in tried if curve.full_score() == best)
    return Played(choices, epochs, clock, best, lost)
