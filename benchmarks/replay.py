"""Plays a search on learning curves: a clock, some workers, and a side that says what to train and what to stop."""

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd

from models.training.history import EpochResult, best_epoch, outcome_of
from models.training.recipe import TrainingConfig
from study.search.trial import Trial
from study.settings.search_space import SEARCH_SPACE


class Curve:
    """The epochs of one configuration up to the cap, to the end of patience or to the last one recorded.

    Args:
        key: equal for what was trained once.
        rows: the epochs in order; taken up only as they are asked for.
        config: holds cap and patience.
    """

    def __init__(self, key: tuple[float, float], rows: Iterable[EpochResult], config: TrainingConfig) -> None:
        self.key = key
        self._rows: list[EpochResult] = []
        self._coming: Iterator[EpochResult] = iter(rows)
        self._config = config

    def row(self, epoch: int) -> EpochResult | None:
        """The epoch of this number, from 1 on; None beyond the end."""
        while len(self._rows) < epoch:
            row = None if outcome_of(self._rows, self._config) else next(self._coming, None)
            if row is None:
                return None
            self._rows.append(row)
        return self._rows[epoch - 1]

    def full_score(self) -> float:
        """Validation accuracy in [0, 1] of the weights kept at the end; 0 if it diverged at once."""
        while self.row(len(self._rows) + 1):
            pass
        best = best_epoch(self._rows)
        return best.val_accuracy if best else 0.0


class Source(Protocol):
    """Gives a configuration's curve, of at most `max_epochs`."""

    max_epochs: int

    def __call__(self, lr: float, dropout: float, seed: int) -> Curve: ...


class Recorded:
    """The curves of one network in a table; a configuration has that of the nearest recorded one.

    Args:
        table: columns arch, lr, dropout, epoch, train_loss, val_loss, val_accuracy, seconds.
    """

    def __init__(self, table: pd.DataFrame, arch: str) -> None:
        self._curves: dict[tuple[float, float], list[EpochResult]] = {}
        for _, row in table[table.arch == arch].sort_values("epoch").iterrows():
            result = EpochResult(int(row.epoch), row.train_loss, row.val_loss, row.val_accuracy, row.seconds)
            self._curves.setdefault((row.lr, row.dropout), []).append(result)
        if not self._curves:
            raise ValueError(f"the table holds no curve of {arch!r}")
        self._keys = list(self._curves)
        self._places = np.array([_place(*key) for key in self._keys])
        self.max_epochs = max(len(rows) for rows in self._curves.values())

    def __call__(self, lr: float, dropout: float, seed: int = 0) -> Curve:
        distances = ((self._places - _place(lr, dropout)) ** 2).sum(axis=1)
        key = self._keys[int(distances.argmin())]
        return Curve(key, self._curves[key], TrainingConfig({"lr": key[0], "dropout": key[1]}, self.max_epochs))


def _place(lr: float, dropout: float) -> tuple[float, ...]:
    return SEARCH_SPACE.place({"lr": lr, "dropout": dropout})


class Side(Protocol):
    """A search for one network."""

    def next_trial(self) -> Trial | None:
        """The trial to start next; None if there is none."""

    def report(self, trial: Trial, row: EpochResult) -> bool:
        """Takes an epoch's result; returns whether the trial is stopped."""

    def end(self, trial: Trial, *, is_stopped: bool) -> None:
        """The trial has ended: it was stopped, or its curve is over."""

    def chosen(self) -> Trial | None:
        """The trial that would be taken if the search ended now."""


@dataclass(frozen=True)
class Choice:
    """From when on a configuration is the chosen one.

    Attributes:
        epochs: trained by all trials until then.
        seconds: on the clock until then.
        score: of the configuration's full curve, in [0, 1].
    """

    epochs: int
    seconds: float
    score: float


@dataclass(frozen=True)
class Played:
    """How a search went.

    Attributes:
        choices: in order of time.
        epochs: trained by all trials.
        seconds: on the clock at the end.
        best_tried: highest score of the full curves of all trials.
        is_best_stopped: whether every trial with that score was stopped early.
    """

    choices: list[Choice]
    epochs: int
    seconds: float
    best_tried: float
    is_best_stopped: bool

    @property
    def score(self) -> float:
        """That of the configuration chosen at the end."""
        return self.choices[-1].score if self.choices else 0.0

    def reached(self, target: float) -> Choice | None:
        """Since when the chosen configuration has been at least this good; None if it is not at the end."""
        since = None
        for choice in self.choices:
            since = None if choice.score < target else since or choice
        return since


def play(side: Side, curve_of: Callable[..., Curve], workers: int) -> Played:
    """Plays a search to its end.

    Args:
        curve_of: gives the curve of a configuration, called with its `lr` and `dropout`.
        workers: trials at a time; each takes the seconds of an epoch for it.
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
            # What a rule stops at its last epoch has lost nothing.
            if is_stopped and curve.row(row.epoch + 1):
                stopped.add(trial.trial_id)
            side.end(trial, is_stopped=is_stopped)
        chosen = side.chosen()
        if chosen:
            score = curves[chosen.trial_id].full_score()
            if not choices or choices[-1].score != score:
                choices.append(Choice(epochs, clock, score))
    best = max(curve.full_score() for _, curve in tried)
    lost = all(trial.trial_id in stopped for trial, curve in tried if curve.full_score() == best)
    return Played(choices, epochs, clock, best, lost)
