"""Keeps the study folder and the screen up to date with the search."""

import copy
import time
from collections.abc import Mapping
from datetime import datetime

from optuna.trial import FrozenTrial

from analysis.results import optuna_database
from analysis.results.study_folder import StudyFolder
from study.listeners.progress import Progress
from study.listeners.work import Row, Unit
from study.search.ledger import Ledger
from study.search.search import Search
from study.search.trial import Status, Trial
from study.settings.config import StudyConfig

# The tables are written at most this often, and take at most this share of the driver's time.
TABLES_EVERY_SECONDS = 5.0
SHARE_OF_TIME = 0.005
# The database is written at most this often: it is promised to be at most a minute old if a few dozen trials run.
DATABASE_EVERY_SECONDS = 45.0
# The database and the screen each take at most this share of the driver's time, however many trials run.
SHARE_OF_SHOWING = 0.02
METRIC = "validation accuracy"
# A terminal has a column for each of these from the start, so that columns do not move.
_STATES = ("running", "complete", "stopped early", "pruned")
_ENDS: dict[Status, str] = {
    "COMPLETE": "it reached the cap on epochs",
    "STOPPED_EARLY": "its validation loss fell no more",
    "PRUNED": "others were better at this rung",
    "DIVERGED": "its loss is not finite",
    "FAILED": "it failed",
}


class SearchRecorder:
    """Writes trials.csv, history.csv and optuna.db, and shows how the search goes.

    Args:
        folder: the study's folder.
        progress: shows the rows on the screen.
        titles: name to title of each network.
        config: the study's settings.
        dataset: the data set's title, which optuna.db names.
        images: training images of an epoch.
    """

    def __init__(
        self,
        folder: StudyFolder,
        progress: Progress,
        titles: Mapping[str, str],
        config: StudyConfig,
        dataset: str,
        images: int,
    ) -> None:
        self._folder = folder
        self._progress = progress
        self._titles = titles
        self._config = config
        self._dataset = dataset
        self._images = images
        self._running: dict[str, Trial] = {}
        self._noted = 0
        self._next_tables = float("-inf")
        self._next_database = float("-inf")
        self._next_screen = float("-inf")
        self._is_screen_behind = False
        self._are_tables_behind = self._is_database_behind = False
        self._database = optuna_database.OptunaDatabase(folder.optuna)

    def begin(self, search: Search) -> None:
        """Show the search before its first change. Trials that ended in an earlier session are no news."""
        self._noted = len(search.ledger.trials())
        self._running = {trial.trial_id: trial for trial in search.ledger.running()}
        self._progress.begin("Search", self._rows(search.ledger))

    def on_change(self, search: Search) -> None:
        """Show the change, or leave it to `on_step`, which writes it into the files."""
        self._are_tables_behind = self._is_database_behind = self._is_screen_behind = True
        self._show_now_and_then(search.ledger)

    def _show_now_and_then(self, ledger: Ledger) -> None:
        """Show the rows if they are behind, and not before the last showing took its share of the time."""
        begun = time.monotonic()
        if self._is_screen_behind and begun >= self._next_screen:
            self._show(ledger)
            self._next_screen = time.monotonic() + (time.monotonic() - begun) / SHARE_OF_SHOWING

    def _show(self, ledger: Ledger) -> None:
        new = ledger.trials()[self._noted :]
        self._noted += len(new)
        self._running.update((trial.trial_id, trial) for trial in new)
        for trial_id, trial in list(self._running.items()):
            if trial.status is not None:
                self._progress.end(self._unit(self._running.pop(trial_id)))
        self._progress.update(self._rows(ledger))
        self._is_screen_behind = False

    def on_step(self, search: Search) -> None:
        """Show and write what has changed, now and then, because the files take longer the more there is."""
        self._show_now_and_then(search.ledger)
        if self._are_tables_behind and time.monotonic() >= self._next_tables:
            self._write_tables(search.ledger)
        if self._is_database_behind and time.monotonic() >= self._next_database:
            self._write_database(search)

    def finish(self, search: Search) -> None:
        """Write everything, and show the end of the search."""
        self._show(search.ledger)
        self.flush(search)
        self._progress.finish(self._rows(search.ledger))

    def flush(self, search: Search) -> None:
        """Write the tables and the database now."""
        self._write_tables(search.ledger)
        self._write_database(search)

    def _write_tables(self, ledger: Ledger) -> None:
        begun = time.monotonic()
        self._folder.write_trials(ledger.trials_table())
        self._folder.write_history(ledger.history_table())
        self._are_tables_behind = False
        seconds = time.monotonic() - begun
        self._next_tables = time.monotonic() + max(TABLES_EVERY_SECONDS, seconds / SHARE_OF_TIME)

    def _write_database(self, search: Search) -> None:
        begun = time.monotonic()
        self._database.update([self._search(search, arch) for arch in self._titles])
        self._is_database_behind = False
        seconds = time.monotonic() - begun
        self._next_database = begun + max(DATABASE_EVERY_SECONDS, seconds / SHARE_OF_SHOWING)

    def _search(self, search: Search, arch: str) -> optuna_database.Search:
        """Return a network's search as optuna.db holds it."""
        told = search.samplers[arch].study.get_trials(deepcopy=False)
        trials = [_described(*pair) for pair in zip(told, search.ledger.trials(arch), strict=True)]
        attributes = {"network": self._titles[arch], "data set": self._dataset, "study": self._folder.path.name}
        return optuna_database.Search(arch, METRIC, attributes, trials)

    def _rows(self, ledger: Ledger) -> list[Row]:
        rows = []
        for arch, title in self._titles.items():
            tally = ledger.tally(arch)
            states = dict.fromkeys(_STATES, 0)
            states |= {_state(status): count for status, count in tally.states.items()}
            running = [self._unit(trial) for trial in ledger.running() if trial.arch == arch and trial.history]
            rows.append(
                Row(
                    title,
                    self._config.trials,
                    states,
                    accuracy=tally.score,
                    epochs=tally.epochs,
                    seconds=tally.seconds,
                    arch=arch,
                    running=running,
                )
            )
        return rows

    def _unit(self, trial: Trial) -> Unit:
        last = trial.history[-1] if trial.history else None
        why = "" if trial.status is None else _ENDS[trial.status]
        if trial.status == "FAILED":
            why += f": {(trial.error or '').partition(chr(10))[0]}"
        return Unit(
            trial.trial_id,
            trial.arch,
            trial.values,
            len(trial.history),
            self._config.max_epochs,
            seconds=trial.seconds,
            loss=last.val_loss if last else None,
            accuracy=last.val_accuracy if last else None,
            images_per_s=self._images / last.seconds if last and last.seconds else None,
            end=why,
            is_whole=trial.status in ("COMPLETE", "STOPPED_EARLY"),
        )


def _described(told: FrozenTrial, trial: Trial) -> FrozenTrial:
    """Return Optuna's trial with what it was not told: the scores of a running trial, and attributes for people.

    Its times are the times in the journal, because Optuna was told of it anew when the study went on.
    """
    described = copy.copy(told)
    described.datetime_start, described.datetime_complete = _local(trial.began), _local(trial.ended)
    if trial.status is None:
        described.intermediate_values = dict(enumerate(trial.scores(), start=1))
    best = trial.best
    described.user_attrs = {
        "name": trial.trial_id,
        "baseline": trial.is_baseline,
        "status": _state(trial.status),
        "best epoch": None if best is None else best.epoch,
        "seconds": round(trial.seconds, 3),
    }
    return described


def _state(status: Status | None) -> str:
    return "running" if status is None else status.lower().replace("_", " ")


def _local(moment: datetime | None) -> datetime | None:
    """Return a time as Optuna keeps it: of this machine's zone, without naming the zone."""
    return None if moment is None else moment.astimezone().replace(tzinfo=None)
