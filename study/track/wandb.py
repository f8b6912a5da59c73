"""Writes runs into Weights & Biases, each as a whole once it has ended. The study is a group, a network a job type.

An offline run cannot be continued. So `written.json` beside the runs keeps the digest of each run that was written, and
a run that has changed is written anew under its id, which replaces the earlier one.
"""

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

# Nothing is sent unless the user asks for it by WANDB_MODE=online.
MODE = os.environ.get("WANDB_MODE", "offline")
if MODE == "offline":
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")

import wandb  # noqa: E402

from analysis.results.files import read_json, write_json  # noqa: E402
from analysis.results.study_folder import StudyFolder  # noqa: E402
from study.track.tracker import UNFINISHED, Run  # noqa: E402

PROJECT = "fairverdict"


def connect(folder: StudyFolder, uri: str | None) -> "Wandb":
    """Return the runs of a study in Weights & Biases. They are kept in the study's folder `wandb`.

    Args:
        uri: the address of a server of your own. The default is the environment variable WANDB_BASE_URL.
    """
    return Wandb(folder.path.absolute(), uri)


class Wandb:
    """Writes the runs of one study.

    Args:
        folder: gets the folder `wandb`.
        server: address of the server; None for the default.
    """

    def __init__(self, folder: Path, server: str | None) -> None:
        self._folder = folder
        self._runs = folder / "wandb"
        self.where = str(self._runs) if MODE == "offline" else server or os.environ.get("WANDB_BASE_URL", "wandb.ai")
        own = {} if server is None else {"base_url": server}
        os.environ.setdefault("WANDB_DATA_DIR", str(self._runs))  # its copies of artifacts
        self._settings = wandb.Settings(
            **own,
            silent=True,
            console="off",
            disable_git=True,
            disable_code=True,
            x_disable_meta=True,
            x_disable_stats=True,
        )
        self._list = self._runs / "written.json"
        self._written: dict[str, str] = dict(read_json(self._list)) if self._list.exists() else {}
        self._open: Any = None

    def begin(self, run: Run) -> int | None:
        is_ready = run.is_over or (run.status == UNFINISHED and len(run.path) < 2)
        if not is_ready or self._written.get(run.key) == run.digest():
            return None
        identity = _id(run)
        for old in self._runs.glob(f"offline-run-*-{identity}"):
            shutil.rmtree(old)
        self._runs.mkdir(exist_ok=True)
        self._open = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            group=run.study,
            job_type=f"{run.path[0]} {run.kind}" if run.path else run.kind,
            name=run.name,
            id=identity,
            config=dict(run.parameters),
            dir=self._folder,
            mode=MODE,
            reinit="create_new",
            settings=self._settings,
        )
        return 0

    def epoch(self, run: Run, first: int) -> None:
        for number, metrics in enumerate(run.epochs[first - 1 :], start=first):
            self._open.log(dict(metrics), step=number)

    def end(self, run: Run) -> None:
        self._open.summary.update({"status": run.status, **run.metrics, **run.tags})
        if run.artifact is not None:
            report = wandb.Artifact(f"report-{_id(run)}", type="report")
            report.add_file(str(run.artifact))
            self._open.log_artifact(report)
        self._open.finish()
        self._open = None
        self._written[run.key] = run.digest()
        write_json(self._list, self._written)

    def close(self) -> None:
        """Do nothing: each run was finished at its end."""


def _id(run: Run) -> str:
    """Return the id of a run, the same whenever it is written."""
    return hashlib.sha256(f"{run.identity}/{run.key}".encode()).hexdigest()[:16]
