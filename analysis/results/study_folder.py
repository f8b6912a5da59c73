"""Reads and writes the study folder. `run_folders` does it for the runs in it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.results.errors import UnusableStudy
from analysis.results.files import (
    DamagedFile,
    csv_bytes,
    read_csv,
    read_json,
    read_npz,
    verify,
    write_atomically,
    write_checksums,
    write_csv,
    write_json,
    write_npz,
)
from analysis.results.run_folders import EPOCH_COLUMNS, OPTIONAL_EPOCH_COLUMNS, ConfirmationRuns, FinalRuns, RunFolders

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
# The hyperparameters of the documented networks. Other networks need not have them.
HYPERPARAMETERS = ("lr", "dropout")
HISTORY_COLUMNS = ("trial_id", "arch", *EPOCH_COLUMNS)


@dataclass(frozen=True)
class Samples:
    """Holds some test images kept for the report.

    Attributes:
        images: uint8 [k, size, size, 3].
        positions: their positions in the test set, int64 [k].
        names: the names of their files below the folder of test images [k]; empty if they have none.
    """

    images: np.ndarray
    positions: np.ndarray
    names: tuple[str, ...] = ()


class StudyFolder:
    """Reads and writes `<results-dir>/<name>`. Every file is written whole or not at all.

    Args:
        path: the folder.
        output: a folder that takes the report and best.json, if this one cannot be written.
    """

    def __init__(self, path: Path, output: Path | None = None) -> None:
        self.path = path
        self._output = output

    @classmethod
    def open(cls, path: Path) -> "StudyFolder":
        """Returns the folder of a study that has begun. Raises UnusableStudy if it holds no study.json."""
        if not (path / "study.json").is_file():
            raise UnusableStudy(f"{path} is not a study (it holds no study.json): give the folder of a study")
        return cls(path)

    @classmethod
    def newest(cls, results_dir: Path) -> "StudyFolder":
        """Return the study that was worked on last, by its own record: copying a folder changes the times of files.

        Raises:
            UnusableStudy: if there is no study.
            DamagedFile: if a study.json cannot be read.
        """
        begun = list(results_dir.glob("*/study.json")) if results_dir.is_dir() else []
        if not begun:
            raise UnusableStudy(f"there is no study in {results_dir}: start one, or give another --results-dir")
        return max((cls(file.parent) for file in begun), key=lambda study: (study.worked_on(), study.path.name))

    def worked_on(self) -> str:
        """Return when the last session began, as an ISO time in UTC."""
        study = self.read_study()
        match study.get("resumed"):
            case [*_, dict(last)]:
                return str(last.get("created", ""))
        return str(study.get("created", ""))

    # The study as a whole.

    def write_study(self, study: dict[str, Any]) -> None:
        """Writes study.json, which makes the folder a study."""
        write_json(self.path / "study.json", study)

    def read_study(self) -> dict[str, Any]:
        """Reads study.json. Raises DamagedFile if it is not a JSON object."""
        study = read_json(self.path / "study.json")
        if not isinstance(study, dict):
            raise DamagedFile(f"{self.path / 'study.json'} is not a JSON object")
        return study

    def write_config(self, content: str) -> None:
        """Writes config.toml: the settings of the study as a study file."""
        write_atomically(self.path / "config.toml", lambda file: file.write(content.encode()))

    def write_split(self, rows: Sequence[tuple[str, str, str]]) -> None:
        """Writes split.csv: the file, the class and the part of each image that the study split itself."""
        write_csv(self.path / "split.csv", pd.DataFrame(rows, columns=["file", "class", "part"]))

    def write_repeats(self, rows: Sequence[tuple[str, ...]], pairs: Sequence[tuple[int, np.ndarray]]) -> None:
        """Writes repeats.csv, what is wrong with each repeated picture, and repeats.npz, some pairs for the report."""
        write_csv(self.path / "repeats.csv", pd.DataFrame(rows, columns=["kind", "image", "repeats", "likeness"]))
        shown = {"images": np.stack([images for _, images in pairs]), "rows": np.array([rows[row] for row, _ in pairs])}
        write_npz(self.repeats, **shown)

    @property
    def repeats(self) -> Path:
        return self.path / "repeats.npz"

    @property
    def tune(self) -> Path:
        """Return the folder of Ray Tune's own state, the search journal, and the checkpoints of unfinished runs."""
        return self.path / "tune"

    @property
    def journal(self) -> Path:
        return self.tune / "journal.jsonl"

    @property
    def told(self) -> Path:
        """Return the file of the trials that an earlier study told; SHA256SUMS beside it has its checksum."""
        return self.tune / "told.json"

    @property
    def checkpoints(self) -> Path:
        return self.tune / "checkpoints"

    @property
    def optuna(self) -> Path:
        return self.path / "optuna.db"

    @property
    def log(self) -> Path:
        """Return the file of all that was printed, with the time of each line."""
        return self.path / "study.log"

    @property
    def report(self) -> Path:
        return self._output or self.path / "report"

    # The search.

    def write_trials(self, trials: pd.DataFrame) -> None:
        """Writes trials.csv: columns TRIAL_COLUMNS and further hyperparameters, one row a trial."""
        write_csv(self.path / "trials.csv", trials)

    def read_trials(self, texts: Collection[str] = ()) -> pd.DataFrame | None:
        """Reads the trials, with `texts` as `read_csv` takes them; None if there was no search. Raises DamagedFile."""
        return read_csv(self.path / "trials.csv", TRIAL_COLUMNS, HYPERPARAMETERS, texts)

    def write_history(self, history: pd.DataFrame) -> None:
        """Write history.csv: columns HISTORY_COLUMNS, one row an epoch of a trial, in the order of the reports.

        An optional column without values is left out, as in a study of an older version.
        """
        write_csv(self.path / "history.csv", _without_empty(history[list(HISTORY_COLUMNS)]))

    def read_history(self) -> pd.DataFrame | None:
        """Reads the epochs of the search; None if there was no search. Raises DamagedFile."""
        return read_csv(self.path / "history.csv", HISTORY_COLUMNS, OPTIONAL_EPOCH_COLUMNS)

    def holds_tables(self, trials: pd.DataFrame, history: pd.DataFrame) -> bool:
        """Whether trials.csv and history.csv hold exactly the bytes of these tables."""
        kept = ((self.path / "trials.csv", trials), (self.path / "history.csv", _without_empty(history)))
        return all(path.is_file() and path.read_bytes() == csv_bytes(table) for path, table in kept)

    # The runs after the search.

    def runs(self, stage: str) -> RunFolders:
        """Returns the runs of a stage, "confirm" or "final"."""
        return {"confirm": self.confirm, "final": self.final}[stage]

    @property
    def confirm(self) -> ConfirmationRuns:
        """Return the runs that choose between the best trials."""
        return ConfirmationRuns(self.path / "confirm")

    @property
    def final(self) -> FinalRuns:
        """Return the runs on fresh seeds, which are judged on the test set."""
        return FinalRuns(self.path / "final")

    # Files that are made after all training.

    def write_latency(self, latency: dict[str, Any]) -> None:
        """Writes final/latency.json: the measured inference times, by network."""
        write_json(self.latency, latency)
        write_checksums(self.latency.parent, self.latency.name)

    def read_latency(self) -> dict[str, Any] | None:
        """Reads the inference times, by network; None if they were not measured. Raises DamagedFile."""
        if not self.latency.exists():
            return None
        return dict(read_json(self.latency, verified=True))

    def write_best(self, best: dict[str, Any] | None) -> None:
        """Writes final/best.json: which final run to ship. None removes the file of an earlier report."""
        if best is None:
            self.best.unlink(missing_ok=True)
        else:
            write_json(self.best, best)

    def read_best(self) -> dict[str, Any] | None:
        """Reads final/best.json; None if there is none. Raises DamagedFile."""
        return dict(read_json(self.best)) if self.best.exists() else None

    def write_samples(self, samples: Samples) -> None:
        """Writes final/samples.npz."""
        names = {"names": np.array(samples.names)} if samples.names else {}
        write_npz(self.samples, images=samples.images, positions=samples.positions, **names)
        write_checksums(self.samples.parent, self.samples.name)

    def read_samples(self) -> Samples | None:
        """Reads the test images kept for the report; None if there are none. Raises DamagedFile."""
        if not self.samples.exists():
            return None
        verify(self.samples)
        arrays = read_npz(self.samples, ("images", "positions"), optional=("names",))
        names = tuple(map(str, arrays.pop("names", ())))
        return Samples(arrays["images"], arrays["positions"], names)

    @property
    def best(self) -> Path:
        return (self._output or self.path / "final") / "best.json"

    @property
    def latency(self) -> Path:
        return self.path / "final" / "latency.json"

    @property
    def samples(self) -> Path:
        return self.path / "final" / "samples.npz"


def _without_empty(history: pd.DataFrame) -> pd.DataFrame:
    """Return a table of epochs without the optional columns that have no values."""
    return history.drop(columns=[name for name in OPTIONAL_EPOCH_COLUMNS if history[name].isna().all()])
