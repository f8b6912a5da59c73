"""Keeps the study folder and the screen up to date with the search."""

import time
from collections import Counter
from collections.abc import Mapping

from study.folder import StudyFolder
from study.ledger import Ledger
from study.progress import Progress, Row
from study.sampler import export
from study.search import Search

TABLES_EVERY_SECONDS = 5.0


class SearchRecorder:
    """Writes trials.csv, history.csv and optuna.db, and shows how the search goes.

    Args:
        titles: name to title of each architecture.
        planned: trials planned for each architecture.
    """

    def __init__(self, folder: StudyFolder, progress: Progress, titles: Mapping[str, str], planned: int) -> None:
        self._folder = folder
        self._progress = progress
        self._titles = titles
        self._planned = planned
        self._written = float("-inf")

    def begin(self, search: Search) -> None:
        self._progress.begin("Search", self._rows(search.ledger))

    def on_change(self, search: Search) -> None:
        """Shows the change; writes the tables every few seconds, since that takes longer the more there is."""
        self._progress.update(self._rows(search.ledger))
        if time.monotonic() - self._written >= TABLES_EVERY_SECONDS:
            self._write_tables(search.ledger)

    def finish(self, search: Search) -> None:
        self.flush(search)
        self._progress.finish(self._rows(search.ledger))

    def flush(self, search: Search) -> None:
        """Writes all that is known."""
        self._write_tables(search.ledger)
        export(search.samplers.values(), self._folder.optuna)

    def _write_tables(self, ledger: Ledger) -> None:
        self._folder.write_trials(ledger.trials_table())
        self._folder.write_history(ledger.history_table())
        self._written = time.monotonic()

    def _rows(self, ledger: Ledger) -> list[Row]:
        rows = []
        for arch, title in self._titles.items():
            trials = ledger.trials(arch)
            states = Counter("running" if t.status is None else t.status.lower().replace("_", " ") for t in trials)
            scores = [trial.best.val_accuracy for trial in trials if trial.best is not None]
            rows.append(
                Row(
                    title=title,
                    planned=self._planned,
                    states=states,
                    accuracy=max(scores, default=None),
                    epochs=sum(len(trial.history) for trial in trials),
                    seconds=sum(row.seconds for trial in trials for row in trial.history),
                )
            )
        return rows
