"""Reads and writes the runs after the search in a study's folder: `<stage>/<group>/seed-<k>/`."""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
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

# Older versions did not count the answers on training images.
OPTIONAL_EPOCH_COLUMNS = ("train_accuracy",)
EPOCH_COLUMNS = ("epoch", "train_loss", "val_loss", "val_accuracy", "seconds", *OPTIONAL_EPOCH_COLUMNS)


@dataclass(frozen=True)
class CompletedRun:
    """Holds a run after the search.

    Attributes:
        group: `<arch>-baseline` or `<arch>-tuned`, or the trial_id of a trial that is confirmed.
        seed: its number k, from 0.
        metrics: contents of metrics.json.
        history: one row an epoch, columns EPOCH_COLUMNS.
    """

    group: str
    seed: int
    metrics: dict[str, Any]
    history: pd.DataFrame


@dataclass(frozen=True)
class FinalRun(CompletedRun):
    """Holds a final run, which has predicted the test set.

    Attributes:
        logits: float32 [n_test, n_classes].
        labels: int64 [n_test].
        weights: name to float32 or int64 array; empty when read without them.
    """

    logits: np.ndarray
    labels: np.ndarray
    weights: dict[str, np.ndarray] = field(default_factory=dict)


class RunFolders:
    """Reads and writes the runs of one stage. Each appears with all its files and their checksums, or not at all."""

    files: tuple[str, ...] = ("metrics.json", "history.csv")

    def __init__(self, path: Path) -> None:
        self._path = path

    def path_of(self, group: str, seed: int) -> Path:
        """Returns the folder of a run."""
        return self._path / group / f"seed-{seed}"

    def numbers(self) -> dict[str, list[int]]:
        """Returns the seeds k of the runs of each group, sorted."""
        found: dict[str, list[int]] = {}
        for path in self._path.glob("*/seed-*"):
            if (number := path.name.removeprefix("seed-")).isdecimal():
                found.setdefault(path.parent.name, []).append(int(number))
        return {group: sorted(seeds) for group, seeds in sorted(found.items())}

    def metrics(
        self, known: Mapping[tuple[str, int], dict[str, Any]] = MappingProxyType({})
    ) -> dict[tuple[str, int], dict[str, Any]]:
        """Reads metrics.json of every run. No other file of a run is read.

        Args:
            known: an earlier result. Its runs are not read again, because a finished run never changes.

        Returns:
            The contents by group and seed.

        Raises:
            DamagedFile: if a metrics.json is missing or damaged.
        """
        return {run: known[run] if run in known else self._metrics(self.path_of(*run)) for run in self._keys()}

    def remove(self, group: str, seed: int) -> None:
        """Removes a run."""
        shutil.rmtree(self.path_of(group, seed))

    def remove_damaged(self) -> list[str]:
        """Removes every run with a missing or damaged file. Returns a line for each run, which names the file."""
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
        return dict(read_json(path / "metrics.json", verified=True))

    def _history(self, path: Path) -> pd.DataFrame:
        verify(path / "history.csv")
        history = read_csv(path / "history.csv", EPOCH_COLUMNS, OPTIONAL_EPOCH_COLUMNS)
        assert history is not None
        return history

    def _write_tables(self, path: Path, run: CompletedRun) -> None:
        write_json(path / "metrics.json", run.metrics)
        write_csv(path / "history.csv", run.history[list(EPOCH_COLUMNS)])


class ConfirmationRuns(RunFolders):
    """Reads and writes the runs that choose between the best trials."""

    def write(self, run: CompletedRun) -> None:
        """Writes a run; it replaces an earlier one."""
        with appearing_whole(self.path_of(run.group, run.seed)) as path:
            self._write_tables(path, run)
            write_checksums(path, *self.files)

    def read_all(self) -> list[CompletedRun]:
        """Reads every run. Raises DamagedFile."""
        return [
            CompletedRun(*run, self._metrics(self.path_of(*run)), self._history(self.path_of(*run)))
            for run in self._keys()
        ]


class FinalRuns(RunFolders):
    """Reads and writes the runs that the verdict is computed from."""

    files = (*RunFolders.files, "predictions.npz", "model.safetensors")

    def write(self, run: FinalRun) -> None:
        """Writes a run; it replaces an earlier one."""
        with appearing_whole(self.path_of(run.group, run.seed)) as path:
            self._write_tables(path, run)
            write_npz(path / "predictions.npz", logits=run.logits, labels=run.labels)
            write_safetensors(path / "model.safetensors", run.weights)
            write_checksums(path, *self.files)

    def read(self, group: str, seed: int, *, weights: bool = False) -> FinalRun:
        """Reads a run, and its weights if asked for. Raises DamagedFile, which names the file."""
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
        """Returns the path of a run's weights."""
        return self.path_of(group, seed) / "model.safetensors"
