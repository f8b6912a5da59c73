"""One architecture's rungs: which of its trials are stopped early."""

from types import SimpleNamespace
from typing import Any, cast

from ray.tune.schedulers import ASHAScheduler, TrialScheduler

from study.config import Rungs


class SuccessiveHalving:
    """Asynchronous successive halving (Li et al., 2020) over the trials of one architecture, as Ray Tune has it.

    Fed the same results in the same order, it gives the same decisions, so it can be rebuilt from a ledger.

    Args:
        rungs: where the rungs lie, in epochs.
        max_epochs: cap on the epochs of a trial.
        steps_per_epoch: optimizer steps.
    """

    def __init__(self, rungs: Rungs, max_epochs: int, steps_per_epoch: float) -> None:
        self._scheduler = ASHAScheduler(
            time_attr="epoch",
            metric="score",
            mode="max",
            # The cap ends a trial by itself; ASHA must not count that as stopping it.
            max_t=max_epochs + 1,
            grace_period=rungs.first(max_epochs, steps_per_epoch),
            reduction_factor=rungs.reduction_factor,
        )
        self._known: set[str] = set()

    def stops(self, trial_id: str, epoch: int, score: float) -> bool:
        """Whether a trial with this score after this epoch falls below a rung."""
        # ASHA reads nothing of a trial but its id, and nothing of the controller.
        trial = cast(Any, SimpleNamespace(trial_id=trial_id))
        controller = cast(Any, None)
        if trial_id not in self._known:
            self._known.add(trial_id)
            self._scheduler.on_trial_add(controller, trial)
        decision = self._scheduler.on_trial_result(controller, trial, {"epoch": epoch, "score": score})
        return bool(decision == TrialScheduler.STOP)
