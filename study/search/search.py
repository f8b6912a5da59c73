"""The search over all architectures, without Ray: which trial comes next, and which are stopped.

Each architecture has a sampler and rungs of its own and the same number of trials, so it is compared only with
its own kind and given the same chances.
"""

import math
from collections.abc import Mapping

from models.training.history import EpochResult, best_epoch, outcome_of
from models.training.recipe import TrainingConfig
from study.search.ledger import Ledger, Status, Trial
from study.search.sampler import Sampler
from study.search.successive_halving import SuccessiveHalving
from study.settings.config import RUNGS, SEARCH_SPACE, STARTUP_TRIALS, Rungs, StudyConfig


class Search:
    """Decides for the driver, and writes down in the ledger, what happens to each trial.

    Given a ledger that is not empty, it goes on from there: trials that had not ended come first.

    Args:
        config: the study's configuration.
        baselines: the recipe of trial 0 of each architecture, in the order of the study.
        ledger: what is known of the search.
        rungs: where trials are stopped.
        startup_trials: how many end before a model proposes configurations.
        steps_per_epoch: optimizer steps; infinite where they shall not move the rungs.
    """

    def __init__(
        self,
        config: StudyConfig,
        baselines: Mapping[str, TrainingConfig],
        ledger: Ledger,
        rungs: Rungs = RUNGS,
        startup_trials: int = STARTUP_TRIALS,
        steps_per_epoch: float = math.inf,
    ) -> None:
        self.ledger = ledger
        self.samplers = {arch: Sampler(arch, SEARCH_SPACE, config.seed, startup_trials) for arch in baselines}
        self._rungs = {arch: SuccessiveHalving(rungs, config.max_epochs, steps_per_epoch) for arch in baselines}
        self._baselines = baselines
        self._config = config
        self._running: set[str] = set()
        self._waiting = self._replay()

    def next_trial(self) -> Trial | None:
        """The trial to start next; None once every architecture has had all of its trials."""
        if self._waiting:
            trial = self._waiting.pop(0)
        else:
            asked = {arch: self.ledger.count(arch) for arch in self._baselines}
            open_archs = [arch for arch, count in asked.items() if count < self._config.trials]
            if not open_archs:
                return None
            # The one with most training left, lest a long trial run alone at the end; as long as nothing is known
            # the one with fewer trials under way, then the one that has had fewer. One at a time they take turns,
            # so that the order does not hang on the clock.
            left = {arch: self._seconds_left(arch) if self._running else 0.0 for arch in open_archs}
            arch = min(open_archs, key=lambda arch: (-left[arch], self.count_running(arch), asked[arch]))
            trial = self._ask(arch, asked[arch])
        self._running.add(trial.trial_id)
        return trial

    def report(self, trial_id: str, result: EpochResult) -> bool:
        """Takes an epoch's result; returns whether the trial is to be stopped, False if it is known already."""
        if not self.ledger.report(trial_id, result):
            return False
        return self._falls_below(self.ledger.trial(trial_id), len(self.ledger.trial(trial_id).history))

    def end(self, trial_id: str, *, failed: bool = False) -> None:
        """Takes note that a trial has ended: by itself, by a rung, or by failing for good."""
        trial = self.ledger.trial(trial_id)
        self.ledger.end(trial_id, self._status(trial, failed=failed))
        self._running.discard(trial_id)
        self.samplers[trial.arch].end(trial)

    def recipe(self, trial: Trial) -> TrainingConfig:
        """How a trial is trained."""
        return self._config.training(trial.lr, trial.dropout)

    def is_done(self) -> bool:
        """Whether every planned trial has ended."""
        return all(self.is_over(arch) for arch in self._baselines)

    def is_over(self, arch: str) -> bool:
        """Whether every planned trial of an architecture has ended."""
        trials = self.ledger.trials(arch)
        return len(trials) == self._config.trials and all(trial.status is not None for trial in trials)

    def has_begun_all(self) -> bool:
        """Whether `next_trial` has no trial left to give."""
        return not self._waiting and all(self.ledger.count(arch) == self._config.trials for arch in self._baselines)

    def count_running(self, arch: str | None = None) -> int:
        """How many trials, or those of an architecture, were given by `next_trial` and have not ended."""
        running = (self.ledger.trial(trial_id) for trial_id in self._running)
        return sum(arch in (None, trial.arch) for trial in running)

    def leaders(self, arch: str) -> list[Trial]:
        """The trials that ended by themselves, highest score first; ties by lower validation loss, then the earlier.

        Where all were pruned or diverged, those count too; empty if no trial has a score.
        """
        scored = [
            (trial, row)
            for trial in self.ledger.trials(arch)
            if trial.status not in (None, "FAILED") and (row := trial.best)
        ]
        ended = [pair for pair in scored if pair[0].status in ("COMPLETE", "STOPPED_EARLY")]
        ranked = sorted(ended or scored, key=lambda pair: (-pair[1].val_accuracy, pair[1].val_loss, pair[0].number))
        return [trial for trial, _ in ranked]

    def _ask(self, arch: str, number: int) -> Trial:
        if number > 0:
            return self.ledger.ask(arch, number, *self.samplers[arch].suggest(number))
        baseline = self._baselines[arch]
        trial = self.ledger.ask(arch, number, baseline.lr, baseline.dropout)
        self.samplers[arch].begin(trial)
        return trial

    def _replay(self) -> list[Trial]:
        """Brings samplers and rungs up to the ledger; returns the trials that are to go on."""
        epochs: dict[str, int] = {}
        stopped = set()
        for trial, _ in self.ledger.arrivals():
            epochs[trial.trial_id] = epochs.get(trial.trial_id, 0) + 1
            if self._falls_below(trial, epochs[trial.trial_id]):
                stopped.add(trial.trial_id)
            else:
                stopped.discard(trial.trial_id)  # it had gone on, whatever others are by now
        waiting = []
        for trial in self.ledger.trials():
            self.samplers[trial.arch].begin(trial)
            if trial.status is not None:
                self.samplers[trial.arch].end(trial)
            elif trial.trial_id in stopped or self._outcome(trial):
                self.end(trial.trial_id)
            else:
                waiting.append(trial)
        return waiting

    def _falls_below(self, trial: Trial, epoch: int) -> bool:
        history = trial.history[:epoch]
        outcome, best = outcome_of(history, self.recipe(trial)), best_epoch(history)
        if outcome == "DIVERGED" or best is None:
            return False
        stops = self._rungs[trial.arch].stops(trial.trial_id, epoch, best.val_accuracy)
        return stops and outcome is None

    def _status(self, trial: Trial, *, failed: bool) -> Status:
        return "FAILED" if failed else self._outcome(trial) or "PRUNED"

    def _outcome(self, trial: Trial) -> Status | None:
        return outcome_of(trial.history, self.recipe(trial))

    def _seconds_left(self, arch: str) -> float:
        """Of training in the trials not yet begun, if they take as long as those before them; infinite at first."""
        asked = self.ledger.count(arch)
        if not asked:
            return math.inf
        return (self._config.trials - asked) * self.ledger.tally(arch).seconds / asked
