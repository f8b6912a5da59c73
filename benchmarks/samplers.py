"""Samplers that differ from this project's in one rule, for `benchmarks.search --rules`."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import optuna
from threadpoolctl import threadpool_limits

from models.networks.hyperparameters import Value
from models.randomness import integer, stream
from study.search.sampler import Sampler
from study.search.trial import Trial

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

    It asks again as if the proposal were running, so that the expected improvement near it is small.
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
        yield
        self._scores = measured
