"""The study folder: its file names and formats, those of a run apart (study/run_folders.py)."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.results.files import (
    DamagedFile,
    csv_bytes,
    read_csv,
    read_json,
    read_npz,
    remove_temporaries,
    verify,
    write_checksums,
    write_csv,
    write_json,
    write_npz,
)
from analysis.results.run_folders import EPOCH_COLUMNS, ConfirmationRuns, FinalRuns, RunFolders
from study.errors import BadInput
from study.storage.lock import Locked, exclusive

TRIAL_COLUMNS = (
    "trial_id",
    "arch",
    "lr",
    "dropout",
    "status",
    "epochs",
    "best_epoch",
    "val_accuracy",
    "val_loss",
    "seconds",
    "is_baseline",
)
HISTORY_COLUMNS = ("trial_id", "arch", *EPOCH_COLUMNS)

_OWN_ENTRIES = {"study.json", "trials.csv", "history.csv", "optuna.db", "tune", "final", "confirm", "report"}


@dataclass(frozen=True)
class Samples:
    """Some test images kept for the report: uint8 [k, 32, 32, 3] and their positions int64 [k] in the test set."""

    images: np.ndarray
    positions: np.ndarray


def check_name(name: str) -> str:
    """Returns the name of a study. Raises BadInput unless it is one plain path component."""
    if (
        name in ("", ".", "..")
        or len(name.encode()) > 200
        or not re.fullmatch(r"[\w.+=@ -]{1,200}", name)
        or name != name.strip()
        or name.startswith("-")
    ):
        raise BadInput(
            f"--name {name!r} is not one plain path component: use letters, digits and . _ + = @ - (at most 200,"
            " no - first)"
        )
    return name


class StudyFolder:
    """Reads and writes `<results-dir>/<name>`. Every file is written whole or not at all."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, results_dir: Path, name: str) -> "StudyFolder":
        """Makes the folder of a new study, clearing what a study that never began has left there.

        Raises BadInput if the name is taken, or the folder holds what is not a study's, or cannot be written.
        """
        cls.check_free(results_dir, name)
        folder = cls(results_dir / name)
        try:
            folder.path.mkdir(parents=True, exist_ok=True)
            for entry in folder.path.iterdir():
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        except OSError as error:
            raise BadInput(f"the results folder {results_dir} cannot be written: {error.strerror}") from error
        return folder

    def set_aside(self) -> Path | None:
        """Moves what a study has left that lost its study.json into a new folder beside this one, which is returned.

        study.json is written first: a study that never began has left nothing else. None where nothing else is there.
        """
        if not any(entry.name in _OWN_ENTRIES for entry in self.path.iterdir()):
            return None
        made = Path(tempfile.mkdtemp(prefix=f"{self.path.name}-set-aside-", dir=self.path.parent))
        aside = self.path.with_name(made.name)  # since some versions of Python give an absolute path
        aside.chmod(self.path.stat().st_mode)
        for entry in list(self.path.iterdir()):
            entry.rename(aside / entry.name)
        return aside

    @classmethod
    def check_free(cls, results_dir: Path, name: str) -> None:
        """Raises BadInput unless a study of this name can be begun. Leaves no trace."""
        path = results_dir / check_name(name)
        if (path / "study.json").exists():
            raise BadInput(
                f"the study {path} exists already: go on with it by --resume --name {name}, or choose another --name"
            )
        if os.path.lexists(path) and not path.is_dir():
            raise BadInput(f"{path} exists and is not a folder: choose another --name")
        if path.is_dir() and any(not _is_own(entry) for entry in path.iterdir()):
            raise BadInput(f"the folder {path} holds files that are not a study's: choose another --name")
        existing = next(parent for parent in (path, *path.absolute().parents) if parent.exists())
        try:
            with tempfile.TemporaryFile(dir=existing):
                pass
        except OSError as error:
            raise BadInput(f"the results folder {results_dir} cannot be written: {error.strerror}") from error

    @classmethod
    def open(cls, path: Path) -> "StudyFolder":
        """The folder of a study that was begun. Raises BadInput if there is none."""
        if not (path / "study.json").is_file():
            raise BadInput(f"{path} is not a study: it holds no study.json")
        return cls(path)

    @classmethod
    def newest(cls, results_dir: Path) -> "StudyFolder":
        """The study that was begun last. Raises BadInput if there is none."""
        begun = list(results_dir.glob("*/study.json")) if results_dir.is_dir() else []
        if not begun:
            raise BadInput(f"there is no study in {results_dir}")
        return cls(max(begun, key=lambda file: file.stat().st_mtime_ns).parent)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keeps other drivers away from the folder, which is made if it is not there.

        Raises BadInput if one is at work in it, or if it cannot be made.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(f"the folder {self.path} cannot be written: {error.strerror}") from error
        try:
            with exclusive(self.path):
                yield
        except Locked:
            raise BadInput(f"another process is at work on the study {self.path}: wait for it, or end it") from None

    def mend(self) -> list[str]:
        """Removes what a killed driver left half-written, and what is damaged and can be made again.

        Returns:
            A line for each damaged thing, which names it.
        """
        remove_temporaries(self.path)
        lines = [*self.final.remove_damaged(), *self.confirm.remove_damaged()]
        for path in (self._latency, self._samples):
            try:
                if path.exists():
                    verify(path)
            except DamagedFile as error:
                path.unlink()
                lines.append(f"{error}; it is made again")
        return lines

    # The study as a whole.

    def write_study(self, study: dict[str, Any]) -> None:
        write_json(self.path / "study.json", study)

    def read_study(self) -> dict[str, Any]:
        """Contents of study.json. Raises DamagedFile if it is not a JSON object."""
        study = read_json(self.path / "study.json")
        if not isinstance(study, dict):
            raise DamagedFile(f"{self.path / 'study.json'} is not a JSON object")
        return study

    @property
    def tune(self) -> Path:
        """Ray Tune's own state, the search journal, and the checkpoints of what is not finished."""
        return self.path / "tune"

    @property
    def journal(self) -> Path:
        return self.tune / "journal.jsonl"

    @property
    def checkpoints(self) -> Path:
        return self.tune / "checkpoints"

    @property
    def optuna(self) -> Path:
        return self.path / "optuna.db"

    @property
    def report(self) -> Path:
        return self.path / "report"

    # The search.

    def write_trials(self, trials: pd.DataFrame) -> None:
        """Write a row for each trial: TRIAL_COLUMNS and the further hyperparameters."""
        write_csv(self.path / "trials.csv", trials)

    def read_trials(self) -> pd.DataFrame | None:
        """The trials, or None if there was no search. Raises DamagedFile."""
        return read_csv(self.path / "trials.csv", TRIAL_COLUMNS)

    def write_history(self, history: pd.DataFrame) -> None:
        """Columns HISTORY_COLUMNS, a row an epoch of a trial, in the order in which they were reported."""
        write_csv(self.path / "history.csv", history[list(HISTORY_COLUMNS)])

    def read_history(self) -> pd.DataFrame | None:
        """The epochs of the search, or None if there was none. Raises DamagedFile."""
        return read_csv(self.path / "history.csv", HISTORY_COLUMNS)

    def holds_tables(self, trials: pd.DataFrame, history: pd.DataFrame) -> bool:
        """Whether trials.csv and history.csv are these tables, to the byte."""
        kept = ((self.path / "trials.csv", trials), (self.path / "history.csv", history))
        return all(path.is_file() and path.read_bytes() == csv_bytes(table) for path, table in kept)

    # The runs after the search.

    def runs(self, stage: str) -> RunFolders:
        """Those of a stage, "confirm" or "final"."""
        return {"confirm": self.confirm, "final": self.final}[stage]

    @property
    def confirm(self) -> ConfirmationRuns:
        """The runs that choose between the leading trials."""
        return ConfirmationRuns(self.path / "confirm")

    @property
    def final(self) -> FinalRuns:
        return FinalRuns(self.path / "final")

    # What is measured and kept after all training.

    def write_latency(self, latency: dict[str, Any]) -> None:
        write_json(self._latency, latency)
        write_checksums(self._latency.parent, self._latency.name)

    def read_latency(self) -> dict[str, Any] | None:
        """What was measured of inference time, by architecture; None if it was not. Raises DamagedFile."""
        if not self._latency.exists():
            return None
        verify(self._latency)
        return dict(read_json(self._latency))

    def write_best(self, best: dict[str, Any] | None) -> None:
        """Writes which final run to ship; with None, removes what an earlier report wrote."""
        path = self.path / "final" / "best.json"
        if best is None:
            path.unlink(missing_ok=True)
        else:
            write_json(path, best)

    def write_samples(self, samples: Samples) -> None:
        write_npz(self._samples, images=samples.images, positions=samples.positions)
        write_checksums(self._samples.parent, self._samples.name)

    def read_samples(self) -> Samples | None:
        """The test images kept for the report; None if none were. Raises DamagedFile."""
        if not self._samples.exists():
            return None
        verify(self._samples)
        return Samples(**read_npz(self._samples, ("images", "positions")))

    @property
    def _latency(self) -> Path:
        return self.path / "final" / "latency.json"

    @property
    def _samples(self) -> Path:
        return self.path / "final" / "samples.npz"


def _is_own(entry: Path) -> bool:
    """Whether it is a study's, or what is left of writing its first file."""
    return entry.name in _OWN_ENTRIES or (entry.name.startswith(".study.json.") and entry.name.endswith(".tmp"))
