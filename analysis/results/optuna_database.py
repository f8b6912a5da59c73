"""Reads and writes optuna.db: the searches of a study in Optuna's format, in one SQLite file."""

import sqlite3
import tempfile
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import optuna

from analysis.results.files import write_atomically


def open_database(path: Path) -> optuna.storages.RDBStorage:
    """Opens the file as Optuna's storage and makes it if it is missing. No connection stays open between calls.

    Even reading writes to the file, because Optuna opens no file read-only.
    """
    from sqlalchemy.pool import NullPool  # imported here because a study's first step does not need SQLAlchemy

    return optuna.storages.RDBStorage(f"sqlite:///{path}", {"poolclass": NullPool})


def export(studies: Iterable[optuna.Study], path: Path) -> None:
    """Writes studies that maximise into one database, which `optuna-dashboard sqlite:///path` opens."""
    with tempfile.TemporaryDirectory() as directory:
        database = Path(directory) / "optuna.db"
        storage = open_database(database)
        for study in studies:
            copied = optuna.create_study(study_name=study.study_name, direction="maximize", storage=storage)
            copied.add_trials(study.trials)
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("VACUUM")
        content = database.read_bytes()
    write_atomically(path, lambda file: file.write(content))
