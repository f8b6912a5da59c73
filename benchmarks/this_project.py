"""This project's own search as a side of `benchmarks.search`."""

import math
import os
from pathlib import Path
from typing import Any

from analysis.statistics.search_luck.expected import rank
from analysis.statistics.search_luck.luck import Run
from analysis.statistics.search_luck.places import Places
from benchmarks.spaces import baseline_of
from models.training.history import EpochResult
from models.training.recipe import TrainingConfig
from study.search.ledger import Ledger
from study.search.sampler import Sampler
from study.search.search import Search
from study.search.trial import Status, Trial
from study.settings.config import StudyConfig
from study.settings.search_space import RUNGS, STARTUP_TRIALS, Rungs, SearchSpace


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
            runs = {number: Run(trial.values, score_of(trial)) for number, trial in leaders.items()}
            ranked = list(leaders) if self._chooses_by_score else rank(self._places, runs, {})
            self._ranked_of, self._first = tuple(leaders), next(iter(ranked), None)
        return None if self._first is None else leaders[self._first]


def score_of(trial: Trial) -> float:
    """Returns the validation accuracy of the weights that a trial would keep."""
    return trial.best.val_accuracy if trial.best else 0.0
