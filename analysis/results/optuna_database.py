"""optuna.db: the searches of a study as Optuna keeps them, in one SQLite file."""

import sqlite3
import tempfile
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import optuna

from analysis.results.files import write_atomically


def open_database(path: Path) -> optuna.storages.RDBStorage:
    """Optuna's storage in the file, made if it is not there, which holds no connection open between its calls.

    To look at a file is to write to it: Optuna opens none read-only.
    """
    from sqlalchemy.pool import NullPool  # here, since no first step needs SQLAlchemy

    return optuna.storages.RDBStorage(f"sqlite:///{path}", {"poolclass": NullPool})


def export(studies: Iterable[optuna.Study], path: Path) -> None:
    """Writes studies that maximise as one database, as `optuna-dashboard sqlite:///path` opens it."""
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
