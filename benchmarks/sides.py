"""The sides of `benchmarks.search`: this project's search and the searches that users would run instead.

Every side trains with the same cap and patience and keeps the weights of the lowest validation loss. So each is told
the validation accuracy, or the loss, of the weights that a trial would keep.
"""

import math
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import optuna
from optuna.trial import TrialState
from ray.tune.schedulers import ASHAScheduler, TrialScheduler

from analysis.statistics.search_luck.expected import rank
from analysis.statistics.search_luck.luck import Run
from analysis.statistics.search_luck.places import Places
from benchmarks.replay import Side
from benchmarks.spaces import baseline_of
from models.networks.hyperparameters import Value
from models.training.history import EpochResult
from models.training.recipe import TrainingConfig
from study.search.ledger import Ledger
from study.search.sampler import Sampler
from study.search.search import Search
from study.search.trial import Status, Trial
from study.settings.config import StudyConfig
from study.settings.search_space import RUNGS, STARTUP_TRIALS, Rungs, SearchSpace

MakeSide = Callable[[str, SearchSpace, int, int, int], Side]
"""Makes a side from the name of a network, its space, the number of trials, the cap on epochs, and a seed."""


class _Unwritten(Ledger):
    """Keeps a ledger without a journal."""

    def _record(self, event: dict[str, Any], *, may_wait: bool = False) -> None:
        self._apply(event)


class _CurvesEndTrials(Search):
    """Ends a trial as stopped early when its curve ends, for any reason."""

    over: frozenset[str] = frozenset()

    def _outcome(self, trial: Trial) -> Status | None:
        return super()._outcome(trial) or ("STOPPED_EARLY" if trial.trial_id in self.over else None)


class ThisProject:
    """Runs the project's own search: baseline first, then a Gaussian process, with ASHA's rungs and a tolerance.

    Nothing is confirmed: it chooses the highest expected score.
    """

    def __init__(
        self,
        arch: str,
        space: SearchSpace,
        trials: int,
        max_epochs: int,
        seed: int,
        rungs: Rungs = RUNGS,
        startup_trials: int = STARTUP_TRIALS,
        sampler: type[Sampler] = Sampler,
        steps_per_epoch: float = math.inf,
        chooses_by_score: bool = False,
    ) -> None:
        # Patience ended the recorded curves without steps of grace.
        config = StudyConfig(trials=trials, max_epochs=max_epochs, archs=(arch,), seed=seed, grace_steps=0)
        baseline = TrainingConfig(baseline_of(arch, space), max_epochs)
        self._search = _CurvesEndTrials(
            config, {arch: baseline}, _Unwritten(Path(os.devnull)), rungs, startup_trials, steps_per_epoch
        )
        self._search.samplers[arch] = sampler(arch, space, seed, startup_trials)
        self._places = Places.described(space.to_json())
        self._arch = arch
        self._chooses_by_score = chooses_by_score
        # The trials that the first one was chosen from, so that it is chosen anew only when one more has ended.
        self._ranked_of: tuple[int, ...] = ()
        self._first: int | None = None

    def next_trial(self) -> Trial | None:
        return self._search.next_trial()

    def report(self, trial: Trial, row: EpochResult) -> bool:
        return self._search.report(trial.trial_id, row)

    def end(self, trial: Trial, *, is_stopped: bool) -> None:
        if not is_stopped:
            self._search.over |= {trial.trial_id}
        self._search.end(trial.trial_id)

    def chosen(self) -> Trial | None:
        leaders = {trial.number: trial for trial in self._search.leaders(self._arch)}
        if tuple(leaders) != self._ranked_of:
            runs = {number: Run(trial.values, _score(trial)) for number, trial in leaders.items()}
            ranked = list(leaders) if self._chooses_by_score else rank(self._places, runs, {})
            self._ranked_of, self._first = tuple(leaders), next(iter(ranked), None)
        return None if self._first is None else leaders[self._first]


def _score(trial: Trial) -> float:
    """Returns the validation accuracy of the weights that a trial would keep."""
    return trial.best.val_accuracy if trial.best else 0.0


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
        return max(self.ended, key=_score, default=None)


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
        running.report(_score(trial), row.epoch)
        return running.should_prune()

    def end(self, trial: Trial, *, is_stopped: bool) -> None:
        running = self._running.pop(trial.trial_id)
        if is_stopped or not trial.best:
            self._study.tell(running, state=TrialState.PRUNED)
        else:
            self._study.tell(running, _score(trial))
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
