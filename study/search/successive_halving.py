"""One architecture's rungs: which of its trials are stopped early."""

import numpy as np

from study.settings.config import Rungs


class SuccessiveHalving:
    """Asynchronous successive halving (Li et al., 2020) over the trials of one architecture, with a tolerance.

    A trial that comes to a rung is held against those that came there before it, as in Ray Tune's ASHAScheduler: it
    goes on unless its score lies below their (1 - 1 / reduction factor) quantile, here by more than the tolerance.

    Fed the same results in the same order, it gives the same decisions, so it can be rebuilt from a ledger.

    Args:
        rungs: where the rungs lie, in epochs.
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

    def stops(self, trial_id: str, epoch: int, score: float) -> bool:
        """Whether a trial with this score after this epoch is stopped there; at each rung it is asked once."""
        at_rung = self._scores.get(epoch)
        if at_rung is None or trial_id in at_rung:
            return False
        earlier = list(at_rung.values())
        at_rung[trial_id] = score
        return bool(earlier and score < np.quantile(earlier, self._quantile) - self._tolerance)
