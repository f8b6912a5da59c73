"""Runs in MLflow, read back with its client: from a server over loopback, and from a file of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pandas as pd
import pytest

from analysis.results.study_folder import StudyFolder
from study.track.__main__ import main
from tests.analysis.example_study import write_example
from tests.processes import HANGS_AFTER
from tests.study.track.reports import write_report

# MLflow uses what SQLAlchemy will remove.
pytestmark = [pytest.mark.trackers, pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Start MLflow's server on SQLite, and yield its URI, which MLFLOW_TRACKING_URI names."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = tmp_path / "server"
    place.mkdir()
    # The extra has MLflow's client alone. The server's package takes other versions of packages that a study needs.
    uv = [str(Path(sys.executable).with_name("uv")), "tool", "run", "--python", sys.executable]
    command = [*uv, "--from", f"mlflow=={version('mlflow-skinny')}", "mlflow", "server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1", "--backend-store-uri", f"sqlite:///{place}/mlflow.db"]
    command += ["--artifacts-destination", f"{place}/artifacts"]
    # Without the jobs, for which MLflow would start eight more processes.
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    environment.pop("PYTHONPATH", None)
    with (place / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=place, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        uri, deadline = f"http://127.0.0.1:{port}", time.monotonic() + HANGS_AFTER
        while not _answers(uri):
            assert process.poll() is None and time.monotonic() < deadline, (place / "log").read_text()
            time.sleep(0.2)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        yield uri
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answers(uri: str) -> bool:
    try:
        with urlopen(f"{uri}/health") as answer:
            return bool(answer.status == 200)
    except URLError:
        return False


def runs_at(uri: str) -> dict[str, Any]:
    """Return the runs of MLflow's only study by their keys. No two may have a key in common."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("fairverdict")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    assert len({run.data.tags["fairverdict.run"] for run in runs}) == len(runs)
    return {run.data.tags["fairverdict.run"]: run for run in runs}


def test_a_server_has_the_study_its_networks_and_their_runs(
    server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(server)
    folder = write_example(tmp_path / "pets", seeds=2, trials=3, epochs=4)
    trials, history = folder.read_trials(), folder.read_history()
    assert trials is not None and history is not None

    # A study that was interrupted in its search.
    folder.write_trials(trials[trials["trial_id"] != "alexnet-0"])
    folder.write_history(history[(history["trial_id"] != "alexnet-0") | (history["epoch"] <= 2)])
    give(folder)
    assert capsys.readouterr().out == f"MLflow has {folder.path}: {server}\n"
    early = runs_at(server)
    assert early["alexnet/alexnet-0"].info.status == early[""].info.status == "KILLED"
    assert early[""].data.tags.keys().isdisjoint({"call", "verdict"})

    # It has gone on to its end.
    folder.write_trials(trials)
    folder.write_history(history)
    report = write_report(folder)
    give(folder)
    runs = runs_at(server)
    assert len(runs) == 1 + 2 * (1 + 3 + 4)
    assert {key: run.info.run_id for key, run in runs.items()}.items() >= {
        key: run.info.run_id for key, run in early.items()
    }.items()
    for key, run in runs.items():
        parent = run.data.tags.get("mlflow.parentRunId")
        assert parent == (runs[key.rpartition("/")[0]].info.run_id if key else None)
    for trial, rows in history.groupby("trial_id"):
        for name in ("train_loss", "val_loss", "val_accuracy"):
            kept = client.get_metric_history(runs[f"{trial.partition('-')[0]}/{trial}"].info.run_id, name)
            expected = rows.dropna(subset=[name])
            assert [(metric.step, metric.value) for metric in kept] == list(
                zip(expected["epoch"], expected[name], strict=True)
            )
    trial, row = runs["alexnet/alexnet-1"], trials[trials["trial_id"] == "alexnet-1"].iloc[0]
    assert (trial.info.run_name, trial.info.status) == ("alexnet-1", "KILLED")
    assert trial.data.tags["status"] == "PRUNED" and trial.data.params["lr"] == str(row["lr"])
    final = runs["alexnet/alexnet-tuned-seed-1"]
    metrics = folder.final.read("alexnet-tuned", 1).metrics
    assert final.data.metrics["test_recall"] == metrics["recall"] and final.info.status == "FINISHED"
    assert (final.data.params["seed"], final.data.params["variant"]) == ("1", "tuned")
    summary = json.loads((folder.report / "summary.json").read_text())
    accuracy, network = summary["groups"]["alexnet-tuned"]["accuracy"], runs["alexnet"].data
    kinds = ("mean", "sd", "ci95_low", "ci95_high")
    assert [network.metrics[f"tuned/test_accuracy/{kind}"] for kind in kinds] == [
        accuracy["mean"],
        accuracy["sd"],
        *accuracy["ci95"],
    ]
    study = runs[""]
    assert study.data.tags["call"] == summary["verdict"]["call"] and study.info.status == "FINISHED"
    assert study.data.tags["verdict"] == summary["verdict"]["text"] and study.info.run_name == "pets"
    assert study.data.tags["mlflow.note.content"] == summary["verdict"]["text"]
    downloaded = client.download_artifacts(study.info.run_id, "report.html", str(tmp_path))
    assert Path(downloaded).read_bytes() == report.read_bytes()

    # Nothing is new.
    give(folder)
    again = runs_at(server)
    assert {key: (run.data.to_dictionary(), run.info.end_time) for key, run in again.items()} == {
        key: (run.data.to_dictionary(), run.info.end_time) for key, run in runs.items()
    }


def test_without_a_server_a_file_beside_the_studies_has_them_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    folder = write_example(Path("results") / "pets", seeds=1, trials=3, epochs=2)
    write_report(folder)
    give(folder)
    runs = runs_at(f"sqlite:///{tmp_path}/results/mlflow.db")
    assert runs[""].info.artifact_uri.startswith((tmp_path / "results" / "mlflow-artifacts").as_uri())
    assert {path.name for path in tmp_path.iterdir()} == {"results"}
    assert {path.name for path in (tmp_path / "results").iterdir()} == {"pets", "mlflow.db", "mlflow-artifacts"}


def test_a_server_that_is_away_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    folder = write_example(tmp_path / "pets", seeds=1, trials=3, epochs=2)
    assert main([str(folder.path), "--to", "mlflow", "--uri", "http://127.0.0.1:9"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: MLflow is behind: ") and "127.0.0.1" in line


def give(folder: StudyFolder) -> None:
    assert main([str(folder.path), "--to", "mlflow"]) == 0


def test_metrics_beyond_one_request_are_written(tmp_path: Path) -> None:
    folder = write_example(tmp_path / "pets", seeds=1, trials=3, epochs=3)
    history = folder.read_history()
    assert history is not None
    long = history[history["trial_id"] == "alexnet-0"].iloc[:1]
    rows = pd.concat([long.assign(epoch=epoch) for epoch in range(1, 502)])
    folder.write_history(pd.concat([history[history["trial_id"] != "alexnet-0"], rows]))
    uri = f"sqlite:///{tmp_path}/own.db"
    assert main([str(folder.path), "--to", "mlflow", "--uri", uri]) == 0
    from mlflow import MlflowClient

    run_id = runs_at(uri)["alexnet/alexnet-0"].info.run_id
    kept = MlflowClient(uri).get_metric_history(run_id, "val_accuracy")
    assert [metric.step for metric in kept] == list(range(1, 502))
