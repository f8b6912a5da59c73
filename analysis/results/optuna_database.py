"""Reads and writes optuna.db: the searches of a study in Optuna's format, in one SQLite file."""

import json
import re
import sqlite3
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import optuna
from optuna.trial import FrozenTrial

from analysis.results.files import write_atomically

_ADD_TRIAL = """
INSERT INTO trials (number, study_id, state, datetime_start, datetime_complete) VALUES (?, ?, ?, ?, ?)
"""
_ADD_STEP = """
INSERT INTO trial_intermediate_values (trial_id, step, intermediate_value, intermediate_value_type)
VALUES (?, ?, ?, 'FINITE')
"""
_ADD_VALUE = "INSERT INTO trial_values (trial_id, objective, value, value_type) VALUES (?, 0, ?, 'FINITE')"
_ADD_PARAMETER = """
INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json) VALUES (?, ?, ?, ?)
"""
_ADD_ATTRIBUTE = "INSERT INTO trial_{}_attributes (trial_id, key, value_json) VALUES (?, ?, ?)"
# At most this long a reader of the file, such as optuna-dashboard, may hold a writer up.
_LOCKED_SECONDS = 1.0


def open_database(path: Path) -> optuna.storages.RDBStorage:
    """Opens the file as Optuna's storage and makes it if it is missing. No connection stays open between calls.

    Even reading writes to the file, because Optuna opens no file read-only.
    """
    from sqlalchemy.pool import NullPool  # imported here because a study's first step does not need SQLAlchemy

    # SQLite takes every path. In a URL some characters have a meaning, and their quoting depends on SQLAlchemy.
    return optuna.storages.RDBStorage("sqlite://", {"creator": lambda: sqlite3.connect(path), "poolclass": NullPool})


def database_url(path: Path) -> str:
    """Return the URL by which optuna-dashboard opens the file. Characters that have a meaning in it are quoted."""
    return "sqlite:///" + re.sub(r"[%?{}]", lambda found: quote(found[0]), str(path.absolute()))


@dataclass(frozen=True)
class Search:
    """Describes the search of one network for the database.

    Attributes:
        name: name of the Optuna study, which maximises.
        metric: name of the value that is maximised.
        attributes: user attributes of the study.
        trials: every trial so far, in order, with finite values and intermediate values. A trial that has ended never
            changes.
    """

    name: str
    metric: str
    attributes: Mapping[str, Any]
    trials: Sequence[FrozenTrial]


class OptunaDatabase:
    """Keeps one file up to date with the searches of a study, so that optuna-dashboard can watch.

    Optuna makes the tables. It would take some milliseconds to write a trial, because it looks up each part first, and
    it can remove none. So this class writes the rows, and keeps the trials before the first that runs in a database in
    memory. An update adds the other trials, copies the pages into the file, and takes them out again. The file changes
    in place, in one transaction, because a program that watches keeps it open.

    Args:
        path: the file. It need not exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._memory: sqlite3.Connection | None = None
        self._storage: optuna.storages.RDBStorage | None = None
        self._kept: dict[str, int] = {}

    def update(self, searches: Sequence[Search]) -> None:
        """Write the searches as they stand now."""
        storage, memory = self._open()
        for search in searches:
            if search.name not in self._kept:
                study = optuna.create_study(study_name=search.name, direction="maximize", storage=storage)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                    study.set_metric_names([search.metric])
                for name, value in search.attributes.items():
                    study.set_user_attr(name, value)
                self._kept[search.name] = 0
            begun = self._kept[search.name]
            while begun < len(search.trials) and search.trials[begun].state.is_finished():
                begun += 1
            self._add(search, self._kept[search.name], begun)
            self._kept[search.name] = begun
        kept = memory.serialize()
        try:
            for search in searches:
                self._add(search, self._kept[search.name], len(search.trials))
            self._copy(memory)
        finally:
            memory.deserialize(kept)

    def _open(self) -> tuple[optuna.storages.RDBStorage, sqlite3.Connection]:
        if self._storage is None or self._memory is None:
            from sqlalchemy.pool import StaticPool  # here for the reason given in `open_database`

            self._storage = optuna.storages.RDBStorage("sqlite://", {"poolclass": StaticPool})
            self._memory = cast(sqlite3.Connection, self._storage.engine.raw_connection().driver_connection)
        return self._storage, self._memory

    def _add(self, search: Search, begin: int, end: int) -> None:
        """Add the trials of a search with the numbers from `begin` to before `end`."""
        storage, memory = self._open()
        study = storage.get_study_id_from_name(search.name)
        for number, trial in enumerate(search.trials[begin:end], start=begin):
            times = map(_stored, (trial.datetime_start, trial.datetime_complete))
            row = memory.execute(_ADD_TRIAL, (number, study, trial.state.name, *times)).lastrowid
            memory.executemany(_ADD_VALUE, [] if trial.value is None else [(row, trial.value)])
            memory.executemany(_ADD_STEP, [(row, *pair) for pair in trial.intermediate_values.items()])
            memory.executemany(_ADD_PARAMETER, [(row, *parameter) for parameter in _parameters(trial)])
            for kind, attributes in (("user", trial.user_attrs), ("system", trial.system_attrs)):
                told = [(row, name, json.dumps(value)) for name, value in attributes.items()]
                memory.executemany(_ADD_ATTRIBUTE.format(kind), told)
        memory.commit()

    def _copy(self, memory: sqlite3.Connection) -> None:
        """Copy the database into the file. A file that is locked or damaged is replaced."""
        try:
            with closing(sqlite3.connect(self._path, timeout=_LOCKED_SECONDS)) as file:
                memory.backup(file)
        except sqlite3.DatabaseError:
            content = memory.serialize()
            self._path.with_name(f"{self._path.name}-journal").unlink(missing_ok=True)
            write_atomically(self._path, lambda file: file.write(content))


def _stored(moment: datetime | None) -> str | None:
    """Return a time of this machine's zone as Optuna stores it, in UTC."""
    return None if moment is None else str(moment.astimezone(UTC).replace(tzinfo=None))


def _parameters(trial: FrozenTrial) -> Iterator[tuple[str, float, str]]:
    """Yield the name of each parameter, its value as Optuna stores it, and its distribution as JSON."""
    for name, distribution in trial.distributions.items():
        value = distribution.to_internal_repr(trial.params[name])
        yield name, value, optuna.distributions.distribution_to_json(distribution)
