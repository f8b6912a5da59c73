"""The sides of `benchmarks.search`: this project's search and the searches that users would run instead.

Every side trains with the same cap and patience and keeps the weights of the lowest validation loss. So each is told
the validation accuracy, or the loss, of the weights that a trial would keep.
"""

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import optuna
from optuna.trial import TrialState
from ray.tune.schedulers import ASHAScheduler, TrialScheduler

from benchmarks.replay import Recorded, Side
from benchmarks.this_project import ThisProject, score_of
from models.networks.hyperparameters import Value
from models.training.history import EpochResult
from study.search.trial import Trial
from study.settings.search_space import SearchSpace

MakeSide = Callable[[str, SearchSpace, int, int, int], Side]
"""Makes a side from the name of a network, its space, the number of trials, the cap on epochs, and a seed."""


class RandomSearch:
    """Draws configurations uniformly, trains each to its end, and chooses the highest score."""

    def __init__(self, arch: str, space: SearchSpace, trials: int, max_epochs: int, seed: int) -> None:
        self._arch = arch
        self._space = space
        self._left = trials
        self._rng = np.random.default_rng(seed)
        self.trials: list[Trial] = []
        self.ended: list[Trial] = []

    def next_trial(self) -> Trial | None:
        if not self._left:
            return None
        self._left -= 1
        self.trials.append(Trial(self._arch, len(self.trials), self.suggest()))
        return self.trials[-1]

    def suggest(self) -> dict[str, Value]:
        return self._space.at(self._rng.random(len(self._space.ranges)).tolist())

    def report(self, trial: Trial, row: EpochResult) -> bool:
        trial.history.append(row)
        return False

    def end(self, trial: Trial, *, is_stopped: bool) -> None:
        if trial.best:
            self.ended.append(trial)

    def chosen(self) -> Trial | None:
        return max(self.ended, key=score_of, default=None)


class Informed(RandomSearch):
    """Trains the recorded configurations from the highest expected score on, and chooses the highest score.

    No search can know the expected scores. So it shows how much of what a search loses is the noise of a run's score.
    """

    def __init__(
        self, source: Recorded, arch: str, space: SearchSpace, trials: int, max_epochs: int, seed: int
    ) -> None:
        assert source.expected is not None
        super().__init__(arch, space, min(trials, len(source.expected)), max_epochs, seed)
        self._ordered = [source.values[index] for index in np.argsort(-source.expected)]

    def suggest(self) -> dict[str, Value]:
        values: dict[str, Value] = self._ordered[len(self.trials)]
        return values


class RayTutorial(RandomSearch):
    """Uses Ray Tune as in its CIFAR tutorial: random draws, and ASHA on the loss from epoch 1 with factor 2.

    Like the tutorial it chooses the trial with the lowest last loss, even if it was stopped.
    """

    def __init__(self, arch: str, space: SearchSpace, trials: int, max_epochs: int, seed: int) -> None:
        super().__init__(arch, space, trials, max_epochs, seed)
        self._scheduler = ASHAScheduler(metric="loss", mode="min", max_t=max_epochs, grace_period=1, reduction_factor=2)

    def next_trial(self) -> Trial | None:
        trial = super().next_trial()
        if trial:
            self._scheduler.on_trial_add(cast(Any, None), _as_ray(trial))
        return trial

    def report(self, trial: Trial, row: EpochResult) -> bool:
        trial.history.append(row)
        if not trial.best:
            return False
        decision = self._scheduler.on_trial_result(cast(Any, None), _as_ray(trial), self._result(trial))
        return bool(decision == TrialScheduler.STOP)

    def end(self, trial: Trial, *, is_stopped: bool) -> None:
        if not is_stopped and trial.best:
            self._scheduler.on_trial_complete(cast(Any, None), _as_ray(trial), self._result(trial))

    def chosen(self) -> Trial | None:
        return min((t for t in self.trials if t.best), key=lambda trial: self._result(trial)["loss"], default=None)

    def _result(self, trial: Trial) -> dict[str, float]:
        assert trial.best
        return {"training_iteration": len(trial.history), "loss": trial.best.val_loss}


def _as_ray(trial: Trial) -> Any:
    """Returns an object with the only attribute of a trial that ASHA reads."""
    return SimpleNamespace(trial_id=trial.trial_id)


class OptunaAlone(RandomSearch):
    """Uses Optuna, by default with its default sampler (TPE) and its default pruner (the median rule)."""

    def __init__(
        self,
        arch: str,
        space: SearchSpace,
        trials: int,
        max_epochs: int,
        seed: int,
        sampler: Callable[..., optuna.samplers.BaseSampler] = optuna.samplers.TPESampler,
        pruner: optuna.pruners.BasePruner | None = None,
    ) -> None:
        super().__init__(arch, space, trials, max_epochs, seed)
        # Hyperband draws a trial's bracket from the name of the study and the number of the trial.
        self._study = optuna.create_study(
            study_name=f"{arch} {seed}", direction="maximize", sampler=sampler(seed=seed), pruner=pruner
        )
        self._running: dict[str, optuna.Trial] = {}

    def suggest(self) -> dict[str, Value]:
        running = self._study.ask(dict(self._space.ranges))
        self._running[f"{self._arch}-{len(self.trials)}"] = running
        return running.params

    def report(self, trial: Trial, row: EpochResult) -> bool:
        trial.history.append(row)
        if not row.is_finite:
            return False
        running = self._running[trial.trial_id]
        running.report(score_of(trial), row.epoch)
        return running.should_prune()

    def end(self, trial: Trial, *, is_stopped: bool) -> None:
        running = self._running.pop(trial.trial_id)
        if is_stopped or not trial.best:
            self._study.tell(running, state=TrialState.PRUNED)
        else:
            self._study.tell(running, score_of(trial))
            self.ended.append(trial)


def _hyperband(arch: str, space: SearchSpace, trials: int, max_epochs: int, seed: int) -> Side:
    """Makes Optuna's TPE with Hyperband (Li et al., 2018) and its default factor, from the first epoch to the cap."""
    pruner = optuna.pruners.HyperbandPruner(min_resource=1, max_resource=max_epochs)
    return OptunaAlone(arch, space, trials, max_epochs, seed, pruner=pruner)


SIDES: dict[str, MakeSide] = {
    "this project": ThisProject,
    "random search, full length": RandomSearch,
    "Ray Tune, its tutorial": RayTutorial,
    "Optuna alone": OptunaAlone,
    "Optuna, Gaussian process": partial(OptunaAlone, sampler=optuna.samplers.GPSampler),
    "Optuna, Hyperband": _hyperband,
}
