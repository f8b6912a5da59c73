"""Searches that differ from this project's in one rule, for `benchmarks.search --rules`."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import numpy as np
import optuna
from threadpoolctl import threadpool_limits

from benchmarks.sides import MakeSide
from benchmarks.this_project import ThisProject
from models.networks.hyperparameters import Value
from models.randomness import integer, stream
from study.search.sampler import Sampler
from study.search.trial import Trial
from study.settings.search_space import RUNGS, Rungs

# The Gaussian process is asked at most this many times for a proposal that repeats no trial.
ASKED = 4


class TpeSampler(Sampler):
    """Replaces this project's Gaussian process by Optuna's multivariate TPE, with the same start.

    TPE ranks trials that ended by themselves first, then trials that a rung stopped, then diverged ones.
    """

    def _improve(self, number: int) -> dict[str, Value]:
        seed = integer(stream(self._seed, "sampler", self.study.study_name, number))
        tpe = optuna.samplers.TPESampler(n_startup_trials=self._startup_trials, multivariate=True, seed=seed)
        shown = optuna.create_study(direction="maximize", sampler=tpe)
        shown.add_trials(self.study.get_trials(deepcopy=False))
        return shown.ask(dict(self._space.ranges)).params


class RepeatingSampler(Sampler):
    """Lets this project's sampler propose the same configuration again."""

    def _is_apart(self, values: Mapping[str, Value]) -> bool:
        return True


class NextBestSampler(Sampler):
    """Takes the next best point of the Gaussian process in place of a proposal that almost repeats a trial.

    It asks again as if the proposal were running, so that the expected improvement near it is small. After ASKED such
    proposals a point of the sequence takes the place.
    """

    def _improve(self, number: int) -> dict[str, Value]:
        seed = integer(stream(self._seed, "sampler", self.study.study_name, number))
        study = optuna.create_study(
            direction="maximize", sampler=optuna.samplers.GPSampler(seed=seed, n_startup_trials=1)
        )
        study.add_trials([self._as_told(shown, self._scores[shown]) for shown in self._shown()])
        study.add_trials([self._as_told(running) for running in sorted(self._running)])
        with threadpool_limits(1):
            for _ in range(ASKED):
                # A trial that is asked for counts as running.
                values = study.ask(dict(self._space.ranges)).params
                if self._is_apart(values):
                    break
        return values


class ExtrapolatingSampler(Sampler):
    """Shows the Gaussian process what a stopped trial would have scored at its end.

    It adds what the trials that trained to their ends gained, on the mean, after the epoch at which the trial was
    stopped. Optuna's Gaussian process has one noise for all scores, so these count as much as measured ones.
    """

    def __init__(self, *args: object, **named: object) -> None:
        super().__init__(*args, **named)  # type: ignore[arg-type]
        self._whole: list[list[float]] = []
        self._stopped: dict[int, tuple[int, float]] = {}

    def end(self, trial: Trial) -> None:
        super().end(trial)
        if trial.status == "PRUNED":
            self._stopped[trial.number] = len(trial.history), self._scores[trial.number]
        elif trial.status in ("COMPLETE", "STOPPED_EARLY"):
            self._whole.append(trial.scores())

    def _improve(self, number: int) -> dict[str, Value]:
        with self._extrapolated():
            return super()._improve(number)

    @contextmanager
    def _extrapolated(self) -> Iterator[None]:
        measured = dict(self._scores)
        for stopped, (epoch, score) in self._stopped.items():
            gains = [scores[-1] - scores[epoch - 1] for scores in self._whole if len(scores) >= epoch]
            self._scores[stopped] = score + (float(np.mean(gains)) if gains else 0.0)
        try:
            yield
        finally:
            self._scores = measured


def rules(ours: partial[ThisProject]) -> dict[str, MakeSide]:
    """Returns variants of this project's search, with other rungs, another start, or another sampler."""
    return {
        **{
            # The first rung lies at this epoch: its share of the cap is 1, and it asks for no steps.
            f"first rung {first}": partial(ours, rungs=Rungs(first, 1.0, grace_steps=0))
            for first in (4, 6, 10)
        },
        "first rung after any number of steps": partial(ours, rungs=replace(RUNGS, grace_steps=0)),
        "one of 3 goes on": partial(ours, rungs=replace(RUNGS, reduction_factor=3)),
        "no tolerance": partial(ours, rungs=replace(RUNGS, tolerance=0.0)),
        "no rungs": partial(ours, rungs=Rungs(1_000, 1.0)),
        "5 trials to start": partial(ours, startup_trials=5),
        "may repeat itself": partial(ours, sampler=RepeatingSampler),
        "chooses the highest score": partial(ours, chooses_by_score=True),
        "next best, no Sobol point": partial(ours, sampler=NextBestSampler),
        "stopped trials extrapolated": partial(ours, sampler=ExtrapolatingSampler),
        "TPE, 5 trials to start": partial(ours, sampler=TpeSampler, startup_trials=5),
    }
