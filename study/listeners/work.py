"""The work of a stage as the screen shows it, and the time that it still takes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

Value = float | int | str

# A trial or run that takes longer than the others is expected to train half of the epochs that it may still train.
LATE_SHARE = 0.5


@dataclass(frozen=True)
class Unit:
    """Holds one trial or run, under way or ended.

    Attributes:
        name: such as "alexnet-4".
        arch: name of its network.
        values: its hyperparameters by name.
        epoch: epochs trained.
        max_epochs: cap on the epochs.
        seconds: seconds of training.
        loss: the newest validation loss; None before the first epoch.
        accuracy: the newest accuracy on the validation images, in [0, 1].
        images_per_s: training images a second in the newest epoch.
        end: why it ended; empty while it runs.
        is_whole: False if a rung or a fault ended it, so that its length says nothing about a final run.
    """

    name: str
    arch: str
    values: Mapping[str, Value]
    epoch: int
    max_epochs: int
    seconds: float = 0.0
    loss: float | None = None
    accuracy: float | None = None
    images_per_s: float | None = None
    end: str = ""
    is_whole: bool = True


@dataclass
class Row:
    """Holds the progress of one line of work.

    Attributes:
        title: shown first, such as "AlexNet".
        planned: number of trials or runs planned, the units of the row.
        states: number of units by state, such as `{"running": 1, "pruned": 2}`. Units in `running` are not done.
        accuracy: in [0, 1] so far, if there is any.
        score: name of the accuracy, such as "best val. accuracy".
        epochs: epochs trained so far.
        seconds: seconds of training spent so far.
        replayed: the part of `seconds` that a checkpoint held. It was spent before this stage.
        arch: name of the network.
        running: the units that run and have reported.
    """

    title: str
    planned: int
    states: dict[str, int] = field(default_factory=dict)
    accuracy: float | None = None
    score: str = "best val. accuracy"
    epochs: int = 0
    seconds: float = 0.0
    replayed: float = 0.0
    arch: str = ""
    running: Sequence[Unit] = ()

    @property
    def done(self) -> int:
        return sum(count for state, count in self.states.items() if state != "running")

    @property
    def mean_seconds(self) -> float | None:
        """Return the mean seconds of the units that have ended; None before the first."""
        under_way = sum(unit.seconds for unit in self.running)
        return (self.seconds - under_way) / self.done if self.done else None


@dataclass(frozen=True)
class Pace:
    """Says how fast a stage goes: seconds on the clock for each second of training, over all runs at a time."""

    elapsed: float
    spent: float
    concurrency: int

    @property
    def factor(self) -> float:
        return self.elapsed / self.spent if self.spent > 0 else 1 / self.concurrency


def seconds_left(rows: Sequence[Row], pace: Pace, expected: Callable[[str], float | None]) -> float | None:
    """Estimate the seconds until all units of a stage have ended.

    The last units count too: the stage takes at least as long as the unit that has most left.

    Args:
        rows: the stage as it stands.
        pace: how fast it went so far.
        expected: returns the seconds of a unit of a network of which none has ended, or None.

    Returns:
        The seconds, or None if the cost of a unit is not known for every network with units left.
    """
    total = longest = 0.0
    for row in rows:
        if row.done >= row.planned:
            continue
        mean = row.mean_seconds
        if mean is None:
            mean = expected(row.arch)
        if mean is None:
            return None
        waiting = max(0, row.planned - row.done - len(row.running))
        running = [_left_of(unit, mean) for unit in row.running]
        total += waiting * mean + sum(running)
        longest = max(longest, *running, mean if waiting else 0.0, 0.0)
    return max(total * pace.factor, longest)


def _left_of(unit: Unit, mean: float) -> float:
    if unit.seconds < mean or not unit.epoch:
        return mean - unit.seconds
    return LATE_SHARE * (unit.max_epochs - unit.epoch) * unit.seconds / unit.epoch
