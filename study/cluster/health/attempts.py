"""Counts the attempts at a trial or a run whose worker failed or died."""

from collections import Counter

# At most 2 more attempts without progress.
RETRIES = 2


class Attempts:
    """Grants another attempt to a run that has made progress, and a number of attempts to one that has not.

    So a machine that is taken away again and again does not use up the attempts of its runs, and a fault that comes
    back at the same step ends its run.

    Args:
        retries: more attempts after the first that made no progress.
    """

    def __init__(self, retries: int = RETRIES) -> None:
        self._retries = retries
        self._reached: dict[str, int] = {}
        self._lost: Counter[str] = Counter()

    def has_another(self, run: str, epoch: int) -> bool:
        """Count a failed attempt. Return whether there is another.

        Args:
            run: name of the run.
            epoch: the last epoch that it has completed in any attempt, 0 if none.
        """
        if epoch > self._reached.get(run, 0):
            self._reached[run] = epoch
            self._lost[run] = 0
        else:
            self._lost[run] += 1
        return self._lost[run] <= self._retries
