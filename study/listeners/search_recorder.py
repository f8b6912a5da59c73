"""Keeps the study folder and the screen up to date with the search."""

import time
from collections.abc import Mapping

from analysis.results.optuna_database import export
from analysis.results.study_folder import StudyFolder
from study.listeners.progress import Progress, Row
from study.search.ledger import Ledger
from study.search.search import Search
from study.search.trial import Status

# The tables are written at most this often, and take at most this share of the driver's time.
TABLES_EVERY_SECONDS = 5.0
TABLES_SHARE_OF_TIME = 0.01


class SearchRecorder:
    """Writes trials.csv, history.csv and optuna.db, and shows how the search goes.

    Args:
        folder: the study's folder.
        progress: shows the rows on the screen.
        titles: name to title of each network.
        planned: trials planned for each network.
    """

    def __init__(self, folder: StudyFolder, progress: Progress, titles: Mapping[str, str], planned: int) -> None:
        self._folder = folder
        self._progress = progress
        self._titles = titles
        self._planned = planned
        self._next_tables = float("-inf")

    def begin(self, search: Search) -> None:
        """Show the search before its first change."""
        self._progress.begin("Search", self._rows(search.ledger))

    def on_change(self, search: Search) -> None:
        """Show the change; write the tables now and then, because they take longer the more there is."""
        self._progress.update(self._rows(search.ledger))
        if time.monotonic() >= self._next_tables:
            self._write_tables(search.ledger)

    def finish(self, search: Search) -> None:
        """Write everything, and show the end of the search."""
        self.flush(search)
        self._progress.finish(self._rows(search.ledger))

    def flush(self, search: Search) -> None:
        """Write the tables and the database now."""
        self._write_tables(search.ledger)
        export((sampler.study for sampler in search.samplers.values()), self._folder.optuna)

    def _write_tables(self, ledger: Ledger) -> None:
        begun = time.monotonic()
        self._folder.write_trials(ledger.trials_table())
        self._folder.write_history(ledger.history_table())
        done = time.monotonic()
        self._next_tables = done + max(TABLES_EVERY_SECONDS, (done - begun) / TABLES_SHARE_OF_TIME)

    def _rows(self, ledger: Ledger) -> list[Row]:
        rows = []
        for arch, title in self._titles.items():
            tally = ledger.tally(arch)
            states = {_state(status): count for status, count in tally.states.items()}
            rows.append(
                Row(
                    title,
                    self._planned,
                    states,
                    accuracy=tally.score,
                    epochs=tally.epochs,
                    seconds=tally.seconds,
                    under_way=tally.under_way,
                )
            )
        return rows


def _state(status: Status | None) -> str:
    return "running" if status is None else status.lower().replace("_", " ")
