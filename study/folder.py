"""The study folder: the one place that knows its file names and formats."""

import io
import os
import re
import shutil
import tempfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from study.errors import BadInput
from study.files import DamagedFile, read_json, write_atomically, write_json

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
EPOCH_COLUMNS = ("epoch", "train_loss", "val_loss", "val_accuracy", "seconds")
HISTORY_COLUMNS = ("trial_id", "arch", *EPOCH_COLUMNS)

_OWN_ENTRIES = {"study.json", "trials.csv", "history.csv", "optuna.db", "tune", "final", "confirm", "report"}
_RUN_FILES = ("metrics.json", "history.csv", "predictions.npz", "model.safetensors")


@dataclass(frozen=True)
class FinalRun:
    """One final run as it lies in the folder.

    Attributes:
        group: `<arch>-baseline` or `<arch>-tuned`.
        seed: its number k, from 0.
        metrics: contents of metrics.json.
        history: a row an epoch, columns EPOCH_COLUMNS.
        logits: float32 [n_test, n_classes].
        labels: int64 [n_test].
        weights: name to float32 or int64 array; empty when read without them.
    """

    group: str
    seed: int
    metrics: dict[str, Any]
    history: pd.DataFrame
    logits: np.ndarray
    labels: np.ndarray
    weights: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Samples:
    """Some test images kept for the report: uint8 [k, 32, 32, 3] and their positions int64 [k] in the test set."""

    images: np.ndarray
    positions: np.ndarray


def check_name(name: str) -> str:
    """Returns the name of a study. Raises BadInput unless it is one plain path component."""
    if not name or name in (".", "..") or not re.fullmatch(r"[\w.+=@ -]{1,200}", name) or name != name.strip():
        raise BadInput(
            f"--name {name!r} is not one plain path component: use letters, digits and . _ + = @ - (at most 200)"
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
        if path.is_dir() and {entry.name for entry in path.iterdir()} - _OWN_ENTRIES:
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

    # The study as a whole.

    def write_study(self, study: dict[str, Any]) -> None:
        write_json(self.path / "study.json", study)

    def read_study(self) -> dict[str, Any]:
        return dict(read_json(self.path / "study.json"))

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
        """Columns TRIAL_COLUMNS, a row a trial."""
        self._write_csv(self.path / "trials.csv", trials[list(TRIAL_COLUMNS)])

    def read_trials(self) -> pd.DataFrame | None:
        """The trials, or None if there was no search. Raises DamagedFile."""
        return self._read_csv(self.path / "trials.csv", TRIAL_COLUMNS)

    def write_history(self, history: pd.DataFrame) -> None:
        """Columns HISTORY_COLUMNS, a row an epoch of a trial, in the order in which they were reported."""
        self._write_csv(self.path / "history.csv", history[list(HISTORY_COLUMNS)])

    def read_history(self) -> pd.DataFrame | None:
        """The epochs of the search, or None if there was none. Raises DamagedFile."""
        return self._read_csv(self.path / "history.csv", HISTORY_COLUMNS)

    # The final runs.

    def run_path(self, group: str, seed: int) -> Path:
        return self.path / "final" / group / f"seed-{seed}"

    def write_final_run(self, run: FinalRun) -> None:
        """Writes the folder of one run; it appears with all its files or not at all."""
        final = self.run_path(run.group, run.seed)
        final.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=final.parent, prefix=f".{final.name}."))
        try:
            temporary.chmod(0o755)
            write_json(temporary / "metrics.json", run.metrics)
            self._write_csv(temporary / "history.csv", run.history[list(EPOCH_COLUMNS)])
            _write_npz(temporary / "predictions.npz", logits=run.logits, labels=run.labels)
            write_atomically(temporary / "model.safetensors", lambda file: file.write(save(run.weights)))
            if final.exists():
                shutil.rmtree(final)
            temporary.rename(final)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise

    def read_final_run(self, group: str, seed: int, *, weights: bool = False) -> FinalRun:
        """Reads one run, its weights only if asked for. Raises DamagedFile, which names the file."""
        path = self.run_path(group, seed)
        for name in _RUN_FILES:
            if not (path / name).is_file():
                raise DamagedFile(f"{path / name} is missing")
        predictions = _read_npz(path / "predictions.npz", ("logits", "labels"))
        history = self._read_csv(path / "history.csv", EPOCH_COLUMNS)
        assert history is not None
        return FinalRun(
            group=group,
            seed=seed,
            metrics=read_json(path / "metrics.json"),
            history=history,
            logits=predictions["logits"],
            labels=predictions["labels"],
            weights=_read_safetensors(path / "model.safetensors") if weights else {},
        )

    def final_runs(self) -> dict[str, list[int]]:
        """The numbers of the finished runs of each group, sorted."""
        found: dict[str, list[int]] = {}
        for path in (self.path / "final").glob("*/seed-*"):
            if (number := path.name.removeprefix("seed-")).isdecimal():
                found.setdefault(path.parent.name, []).append(int(number))
        return {group: sorted(seeds) for group, seeds in sorted(found.items())}

    def write_latency(self, latency: dict[str, Any]) -> None:
        write_json(self.path / "final" / "latency.json", latency)

    def read_latency(self) -> dict[str, Any] | None:
        """What was measured of inference time, by architecture; None if it was not."""
        path = self.path / "final" / "latency.json"
        return dict(read_json(path)) if path.exists() else None

    def write_samples(self, samples: Samples) -> None:
        _write_npz(self.path / "final" / "samples.npz", images=samples.images, positions=samples.positions)

    def read_samples(self) -> Samples | None:
        """The test images kept for the report; None if none were. Raises DamagedFile."""
        path = self.path / "final" / "samples.npz"
        return Samples(**_read_npz(path, ("images", "positions"))) if path.exists() else None

    def _write_csv(self, path: Path, table: pd.DataFrame) -> None:
        write_atomically(path, lambda file: file.write(table.to_csv(index=False).encode()))

    def _read_csv(self, path: Path, columns: tuple[str, ...]) -> pd.DataFrame | None:
        if not path.exists():
            return None
        try:
            table = pd.read_csv(path)
        except (ValueError, UnicodeDecodeError) as error:
            raise DamagedFile(f"{path} is not readable as a table: {error}") from error
        if missing := set(columns) - set(table.columns):
            raise DamagedFile(f"{path} lacks the columns {', '.join(sorted(missing))}")
        return table


def _write_npz(path: Path, **arrays: np.ndarray) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    write_atomically(path, lambda file: file.write(buffer.getbuffer()))


def _read_npz(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in names}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DamagedFile(f"{path} is not readable as arrays {', '.join(names)}: {error}") from error


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise DamagedFile(f"{path} is not readable as weights: {error}") from error
