"""Estimates the time of a study from the time of a step. Plain arithmetic, without torch and Ray."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

# Seconds, least and most, to start Ray and the workers, to measure inference time, and to write the report.
OVERHEAD_SECONDS = (20.0, 60.0)
# At most 2 s pass between a run's end and the first step of the next, because the sampler may have to propose.
BETWEEN_RUNS_SECONDS = 2.0
# At least this share of the runs, divided by the patience, runs out of patience at each epoch. The recorded runs of
# each documented network, 147 or more, are no longer on average, with patience 1 to 5 and caps up to 20
# (benchmarks/curves*.csv).
LEAST_ENDING = 0.04


@dataclass(frozen=True)
class Interval:
    """Holds the least and the most that can be expected."""

    low: float
    high: float

    @property
    def middle(self) -> float:
        return (self.low + self.high) / 2


@dataclass(frozen=True)
class Lengths:
    """Says how many epochs a run may train.

    Attributes:
        max_epochs: cap on the epochs.
        patience: epochs without a lower validation loss that end a run.
        first_rung: epochs at the first rung; the cap itself if there is none below.
        reduction_factor: one trial in this many goes on at each rung, which lies as many times later than the last.
    """

    max_epochs: int
    patience: int
    first_rung: int
    reduction_factor: int

    @property
    def run(self) -> Interval:
        """Return the mean epochs of a run that no rung stops: few if the loss stops falling at once.

        At the most, few runs run out of patience: LEAST_ENDING of them at each epoch.
        """
        least = min(self.max_epochs, 2 * (self.patience + 1))
        ending = LEAST_ENDING / self.patience
        return Interval(least, least + (1 - (1 - ending) ** (self.max_epochs - least)) / ending)

    @property
    def trial(self) -> Interval:
        """Return the mean epochs of a trial: few if each rung stops all trials but one in `reduction_factor`."""
        epochs, rung, last, share = 0.0, self.first_rung, 0, 1.0
        while last < self.max_epochs:
            rung = min(rung, self.max_epochs)
            epochs += share * (rung - last)
            last, rung, share = rung, rung * self.reduction_factor, share / self.reduction_factor
        return Interval(min(epochs, self.run.high), self.run.high)


@dataclass(frozen=True)
class Work:
    """Says what is left to do for one network.

    Attributes:
        epoch_seconds: time of one epoch, training and validation.
        trials: trials of the search that have not ended.
        confirmations: confirmation runs.
        finals: final runs, at most.
    """

    epoch_seconds: float
    trials: int
    confirmations: int
    finals: int

    def counts(self) -> dict[str, int]:
        """Return the number of runs by stage, in the order of the stages."""
        return {"Search": self.trials, "Confirmation": self.confirmations, "Final runs": self.finals}


def estimate(works: Mapping[str, Work], lengths: Lengths, concurrency: int, slowdown: float) -> Interval:
    """Estimate the seconds until a study has its report.

    The least: rungs and patience end runs early. The most: no rung stops a trial, few runs run out of patience, and at
    the end of each stage one run trains alone. Long runs and slow epochs have different causes, so both at their most
    are unlikely: on a logarithmic scale the range is the root of the sum of their squares.

    Args:
        works: the work left, by network.
        lengths: epochs of a run.
        concurrency: runs at a time, at least 1.
        slowdown: at most this many times longer takes an epoch when `concurrency` runs share the machine.
    """
    low = high = 0.0
    for stage in ("Search", "Confirmation", "Final runs"):
        epochs = lengths.trial if stage == "Search" else lengths.run
        counts = {arch: work.counts()[stage] for arch, work in works.items()}
        if not any(counts.values()):
            continue
        least = most = longest = 0.0
        for arch, work in works.items():
            longest_run = epochs.high * work.epoch_seconds
            least += counts[arch] * epochs.low * work.epoch_seconds
            most += counts[arch] * (longest_run + BETWEEN_RUNS_SECONDS)
            longest = max(longest, longest_run if counts[arch] else 0.0)
        low += least / concurrency
        high += most / concurrency + (1 - 1 / concurrency) * longest
    if low:
        high = low * math.exp(math.hypot(math.log(high / low), math.log(slowdown)))
    return Interval(low + OVERHEAD_SECONDS[0], high + OVERHEAD_SECONDS[1])


class Forecast:
    """Expects the time of a study's runs: at first from the time of a step, then from the runs that have ended.

    Args:
        works: the work left, by network.
        lengths: epochs of a run.
        concurrency: runs at a time.
    """

    def __init__(self, works: Mapping[str, Work], lengths: Lengths, concurrency: int) -> None:
        self._works = dict(works)
        self._epochs = dict.fromkeys(works, lengths.run.middle)
        self._trial_epochs = lengths.trial.middle
        self.max_epochs = lengths.max_epochs
        self.concurrency = concurrency

    def learn(self, arch: str, epoch_seconds: float, run_epochs: float | None) -> None:
        """Take up what was seen: the mean seconds of an epoch, and the mean epochs of runs that no rung stopped."""
        if arch in self._works:
            self._works[arch] = replace(self._works[arch], epoch_seconds=epoch_seconds)
            self._epochs[arch] = self._epochs[arch] if run_epochs is None else run_epochs

    def run_seconds(self, stage: str, arch: str) -> float | None:
        """Return the seconds that one run of a network is expected to train; None for a network without step time."""
        if arch not in self._works:
            return None
        epochs = self._trial_epochs if stage == "Search" else self._epochs[arch]
        return epochs * self._works[arch].epoch_seconds

    def seconds_after(self, stage: str, pace: float) -> float:
        """Return the seconds from the end of a stage to the end of the study.

        Args:
            pace: seconds on the clock for each second of training, over all runs at a time.
        """
        seconds = 0.0
        for arch, work in self._works.items():
            counts = work.counts()
            later = list(counts)[list(counts).index(stage) + 1 :] if stage in counts else []
            seconds += sum(counts[name] * (self.run_seconds(name, arch) or 0.0) for name in later)
        return seconds * pace + OVERHEAD_SECONDS[0]
