"""One architecture's Optuna study: where its next configuration comes from."""

import bisect
import heapq
import sqlite3
import tempfile
from collections.abc import Iterable
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from models.randomness import integer, stream
from study.config import TPE, SearchSpace, Tpe
from study.files import write_atomically
from study.ledger import Trial

# TPE takes time in proportion to the trials that it is shown. It tells the best 25 of them at most from the rest, so
# of a long history it is shown those and the newest.
HISTORY = 200
BEST = 25


class Sampler:
    """Suggests configurations by the Tree-structured Parzen Estimator (Bergstra et al., 2011).

    What is suggested for trial n is a function of the study's seed, n, and what is known of the other trials, so
    a sampler rebuilt from a ledger goes on as it would have.

    Args:
        arch: name of the architecture, and of its Optuna study.
        space: ranges to sample from.
        seed: the study's seed.
        tpe: its settings.
    """

    def __init__(self, arch: str, space: SearchSpace, seed: int, tpe: Tpe = TPE) -> None:
        self.study = optuna.create_study(study_name=arch, direction="maximize")
        self._seed = seed
        self._tpe = tpe
        self._running: dict[int, optuna.Trial] = {}
        self._ended: dict[int, FrozenTrial] = {}
        self._ranking: list[tuple[tuple[float, ...], int]] = []
        self._distributions: dict[str, BaseDistribution] = {
            "lr": FloatDistribution(*space.lr, log=True),
            "dropout": FloatDistribution(*space.dropout),
        }

    def suggest(self, number: int) -> tuple[float, float]:
        """Learning rate and dropout for the trial of this number, which counts as running from now on."""
        purpose = ("sampler", self.study.study_name, number)
        sampler = optuna.samplers.TPESampler(
            n_startup_trials=self._tpe.startup_trials,
            multivariate=self._tpe.multivariate,
            seed=integer(stream(self._seed, *purpose)),
        )
        if len(self._ended) > HISTORY:
            excerpt = optuna.create_study(direction="maximize", sampler=sampler)
            excerpt.add_trials(self._excerpt())
            self.study.enqueue_trial(excerpt.ask(self._distributions).params)
        self.study.sampler = sampler
        trial = self.study.ask(self._distributions)
        self._running[number] = trial
        return trial.params["lr"], trial.params["dropout"]

    def begin(self, trial: Trial) -> None:
        """Takes up a trial whose configuration is given."""
        self.study.enqueue_trial({"lr": trial.lr, "dropout": trial.dropout})
        self._running[trial.number] = self.study.ask(self._distributions)

    def end(self, trial: Trial) -> None:
        """Tells Optuna how a trial ended.

        One that ended by itself is COMPLETE with its score; one that a rung stopped is PRUNED with its score
        after each epoch; one that diverged is PRUNED without scores, which TPE ranks last; one that failed is FAIL,
        which TPE leaves out.
        """
        running = self._running.pop(trial.number)
        scores = trial.scores()
        if trial.status != "DIVERGED":
            for epoch, score in enumerate(scores, start=1):
                running.report(score, epoch)
        if trial.status == "FAILED":
            self.study.tell(running, state=TrialState.FAIL)
        elif trial.status in ("COMPLETE", "STOPPED_EARLY"):
            self._note(trial.number, self.study.tell(running, scores[-1]), (0, -scores[-1]))
        else:
            rank = (2,) if trial.status == "DIVERGED" else (1, -len(scores), -scores[-1])
            self._note(trial.number, self.study.tell(running, state=TrialState.PRUNED), rank)

    def _note(self, number: int, frozen: FrozenTrial, rank: tuple[float, ...]) -> None:
        self._ended[number] = frozen
        bisect.insort(self._ranking, (rank, number))

    def _excerpt(self) -> list[FrozenTrial]:
        """The best trials, as TPE ranks them, and the newest."""
        best = [number for _, number in self._ranking[:BEST]]
        newest = heapq.nlargest(HISTORY - BEST, self._ended)
        return [self._ended[number] for number in sorted({*best, *newest})]


def export(samplers: Iterable[Sampler], path: Path) -> None:
    """Writes the Optuna studies as one SQLite database, as `optuna-dashboard sqlite:///path` opens it."""
    with tempfile.TemporaryDirectory() as directory:
        database = Path(directory) / "optuna.db"
        storage = optuna.storages.RDBStorage(f"sqlite:///{database}")
        for sampler in samplers:
            name = sampler.study.study_name
            copied = optuna.create_study(study_name=name, direction="maximize", storage=storage)
            copied.add_trials(sampler.study.trials)
        storage.engine.dispose()
        with sqlite3.connect(database) as connection:
            connection.execute("VACUUM")
        content = database.read_bytes()
    write_atomically(path, lambda file: file.write(content))
