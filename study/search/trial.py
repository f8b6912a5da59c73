"""One trial of a search, and the sum of several."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from itertools import accumulate
from typing import Literal

from models.networks.hyperparameters import Value
from models.training.history import EpochResult

Status = Literal["COMPLETE", "STOPPED_EARLY", "PRUNED", "DIVERGED", "FAILED"]


@dataclass
class Trial:
    """Holds one configuration of one network, and how its training went.

    Attributes:
        number: counts from 0 within its network; 0 is the documented baseline.
        values: the configuration, a value for each hyperparameter.
        status: None while it runs.
        began: when it was asked for; None if the journal is of a version that did not keep it.
        ended: when it ended; None also while it runs.
        error: why its last failed attempt failed, if one did.
    """

    arch: str
    number: int
    values: dict[str, Value]
    status: Status | None = None
    began: datetime | None = None
    ended: datetime | None = None
    error: str | None = None
    history: list[EpochResult] = field(default_factory=list)
    _sums: "_Sums" = field(default_factory=lambda: _Sums(), init=False, repr=False, compare=False)

    @property
    def trial_id(self) -> str:
        return f"{self.arch}-{self.number}"

    @property
    def is_baseline(self) -> bool:
        return self.number == 0

    @property
    def best(self) -> EpochResult | None:
        """Return the epoch of lowest validation loss; None before there is a finite one."""
        return self._sums.of(self.history).best

    @property
    def seconds(self) -> float:
        """Return the seconds of training so far."""
        return self._sums.of(self.history).seconds

    def scores(self) -> list[float]:
        """Return, after each epoch, the validation accuracy of the weights that the trial would keep then."""
        return [row.val_accuracy for row in accumulate(self.history, _kept) if row.is_finite]

    @property
    def told(self) -> float | None:
        """Return the score that a Gaussian process sees: the last one, 0 if the trial diverged, None if it failed."""
        if self.status in (None, "FAILED"):
            return None
        return 0.0 if self.status == "DIVERGED" else self.scores()[-1]


def _kept(best: EpochResult, row: EpochResult) -> EpochResult:
    """Return the best epoch so far, or a later one if that is finite and has a lower validation loss."""
    return row if row.is_finite and not (best.is_finite and best.val_loss <= row.val_loss) else best


@dataclass
class _Sums:
    """Keeps what is asked of a history after every epoch, so that an answer takes no longer the longer it is."""

    epochs: int = 0
    last: EpochResult | None = None
    best: EpochResult | None = None
    seconds: float = 0.0

    def of(self, history: list[EpochResult]) -> "_Sums":
        """Return itself after the epochs of the history that are new. If the history was cut, sum it up anew."""
        if self.epochs > len(history) or (self.epochs and history[self.epochs - 1] is not self.last):
            self.epochs, self.last, self.best, self.seconds = 0, None, None, 0.0
        for row in history[self.epochs :]:
            self.epochs, self.last, self.seconds = self.epochs + 1, row, self.seconds + row.seconds
            if row.is_finite:
                self.best = row if self.best is None else _kept(self.best, row)
        return self


@dataclass
class Tally:
    """Sums up some trials.

    Attributes:
        states: number of trials by status; None counts the running ones.
        score: their highest score, in [0, 1]; None if there is none.
        epochs: epochs trained.
        seconds: seconds of training.
        under_way: seconds of training in the running trials.
    """

    states: Counter[Status | None] = field(default_factory=Counter)
    score: float | None = None
    epochs: int = 0
    seconds: float = 0.0
    under_way: float = 0.0

    def add(self, trial: Trial) -> None:
        """Add a trial as it is now."""
        self.states[trial.status] += 1
        if (best := trial.best) is not None:
            self.score = best.val_accuracy if self.score is None else max(self.score, best.val_accuracy)
        self.epochs += len(trial.history)
        self.seconds += trial.seconds
        if trial.status is None:
            self.under_way += trial.seconds
