"""The ledger of a search: each trial's configuration, the result of each epoch, and how each trial ended.

Everything that the sampler, the rungs and the tables need is a function of the ledger. The ledger is kept in an
append-only journal, so a driver that is killed loses at most the line it was writing.

A damaged line costs the trial it belongs to, and no other trial. Each event shows whether an earlier one is missing: an
epoch has a number, an end names the number of epochs. If the epochs of a trial have a gap, it is cut off at the gap and
goes on from there. If its configuration is missing, it counts as not yet asked for.
"""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pandas as pd

from analysis.results.files import without_nan
from analysis.results.study_folder import HISTORY_COLUMNS, TRIAL_COLUMNS
from models.networks.hyperparameters import Value
from models.training.history import EpochResult
from study.search.journal import Journal
from study.search.trial import Status, Tally, Trial


class Ledger:
    """Keeps the trials of a search, by network and by number, and writes them down as they happen.

    Args:
        journal: file that is read, if it is there, and appended to.

    Attributes:
        damage: a line that names the journal, the lines dropped, the copy kept and the trials that are not over; None
            if every line was as it was written.
    """

    def __init__(self, journal: Path) -> None:
        self._journal = Journal(journal)
        self._trials: dict[str, Trial] = {}
        self._numbers: dict[str, list[str]] = {}
        # The running trials and the sum of the ended ones are kept apart: a question after every epoch must not take
        # longer the more trials there are.
        self._running: dict[str, Trial] = {}
        self._ended: dict[str, Tally] = {}
        self._arrivals: list[tuple[Trial, EpochResult]] = []
        self._next: dict[str, int] = {}
        # Running trials that may have lost their newest epoch: their ends count only if they name their epochs.
        self._doubtful: set[str] = set()
        self._unasked: dict[str, None] = {}
        self.damage = self._replay()

    def trials(self, arch: str | None = None) -> list[Trial]:
        """Return all trials, or the trials of a network, in the order in which they were asked for."""
        if arch is None:
            return list(self._trials.values())
        return [self._trials[trial_id] for trial_id in self._numbers.get(arch, ())]

    def running(self) -> list[Trial]:
        """Return the trials that have not ended, in the order in which they were asked for."""
        return list(self._running.values())

    def count(self, arch: str) -> int:
        """Return how many trials of a network were asked for."""
        return len(self._numbers.get(arch, ()))

    def next_number(self, arch: str) -> int:
        """Return the lowest number that no trial of a network has: below the highest if a line was lost."""
        number = self._next.get(arch, 0)
        while f"{arch}-{number}" in self._trials:
            number += 1
        self._next[arch] = number
        return number

    def tally(self, arch: str) -> Tally:
        """Return the sum of a network's trials as they are now."""
        ended = self._ended.get(arch, Tally())
        total = replace(ended, states=ended.states.copy())
        for trial in self._running.values():
            if trial.arch == arch:
                total.add(trial)
        return total

    def trial(self, trial_id: str) -> Trial:
        """Return the trial of this name."""
        return self._trials[trial_id]

    def arrivals(self) -> list[tuple[Trial, EpochResult]]:
        """Return every epoch of every trial's history, in the order in which the driver was told."""
        return list(self._arrivals)

    def ask(self, arch: str, number: int, values: dict[str, Value]) -> Trial:
        """Note that a trial begins, and return it."""
        self._record({"event": "ask", "arch": arch, "number": number, "values": values, "time": _now()})
        return self._trials[f"{arch}-{number}"]

    def report(self, trial_id: str, result: EpochResult) -> bool:
        """Note an epoch's result; return False, and do nothing, if it is known already.

        An epoch that is known with another result was trained again from an earlier checkpoint, as happens on a GPU,
        where the same training gives other bits. It replaces the known epoch and all later ones.
        """
        known = self._trials[trial_id].history[result.epoch - 1 :]
        if known and known[0].is_same_as(result):
            return False
        if known:
            self._record({"event": "rewind", "trial_id": trial_id, "epoch": result.epoch})
        self._record({"event": "epoch", "trial_id": trial_id, **vars(result)}, may_wait=True)
        return True

    def note_error(self, trial_id: str, error: str) -> None:
        """Note why an attempt at a trial failed."""
        self._record({"event": "error", "trial_id": trial_id, "error": error})

    def end(self, trial_id: str, status: Status) -> None:
        """Note how a trial ended."""
        epochs = len(self._trials[trial_id].history)
        self._record({"event": "end", "trial_id": trial_id, "status": status, "epochs": epochs, "time": _now()})

    def trials_table(self) -> pd.DataFrame:
        """Return a row for each trial that has ended, as trials.csv has it, by network and number."""
        order = list(dict.fromkeys(trial.arch for trial in self._trials.values()))
        ended = [trial for trial in self._trials.values() if trial.status is not None]
        ended.sort(key=lambda trial: (order.index(trial.arch), trial.number))
        rows = []
        for trial in ended:
            best = trial.best
            rows.append(
                {
                    **trial.values,
                    "trial_id": trial.trial_id,
                    "arch": trial.arch,
                    "status": trial.status,
                    "epochs": len(trial.history),
                    "best_epoch": best.epoch if best else None,
                    "val_accuracy": best.val_accuracy if best else None,
                    "val_loss": best.val_loss if best else None,
                    "seconds": trial.seconds,
                    "is_baseline": trial.is_baseline,
                }
            )
        further = dict.fromkeys(name for trial in ended for name in trial.values if name not in TRIAL_COLUMNS)
        status = TRIAL_COLUMNS.index("status")
        columns = [*TRIAL_COLUMNS[:status], *further, *TRIAL_COLUMNS[status:]]
        table = pd.DataFrame(rows, columns=columns).astype({"best_epoch": "Int64"})
        # Whole numbers stay whole beside the empty cells of a network that lacks the hyperparameter.
        return table.assign(**{name: pd.Series([row.get(name) for row in rows], dtype=object) for name in further})

    def history_table(self) -> pd.DataFrame:
        """Return a row for each epoch of a trial, as history.csv has it, in the order of arrival."""
        rows = [
            {"trial_id": trial.trial_id, "arch": trial.arch, **without_nan(vars(result))}
            for trial, result in self._arrivals
        ]
        return pd.DataFrame(rows, columns=list(HISTORY_COLUMNS))

    def _record(self, event: dict[str, Any], *, may_wait: bool = False) -> None:
        self._journal.append(event, may_wait=may_wait)
        self._apply(event)

    def _apply(self, event: dict[str, Any] | None) -> None:
        """Take up an event. Raises ValueError, KeyError or TypeError if an event before it is missing."""
        if event is None:
            self._doubtful.update(self._running)
            raise ValueError("a line that cannot be read")
        match event:
            case {"event": "ask", "arch": str(arch), "number": int(number), **rest}:
                # Older journals have the hyperparameters beside the number.
                trial = Trial(arch, number, dict(rest.get("values", rest)), began=_time(rest))
                if trial.trial_id in self._trials:
                    raise ValueError(f"{trial.trial_id} was asked for before")
                self._trials[trial.trial_id] = trial
                self._numbers.setdefault(arch, []).append(trial.trial_id)
                self._running[trial.trial_id] = trial
            case {"event": "epoch", "trial_id": str(trial_id), **row}:
                trial = self._asked(trial_id)
                result = EpochResult(**{name: row[name] for name in EpochResult.__dataclass_fields__ if name in row})
                if result.epoch > len(trial.history) + 1:
                    self._doubtful.add(trial_id)
                    raise ValueError(f"epoch {result.epoch} of {trial_id} comes after {len(trial.history)}")
                self._cut(trial, result.epoch)
                trial.history.append(result)
                self._arrivals.append((trial, result))
                self._doubtful.discard(trial_id)
            case {"event": "rewind", "trial_id": str(trial_id), "epoch": int(epoch)}:
                self._cut(self._asked(trial_id), epoch)
            case {"event": "error", "trial_id": str(trial_id), "error": str(error)}:
                self._asked(trial_id).error = error
            case {"event": "end", "trial_id": str(trial_id), "status": status, **rest} if status in get_args(Status):
                trial = self._asked(trial_id)
                # Older journals do not name the epochs.
                is_whole = rest["epochs"] == len(trial.history) if "epochs" in rest else trial_id not in self._doubtful
                if not is_whole:
                    raise ValueError(f"{trial_id} has ended, but epochs of it are missing")
                trial.ended = _time(rest)
                trial.status = status
                del self._running[trial_id]
                self._ended.setdefault(trial.arch, Tally()).add(trial)
            case _:
                raise ValueError(f"no event of a search: {event}")

    def _asked(self, trial_id: str) -> Trial:
        """Return the running trial of this name. Raises ValueError if it was not asked for."""
        if trial_id not in self._trials:
            self._unasked[trial_id] = None
            raise ValueError(f"{trial_id} was not asked for")
        return self._trials[trial_id]

    def _cut(self, trial: Trial, epoch: int) -> None:
        """Forget the epochs of a trial from this one on."""
        if len(trial.history) >= epoch:
            del trial.history[epoch - 1 :]
            self._arrivals = [(t, row) for t, row in self._arrivals if t is not trial or row.epoch < epoch]

    def _replay(self) -> str | None:
        """Take up the journal; return the line of `damage`."""
        damage = self._journal.replay(self._apply)
        if damage is None:
            return None
        again = ", ".join([*self._unasked, *self._running]) or "none"
        return f"{self._journal.path} is damaged: {damage}; trials that are trained again or go on: {again}"


def _now() -> str:
    """Return the time on the clock as the journal keeps it: ISO 8601 in UTC, with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _time(event: dict[str, Any]) -> datetime | None:
    """Return the time of an event; None if an older version wrote it. Raises ValueError or TypeError if it is none."""
    return datetime.fromisoformat(event["time"]) if "time" in event else None
