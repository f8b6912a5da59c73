"""Chooses a run of a group without looking at the test set."""

from dataclasses import dataclass

import numpy as np

from analysis.results.load import Group
from analysis.results.run_folders import FinalRun


@dataclass(frozen=True)
class ChosenRun:
    """Holds the run with the lowest validation loss, and the runs that it was chosen from.

    Attributes:
        run: the chosen run.
        candidates: the runs that it was chosen from, by ascending seed.
        correct: true if a run classifies a test image correctly, bool [candidates, n_test].
    """

    run: FinalRun
    candidates: list[FinalRun]
    correct: np.ndarray

    @property
    def name(self) -> str:
        """Return the name by which commands know the run: "alexnet-tuned/seed-3"."""
        return f"{self.run.group}/seed-{self.run.seed}"

    @property
    def own_correct(self) -> np.ndarray:
        """Return whether the chosen run classifies each test image correctly, bool [n_test]."""
        correct: np.ndarray = self.correct[[run.seed for run in self.candidates].index(self.run.seed)]
        return correct


def choose_run(group: Group) -> ChosenRun | None:
    """Return the run of a group with the lowest validation loss; None if no loss is known.

    Runs that diverged kept their best weights, but one of them is chosen only if every run diverged.
    """
    runs = [run for run in group.runs if run.metrics["val_loss"] is not None and np.isfinite(run.metrics["val_loss"])]
    sound = [run for run in runs if run.metrics["status"] != "DIVERGED"] or runs
    if not sound:
        return None
    best = min(sound, key=lambda run: (run.metrics["val_loss"], run.seed))
    return ChosenRun(best, sound, group.correct()[[group.seeds.index(run.seed) for run in sound]])
