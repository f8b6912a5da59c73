"""Trackers that follow a study while it works."""

import json
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pandas as pd
import psutil
import pytest

from analysis.results.study_folder import StudyFolder
from study.storage.lock import exclusive
from study.track import feed
from study.track.__main__ import main
from study.track.feed import live
from tests.analysis.example_study import write_example
from tests.in_process import run_here
from tests.pace import within
from tests.processes import HANGS_AFTER, SMALL
from tests.study.track.event_files import read_scalars, read_texts
from tests.study.track.reports import write_report
from tests.study.track.wandb_files import read_finished_runs

pytestmark = pytest.mark.trackers

# How long a step of training waits for the first epochs to be shown. The last of a study come after some 30 steps.
SECONDS_A_STEP = 5.0


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    return write_example(tmp_path / "pets", seeds=1, trials=3, epochs=2)


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + HANGS_AFTER
    while not condition():
        assert time.monotonic() < deadline, "it hangs"
        time.sleep(0.05)


def test_a_server_that_is_away_is_one_line_which_names_the_command_for_the_rest(
    folder: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    lines: list[str] = []
    with live(folder.path, ["mlflow", "tensorboard"], lines.append):
        wait_for(lambda: lines)
        write_report(folder)
    (line,) = lines
    assert line.startswith("MLflow is behind (") and "127.0.0.1" in line
    assert line.endswith(f" afterwards: python -m study.track {folder.path} --to mlflow")
    assert read_texts(folder.path / "tensorboard")["study"], "the other tracker has everything"


def test_a_server_that_never_answers_does_not_hold_the_study(
    folder: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "WAIT_AT_END_SECONDS", 1.0)
    lines: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.getsockname()[1]}")
        with ExitStack() as stack:
            stack.enter_context(live(folder.path, ["mlflow"], lines.append))
            connection, _ = server.accept()
            with connection, within(2):
                stack.close()
    (line,) = lines
    assert "it takes too long" in line


def test_a_process_that_cannot_start_is_one_line(folder: StudyFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed.sys, "executable", str(folder.path / "no-python"))
    lines: list[str] = []
    with live(folder.path, ["tensorboard"], lines.append):
        pass
    (line,) = lines
    assert line.startswith("TensorBoard is behind (") and "no-python" in line


def test_a_tracker_is_fed_in_a_folder_with_a_module_of_the_same_name(
    folder: StudyFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "study.py").write_text("raise SystemExit('the file of the user runs')")
    monkeypatch.chdir(tmp_path)
    lines: list[str] = []
    with live(Path("pets"), ["tensorboard"], lines.append):
        pass
    assert lines == [] and read_texts(folder.path / "tensorboard")["study"]


def test_the_command_waits_for_the_end_of_a_running_study(
    folder: StudyFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    with exclusive(folder.path):
        assert main([str(folder.path), "--to", "tensorboard"]) == 2
    assert capsys.readouterr().err == (
        f"error: {folder.path} is at work: wait until the study has ended, or begin it with --track\n"
    )


# The tracker's process, which looks at the study more often than usual.
OFTEN = """#!{python}
import sys
from study.track import feed
from study.track.__main__ import main

feed.LOOK_EVERY_SECONDS = 0.2
assert sys.argv[1:4] == ["-P", "-m", "study.track"]
sys.exit(main(sys.argv[4:]))
"""


@pytest.fixture
def often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the search write its tables all the time, and trackers look at them."""
    program = tmp_path / "often"
    program.write_text(OFTEN.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setattr(feed.sys, "executable", str(program))
    monkeypatch.setattr("study.listeners.search_recorder.TABLES_EVERY_SECONDS", 0.0)


@pytest.mark.usefixtures("often")
def test_a_study_that_is_interrupted_and_goes_on_is_shown_once(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "results" / "tracked")
    root = folder.path / "tensorboard"

    before = set(psutil.Process().children())

    def when_shown() -> None:
        deadline = time.monotonic() + SECONDS_A_STEP
        while time.monotonic() < deadline:
            if any(root.glob("*/*/*tfevents*")):
                signal.raise_signal(signal.SIGTERM)
            time.sleep(0.05)

    done = run_here([*SMALL, "--name", "tracked", "--track", "tensorboard"], tmp_path, at_step=when_shown)
    assert done.returncode == 130 and set(psutil.Process().children()) <= before
    assert "behind" not in done.stderr

    done = run_here(["--resume", "--name", "tracked"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "behind" not in done.stderr
    assert json.loads((folder.path / "study.json").read_text())["config"]["track"] == ["tensorboard"]
    history = pd.read_csv(folder.path / "history.csv")
    shown = {f"{arch}/{trial}": rows for (arch, trial), rows in history.groupby(["arch", "trial_id"])}
    for group, seeds in folder.final.numbers().items():
        for seed in seeds:
            shown[f"{group.partition('-')[0]}/{group}-seed-{seed}"] = folder.final.read(group, seed).history
    assert {str(path.parent.relative_to(root)) for path in root.glob("*/*/*tfevents*")} == set(shown)
    for name, rows in shown.items():
        scalars = read_scalars(root / name)
        for metric in ("train_loss", "val_loss", "val_accuracy"):
            assert [step for step, _ in scalars[metric]] == list(rows["epoch"])
            assert [value for _, value in scalars[metric]] == pytest.approx(list(rows[metric]), rel=1e-6)
    assert "| verdict | " in read_texts(root)["study"][-1]
    assert read_scalars(root / "tiny")["tuned/test_accuracy/mean"]

    # The study is finished, so the other tracker gets all of it at once.
    done = run_here(["--resume", "--name", "tracked", "--track", "wandb"], tmp_path)
    assert done.returncode == 0 and "behind" not in done.stderr, done.stderr
    runs = read_finished_runs(folder.path / "wandb")
    assert {run.name for run in runs} == {"tracked", "tiny", "small", *(name.partition("/")[2] for name in shown)}
