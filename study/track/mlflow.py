"""Writes runs into MLflow: the study is a parent run, a network is its child, a trial or final run a child of that."""

import os
import time
from typing import Any

# MLflow reads these when it is imported. Telemetry would need a network. MLflow itself would wait for a server that is
# away for minutes.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, ViewType
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NOTE

from analysis.results.study_folder import StudyFolder
from study.track.tracker import RUNNING, UNFINISHED, Run

EXPERIMENT = "fairverdict"
_STUDY, _KEY, _DIGEST = "fairverdict.study", "fairverdict.run", "fairverdict.digest"
_STATUSES = {UNFINISHED: "KILLED", "PRUNED": "KILLED", "FAILED": "FAILED"}
# MLflow takes at most this many metrics in one request, and at most this many characters of a tag.
_MOST_METRICS = 1000
_MOST_CHARACTERS = 5000


def connect(folder: StudyFolder, uri: str | None) -> "MLflow":
    """Return the runs of a study in MLflow.

    Args:
        uri: a tracking URI. The default is the environment variable MLFLOW_TRACKING_URI, and without it the SQLite file
            mlflow.db beside the study's folder.
    """
    beside = folder.path.absolute().parent
    uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{beside / 'mlflow.db'}"
    # A server has its own place for artifacts. MLflow itself would put them below the current folder.
    is_file = uri.startswith("sqlite:")
    return MLflow(uri, (beside / "mlflow-artifacts").as_uri() if is_file else None)


class MLflow:
    """Writes the runs of one study to a tracking server or file.

    Args:
        where: the tracking URI.
        artifacts: the place of the artifacts of a new experiment; None for the server's own.
    """

    def __init__(self, where: str, artifacts: str | None) -> None:
        self.where = where
        self._client = MlflowClient(where)
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
        found = self._client.get_experiment_by_name(name)
        self._experiment = found.experiment_id if found else self._client.create_experiment(name, artifacts)
        self._runs: dict[str, Any] | None = None

    def begin(self, run: Run) -> int | None:
        if self._runs is None:
            self._runs = self._find(run.identity)
        found = self._runs.get(run.key)
        if found is None:
            parent = {MLFLOW_PARENT_RUN_ID: self._id("/".join(run.path[:-1]))} if run.path else {}
            tags = {_STUDY: run.identity, _KEY: run.key, "study": run.study, "kind": run.kind, **parent}
            found = self._runs[run.key] = self._client.create_run(self._experiment, tags=tags, run_name=run.name)
        elif found.data.tags.get(_DIGEST) == run.digest():
            return None
        run_id = found.info.run_id
        if run.status == RUNNING and found.info.status != RUNNING:  # the study goes on
            self._client.update_run(run_id, RUNNING)
        params = [Param(name, str(value)) for name, value in run.parameters.items() if name not in found.data.params]
        if params:
            self._client.log_batch(run_id, params=params)
            found.data.params.update((param.key, param.value) for param in params)
        if not run.epochs:
            return 0
        return max((metric.step for metric in self._client.get_metric_history(run_id, "val_loss")), default=0)

    def epoch(self, run: Run, first: int) -> None:
        now = _now()
        rows = enumerate(run.epochs[first - 1 :], start=first)
        metrics = [Metric(name, value, now, number) for number, row in rows for name, value in row.items()]
        for start in range(0, len(metrics), _MOST_METRICS):
            self._client.log_batch(self._id(run.key), metrics=metrics[start : start + _MOST_METRICS])

    def end(self, run: Run) -> None:
        run_id = self._id(run.key)
        now, held = _now(), self._client.get_run(run_id).data.metrics
        metrics = [Metric(name, value, now, run.step) for name, value in run.metrics.items() if held.get(name) != value]
        if metrics:
            self._client.log_batch(run_id, metrics=metrics)
        # The page of a run shows its description whole, but only the begin of a tag.
        note = {MLFLOW_RUN_NOTE: run.tags["verdict"]} if "verdict" in run.tags else {}
        for name, text in {**run.tags, **note}.items():
            self._client.set_tag(run_id, name, text[:_MOST_CHARACTERS])
        if run.artifact is not None:
            self._client.log_artifact(run_id, str(run.artifact))
        self._client.set_terminated(run_id, _STATUSES.get(run.status, "FINISHED"))
        # The last of all, so that a run with this tag lacks nothing.
        self._client.set_tag(run_id, _DIGEST, run.digest())

    def close(self) -> None:
        """Do nothing: every request is answered before the next one."""

    def _id(self, key: str) -> str:
        assert self._runs is not None
        return str(self._runs[key].info.run_id)

    def _find(self, identity: str) -> dict[str, Any]:
        """Return the runs of a study that MLflow has, by their keys."""
        found: dict[str, Any] = {}
        token = None
        while True:
            page = self._client.search_runs(
                [self._experiment],
                f"tags.`{_STUDY}` = '{identity}'",
                ViewType.ACTIVE_ONLY,
                page_token=token,
            )
            found |= {run.data.tags[_KEY]: run for run in page}
            token = page.token
            if not token:
                return found


def _now() -> int:
    return round(time.time() * 1000)
