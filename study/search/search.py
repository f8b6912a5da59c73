"""The search over all networks, without Ray: which trial comes next, and which trials are stopped.

Each network has a sampler and rungs of its own and the same number of trials, so it is compared only with itself and
has the same chances.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np

from models.networks.hyperparameters import Value
from models.training.history import EpochResult, best_epoch, outcome_of
from models.training.recipe import TrainingConfig
from study.search.ledger import Ledger
from study.search.sampler import Sampler, Told
from study.search.trial import Status, Trial
from study.settings.config import StudyConfig
from study.settings.search_space import RUNGS, SEARCH_SPACE, STARTUP_TRIALS, Rungs, SearchSpace


class SuccessiveHalving:
    """Asynchronous successive halving (Li et al., 2020) over the trials of one network, with a tolerance.

    A trial that comes to a rung is compared with the trials that came there before it, as in Ray Tune's ASHAScheduler.
    It goes on unless its score lies below their (1 - 1 / reduction factor) quantile by more than the tolerance.

    Equal results in equal order give equal decisions, so the rungs can be rebuilt from a ledger.

    Args:
        rungs: the rungs, in epochs.
        max_epochs: cap on the epochs of a trial.
        steps_per_epoch: optimizer steps.
    """

    def __init__(self, rungs: Rungs, max_epochs: int, steps_per_epoch: float) -> None:
        self._quantile = 1 - 1 / rungs.reduction_factor
        self._tolerance = rungs.tolerance
        self._scores: dict[int, dict[str, float]] = {}
        epoch = rungs.first(max_epochs, steps_per_epoch)
        while epoch < max_epochs:
            self._scores[epoch] = {}
            epoch *= rungs.reduction_factor

    def is_rung(self, epoch: int) -> bool:
        """Return whether trials are judged at this epoch."""
        return epoch in self._scores

    def stops(self, trial_id: str, epoch: int, score: float) -> bool:
        """Return whether a trial with this score is stopped at this epoch.

        Returns:
            False if the epoch is no rung, or if the rung has judged the trial before.
        """
        at_rung = self._scores.get(epoch)
        if at_rung is None or trial_id in at_rung:
            return False
        earlier = list(at_rung.values())
        at_rung[trial_id] = score
        return bool(earlier and score < np.quantile(earlier, self._quantile) - self._tolerance)


class Search:
    """Decides for the driver what happens to each trial, and writes it down in the ledger.

    If the ledger is not empty, the search goes on from there: trials that had not ended come first.

    Args:
        config: the study's configuration.
        baselines: the recipe of trial 0 of each network, in the order of the study.
        ledger: the search so far.
        rungs: the rungs that stop trials.
        startup_trials: this many trials end before a Gaussian process proposes configurations.
        steps_per_epoch: optimizer steps; infinite if they shall move neither the rungs nor the end of patience.
        spaces: the ranges that each network's configurations are chosen from; None is SEARCH_SPACE for all.
        allows: for some networks, returns whether a configuration may be tried. Trials in the ledger are not asked
            about again.
        told: for some networks, what an earlier study tells the sampler.

    Attributes:
        ledger: the search so far.
        samplers: the sampler of each network.
    """

    def __init__(
        self,
        config: StudyConfig,
        baselines: Mapping[str, TrainingConfig],
        ledger: Ledger,
        rungs: Rungs = RUNGS,
        startup_trials: int = STARTUP_TRIALS,
        steps_per_epoch: float = math.inf,
        spaces: Mapping[str, SearchSpace] | None = None,
        allows: Mapping[str, Callable[[Mapping[str, Value]], bool]] | None = None,
        told: Mapping[str, Told] | None = None,
    ) -> None:
        self.ledger = ledger
        self._spaces = spaces or dict.fromkeys(baselines, SEARCH_SPACE)
        self.samplers = {
            arch: Sampler(
                arch,
                self._spaces[arch],
                config.seed,
                startup_trials,
                (allows or {}).get(arch),
                (told or {}).get(arch, ()),
            )
            for arch in baselines
        }
        self._rungs = {arch: SuccessiveHalving(rungs, config.max_epochs, steps_per_epoch) for arch in baselines}
        self._baselines = baselines
        self._config = config
        self._steps_per_epoch = steps_per_epoch
        self._running: set[str] = set()
        self._waiting = self._replay()

    def next_trial(self) -> Trial | None:
        """Return the trial to start next; None once every network has had all of its trials."""
        if self._waiting:
            trial = self._waiting.pop(0)
        else:
            asked = {arch: self.ledger.count(arch) for arch in self._baselines}
            open_archs = [arch for arch, count in asked.items() if count < self._config.trials]
            if not open_archs:
                return None
            # The network with most training left comes first, so that no long trial runs alone at the end. Before
            # anything is known it is the network with fewer trials under way, then the one with fewer trials. One at a
            # time they take turns, so that the order does not depend on the clock.
            left = {arch: self._seconds_left(arch) if self._running else 0.0 for arch in open_archs}
            arch = min(open_archs, key=lambda arch: (-left[arch], self.count_running(arch), asked[arch]))
            trial = self._ask(arch, self.ledger.next_number(arch))
        self._running.add(trial.trial_id)
        return trial

    def report(self, trial_id: str, result: EpochResult) -> bool:
        """Take an epoch's result; return whether the trial is to be stopped, False if the result is known already."""
        if not self.ledger.report(trial_id, result):
            return False
        return self._is_stopped_at_rung(self.ledger.trial(trial_id), len(self.ledger.trial(trial_id).history))

    def is_over(self, trial: Trial) -> bool:
        """Return whether a trial has ended by itself: at the cap, out of patience, or diverged."""
        return self._outcome(trial) is not None

    def end(self, trial_id: str, *, failed: bool = False) -> None:
        """Note that a trial has ended: by itself, by a rung, or by failing for good."""
        trial = self.ledger.trial(trial_id)
        self.ledger.end(trial_id, self._status(trial, failed=failed))
        self._running.discard(trial_id)
        self.samplers[trial.arch].end(trial)

    def recipe(self, trial: Trial) -> TrainingConfig:
        """Return how a trial is trained."""
        return self._config.training(trial.values)

    def is_done(self) -> bool:
        """Return whether every planned trial has ended."""
        return all(
            len(trials) == self._config.trials and all(trial.status is not None for trial in trials)
            for trials in map(self.ledger.trials, self._baselines)
        )

    def count_running(self, arch: str | None = None) -> int:
        """Return how many trials, in all or of a network, were given by `next_trial` and have not ended."""
        running = (self.ledger.trial(trial_id) for trial_id in self._running)
        return sum(arch in (None, trial.arch) for trial in running)

    def leaders(self, arch: str) -> list[Trial]:
        """Return the trials that ended by themselves, highest score first, then lowest validation loss, then number.

        If none ended by itself, the pruned and diverged trials count too. The list is empty if no trial has a score.
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
        first_lrs = self._config.first_lrs if self._spaces[arch].varies("lr") else ()
        if number > len(first_lrs):
            return self.ledger.ask(arch, number, self.samplers[arch].suggest(number))
        values = dict(self._baselines[arch].values)
        if number > 0:
            values["lr"] = first_lrs[number - 1]
        trial = self.ledger.ask(arch, number, values)
        self.samplers[arch].begin(trial)
        return trial

    def _replay(self) -> list[Trial]:
        """Bring samplers and rungs up to the ledger; return the trials that are to go on."""
        epochs: dict[str, int] = {}
        stopped = set()
        for trial, _ in self.ledger.arrivals():
            epochs[trial.trial_id] = epochs.get(trial.trial_id, 0) + 1
            if self._is_stopped_at_rung(trial, epochs[trial.trial_id]):
                stopped.add(trial.trial_id)
            else:
                stopped.discard(trial.trial_id)  # it had gone on, whatever the others are by now
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

    def _is_stopped_at_rung(self, trial: Trial, epoch: int) -> bool:
        if not self._rungs[trial.arch].is_rung(epoch):
            return False
        history = trial.history[:epoch]
        outcome, best = outcome_of(history, self.recipe(trial), self._steps_per_epoch), best_epoch(history)
        if outcome == "DIVERGED" or best is None:
            return False
        stops = self._rungs[trial.arch].stops(trial.trial_id, epoch, best.val_accuracy)
        return stops and outcome is None

    def _status(self, trial: Trial, *, failed: bool) -> Status:
        return "FAILED" if failed else self._outcome(trial) or "PRUNED"

    def _outcome(self, trial: Trial) -> Status | None:
        return outcome_of(trial.history, self.recipe(trial), self._steps_per_epoch)

    def _seconds_left(self, arch: str) -> float:
        """Return the seconds of the trials not yet begun, if they take as long as the others; infinite at first."""
        asked = self.ledger.count(arch)
        if not asked:
            return math.inf
        return (self._config.trials - asked) * self.ledger.tally(arch).seconds / asked
