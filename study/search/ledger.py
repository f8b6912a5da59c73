"""The ledger of a search: what was asked, what each epoch gave, how each trial ended.

Everything that the searcher, the rungs and the tables need is a function of it. It is kept as an append-only
journal of JSON lines, so a driver that is killed loses nothing but the line it was writing.
"""

import errno
import json
import os
import zlib
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

import pandas as pd

from analysis.results.files import without_nan
from analysis.results.study_folder import HISTORY_COLUMNS, TRIAL_COLUMNS
from models.training.history import EpochResult, best_epoch

Status = Literal["COMPLETE", "STOPPED_EARLY", "PRUNED", "DIVERGED", "FAILED"]


@dataclass
class Trial:
    """One configuration of one architecture and what became of it.

    Attributes:
        number: counts from 0 within its architecture; 0 is the documented baseline.
        status: None while it runs.
        error: why its last failed attempt failed, if one did.
    """

    arch: str
    number: int
    lr: float
    dropout: float
    status: Status | None = None
    error: str | None = None
    history: list[EpochResult] = field(default_factory=list)

    @property
    def trial_id(self) -> str:
        return f"{self.arch}-{self.number}"

    @property
    def is_baseline(self) -> bool:
        return self.number == 0

    @property
    def best(self) -> EpochResult | None:
        """The epoch of lowest validation loss; None before there is a finite one."""
        return best_epoch(self.history)

    def scores(self) -> list[float]:
        """After each epoch, the validation accuracy of the weights that the trial would keep then."""
        kept = (best_epoch(self.history[: end + 1]) for end in range(len(self.history)))
        return [row.val_accuracy for row in kept if row is not None]


@dataclass
class Tally:
    """What some trials add up to.

    Attributes:
        states: how many trials ended in each status; None for those that run.
        score: the highest of their scores, in [0, 1]; None if there is none.
        epochs: trained.
        seconds: of training.
        under_way: seconds of it in trials that run.
    """

    states: Counter[Status | None] = field(default_factory=Counter)
    score: float | None = None
    epochs: int = 0
    seconds: float = 0.0
    under_way: float = 0.0

    def add(self, trial: Trial) -> None:
        self.states[trial.status] += 1
        if (best := trial.best) is not None:
            self.score = best.val_accuracy if self.score is None else max(self.score, best.val_accuracy)
        self.epochs += len(trial.history)
        seconds = sum(row.seconds for row in trial.history)
        self.seconds += seconds
        if trial.status is None:
            self.under_way += seconds


class Ledger:
    """The trials of a search, by architecture and by number, written down as they happen.

    Args:
        journal: file that is read, if it is there, and appended to.

    Attributes:
        damage: a line that names the journal, if a part of it was damaged. What was written from there on is cut off:
            it happens again, from the checkpoints where they have it.
    """

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._trials: dict[str, Trial] = {}
        self._numbers: dict[str, list[str]] = {}
        # What is asked after every epoch must not take longer the more trials there are.
        self._running: dict[str, Trial] = {}
        self._ended: dict[str, Tally] = {}
        self._arrivals: list[tuple[Trial, EpochResult]] = []
        self.damage = self._replay()

    def trials(self, arch: str | None = None) -> list[Trial]:
        """All trials, or those of an architecture, in the order in which they were asked for."""
        if arch is None:
            return list(self._trials.values())
        return [self._trials[trial_id] for trial_id in self._numbers.get(arch, ())]

    def count(self, arch: str) -> int:
        """How many trials of an architecture were asked for."""
        return len(self._numbers.get(arch, ()))

    def tally(self, arch: str) -> Tally:
        """What the trials of an architecture add up to now."""
        ended = self._ended.get(arch, Tally())
        total = replace(ended, states=ended.states.copy())
        for trial in self._running.values():
            if trial.arch == arch:
                total.add(trial)
        return total

    def trial(self, trial_id: str) -> Trial:
        return self._trials[trial_id]

    def arrivals(self) -> list[tuple[Trial, EpochResult]]:
        """Every epoch of every trial's history, in the order in which the driver was told."""
        return list(self._arrivals)

    def ask(self, arch: str, number: int, lr: float, dropout: float) -> Trial:
        """Notes that a trial begins."""
        self._record({"event": "ask", "arch": arch, "number": number, "lr": lr, "dropout": dropout})
        return self._trials[f"{arch}-{number}"]

    def report(self, trial_id: str, result: EpochResult) -> bool:
        """Notes an epoch's result; returns False, and does nothing, if it is known already.

        One that is known with another result was trained again, from a checkpoint before it, and not to the bit as the
        first time, as happens on a GPU: it takes the place of the known one and of all after that.
        """
        known = self._trials[trial_id].history[result.epoch - 1 :]
        if known and known[0].is_same_as(result):
            return False
        if known:
            self._record({"event": "rewind", "trial_id": trial_id, "epoch": result.epoch})
        self._record({"event": "epoch", "trial_id": trial_id, **vars(result)})
        return True

    def note_error(self, trial_id: str, error: str) -> None:
        """Notes why an attempt at a trial failed."""
        self._record({"event": "error", "trial_id": trial_id, "error": error})

    def end(self, trial_id: str, status: Status) -> None:
        """Notes how a trial ended."""
        self._record({"event": "end", "trial_id": trial_id, "status": status})

    def trials_table(self) -> pd.DataFrame:
        """A row a trial that has ended, as trials.csv has it, by architecture and number."""
        order = list(dict.fromkeys(trial.arch for trial in self._trials.values()))
        ended = [trial for trial in self._trials.values() if trial.status is not None]
        ended.sort(key=lambda trial: (order.index(trial.arch), trial.number))
        rows = []
        for trial in ended:
            best = trial.best
            rows.append(
                {
                    "trial_id": trial.trial_id,
                    "arch": trial.arch,
                    "lr": trial.lr,
                    "dropout": trial.dropout,
                    "status": trial.status,
                    "epochs": len(trial.history),
                    "best_epoch": best.epoch if best else None,
                    "val_accuracy": best.val_accuracy if best else None,
                    "val_loss": best.val_loss if best else None,
                    "seconds": sum(row.seconds for row in trial.history),
                    "is_baseline": trial.is_baseline,
                }
            )
        return pd.DataFrame(rows, columns=list(TRIAL_COLUMNS)).astype({"best_epoch": "Int64"})

    def history_table(self) -> pd.DataFrame:
        """A row an epoch of a trial, as history.csv has it, in the order of arrival."""
        rows = [
            {"trial_id": trial.trial_id, "arch": trial.arch, **without_nan(vars(result))}
            for trial, result in self._arrivals
        ]
        return pd.DataFrame(rows, columns=list(HISTORY_COLUMNS))

    def _record(self, event: dict[str, Any]) -> None:
        self._journal.parent.mkdir(parents=True, exist_ok=True)
        with self._journal.open("ab", buffering=0) as file:
            whole = file.tell()
            line = _line(event)
            try:
                if file.write(line) < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._journal))
                os.fsync(file.fileno())
            except OSError:
                file.truncate(whole)
                raise
        self._apply(event)

    def _apply(self, event: dict[str, Any]) -> None:
        match event:
            case {"event": "ask", "arch": arch, "number": number, "lr": lr, "dropout": dropout}:
                trial = Trial(arch, number, lr, dropout)
                self._trials[trial.trial_id] = trial
                self._numbers.setdefault(arch, []).append(trial.trial_id)
                self._running[trial.trial_id] = trial
            case {"event": "epoch", "trial_id": trial_id, **row}:
                result = EpochResult(**{name: row[name] for name in EpochResult.__dataclass_fields__ if name in row})
                self._trials[trial_id].history.append(result)
                self._arrivals.append((self._trials[trial_id], result))
            case {"event": "rewind", "trial_id": trial_id, "epoch": epoch}:
                trial = self._trials[trial_id]
                del trial.history[epoch - 1 :]
                self._arrivals = [(t, row) for t, row in self._arrivals if t is not trial or row.epoch < epoch]
            case {"event": "error", "trial_id": trial_id, "error": error}:
                self._trials[trial_id].error = error
            case {"event": "end", "trial_id": trial_id, "status": status} if status in get_args(Status):
                trial = self._trials[trial_id]
                trial.status = status
                if self._running.pop(trial_id, None) is not None:
                    self._ended.setdefault(trial.arch, Tally()).add(trial)
            case _:
                raise ValueError(f"no event of a search: {event}")

    def _replay(self) -> str | None:
        """Takes up the journal; cuts off a last line that was not finished, and all from a damaged line on."""
        if not self._journal.exists():
            return None
        content = self._journal.read_bytes()
        lines = content.split(b"\n")[:-1]  # what follows the last line end was not finished
        taken, damage = 0, None
        for number, line in enumerate(lines, start=1):
            try:
                self._apply(_event(line))
            except (ValueError, KeyError, TypeError) as error:
                damage = f"{self._journal} is damaged at line {number} ({error}); what came after it is made again"
                break
            taken += len(line) + 1
        if taken < len(content):
            os.truncate(self._journal, taken)
        return damage


def _line(event: dict[str, Any]) -> bytes:
    """An event as a line of JSON that ends with a checksum of the rest."""
    checksum = zlib.crc32(json.dumps(event).encode())
    return json.dumps({**event, "crc32": checksum}).encode() + b"\n"


def _event(line: bytes) -> dict[str, Any]:
    """The event of a line. Raises ValueError, KeyError or TypeError if it is not as it was written."""
    event = json.loads(line)
    if not isinstance(event, dict):
        raise ValueError("no event")
    checksum = event.pop("crc32")
    if zlib.crc32(json.dumps(event).encode()) != checksum:
        raise ValueError("wrong checksum")
    return event
