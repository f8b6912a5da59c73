"""The runs after the search as they lie in a study's folder: `<stage>/<group>/seed-<k>/`."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.results.files import (
    DamagedFile,
    appearing_whole,
    read_csv,
    read_json,
    read_npz,
    read_safetensors,
    verify,
    write_checksums,
    write_csv,
    write_json,
    write_npz,
    write_safetensors,
)

EPOCH_COLUMNS = ("epoch", "train_loss", "val_loss", "val_accuracy", "seconds")


@dataclass(frozen=True)
class CompletedRun:
    """One run after the search as it lies in the folder.

    Attributes:
        group: what was trained: `<arch>-baseline` or `<arch>-tuned`, or the trial_id of a trial to be confirmed.
        seed: its number k, from 0.
        metrics: contents of metrics.json.
        history: a row an epoch, columns EPOCH_COLUMNS.
    """

    group: str
    seed: int
    metrics: dict[str, Any]
    history: pd.DataFrame


@dataclass(frozen=True)
class FinalRun(CompletedRun):
    """One final run, which has predicted the test set.

    Attributes:
        logits: float32 [n_test, n_classes].
        labels: int64 [n_test].
        weights: name to float32 or int64 array; empty when read without them.
    """

    logits: np.ndarray
    labels: np.ndarray
    weights: dict[str, np.ndarray] = field(default_factory=dict)


class RunFolders:
    """The runs of one stage. Each appears with all its files and their checksums, or not at all."""

    files: tuple[str, ...] = ("metrics.json", "history.csv")

    def __init__(self, path: Path) -> None:
        self._path = path

    def path_of(self, group: str, seed: int) -> Path:
        return self._path / group / f"seed-{seed}"

    def numbers(self) -> dict[str, list[int]]:
        """The numbers k of the runs of each group, sorted."""
        found: dict[str, list[int]] = {}
        for path in self._path.glob("*/seed-*"):
            if (number := path.name.removeprefix("seed-")).isdecimal():
                found.setdefault(path.parent.name, []).append(int(number))
        return {group: sorted(seeds) for group, seeds in sorted(found.items())}

    def metrics(self) -> dict[tuple[str, int], dict[str, Any]]:
        """metrics.json of every run, by group and number. Raises DamagedFile."""
        return {run: self._metrics(self.path_of(*run)) for run in self._keys()}

    def remove(self, group: str, seed: int) -> None:
        shutil.rmtree(self.path_of(group, seed))

    def remove_damaged(self) -> list[str]:
        """Removes the runs of which a file is missing or damaged; returns a line for each, which names the file."""
        lines = []
        for run in self._keys():
            try:
                for name in self.files:
                    verify(self.path_of(*run) / name)
            except DamagedFile as error:
                self.remove(*run)
                lines.append(f"{error}; the run is made again")
        return lines

    def _keys(self) -> Iterator[tuple[str, int]]:
        return ((group, seed) for group, seeds in self.numbers().items() for seed in seeds)

    def _metrics(self, path: Path) -> dict[str, Any]:
        verify(path / "metrics.json")
        return dict(read_json(path / "metrics.json"))

    def _history(self, path: Path) -> pd.DataFrame:
        verify(path / "history.csv")
        history = read_csv(path / "history.csv", EPOCH_COLUMNS)
        assert history is not None
        return history

    def _write_tables(self, path: Path, run: CompletedRun) -> None:
        write_json(path / "metrics.json", run.metrics)
        write_csv(path / "history.csv", run.history[list(EPOCH_COLUMNS)])


class ConfirmationRuns(RunFolders):
    """The runs that choose between the leading trials."""

    def write(self, run: CompletedRun) -> None:
        with appearing_whole(self.path_of(run.group, run.seed)) as path:
            self._write_tables(path, run)
            write_checksums(path, *self.files)

    def read_all(self) -> list[CompletedRun]:
        """Every run. Raises DamagedFile."""
        return [
            CompletedRun(*run, self._metrics(self.path_of(*run)), self._history(self.path_of(*run)))
            for run in self._keys()
        ]


class FinalRuns(RunFolders):
    """The runs that the verdict is made of."""

    files = (*RunFolders.files, "predictions.npz", "model.safetensors")

    def write(self, run: FinalRun) -> None:
        with appearing_whole(self.path_of(run.group, run.seed)) as path:
            self._write_tables(path, run)
            write_npz(path / "predictions.npz", logits=run.logits, labels=run.labels)
            write_safetensors(path / "model.safetensors", run.weights)
            write_checksums(path, *self.files)

    def read(self, group: str, seed: int, *, weights: bool = False) -> FinalRun:
        """Reads one run, its weights only if asked for. Raises DamagedFile, which names the file."""
        path = self.path_of(group, seed)
        metrics, history = self._metrics(path), self._history(path)
        verify(path / "predictions.npz")
        predictions = read_npz(path / "predictions.npz", ("logits", "labels"))
        model = self.weights_of(group, seed)
        if weights:
            verify(model)
        elif not model.is_file():
            raise DamagedFile(f"{model} is missing")
        tensors = read_safetensors(model) if weights else {}
        return FinalRun(group, seed, metrics, history, predictions["logits"], predictions["labels"], tensors)

    def weights_of(self, group: str, seed: int) -> Path:
        return self.path_of(group, seed) / "model.safetensors"
