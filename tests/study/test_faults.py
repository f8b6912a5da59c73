"""Faults that are really injected into real studies: whatever happens, one command goes on from there.

The studies train tiny networks, and a gate holds them where a test wants them.
"""

import os
import shlex
import signal
from pathlib import Path

import optuna
import psutil
import pytest

from analysis.results.optuna_database import open_database
from analysis.results.study_folder import StudyFolder
from study.search.ledger import Ledger
from study.settings.config import StudyConfig
from study.storage.claim import held, mend
from tests.in_process import interrupt_when, run_here
from tests.pace import within
from tests.processes import GATE, OWN_NETWORKS, SMALL, Gate, Program, Programs, assert_same_results
from tests.study.conftest import Finished
from tests.study.faults import events, flip

pytestmark = pytest.mark.slow


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gate:
    """Return a gate that holds the training of the studies that the test starts."""
    monkeypatch.setenv(GATE, str(tmp_path / "gate"))
    return Gate(tmp_path / "gate")


def unfinished_checkpoint(folder: Path) -> Path:
    """The newest checkpoint of the trial that the search was at."""
    trials = Ledger(folder / "tune" / "journal.jsonl").trials()
    (path,) = (folder / "tune" / "checkpoints" / f"{trial.trial_id}.pt" for trial in trials if trial.status is None)
    return path


def test_sigterm_in_the_search_ends_in_order_and_a_damaged_checkpoint_changes_nothing(
    undisturbed: Finished, programs: Programs, gate: Gate, tmp_path: Path
) -> None:
    folder = tmp_path / "results" / "ended"
    study = programs.study([*SMALL, "--name", "ended"], tmp_path)
    gate.let_train_until(study, lambda: events(folder, "epoch") >= 1)
    assert study.session_directories()
    _, go_on = interrupt(study)
    assert go_on == "python -m study.run --resume --results-dir results --name ended"
    assert (folder / "trials.csv").exists()
    checkpoint = unfinished_checkpoint(folder)
    flip(checkpoint)

    gate.open()
    done = run_here(shlex.split(go_on)[3:], tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"the checkpoint {checkpoint} is damaged; {checkpoint.stem} begins anew" in done.stdout
    assert_same_results(undisturbed.folder, folder)


def interrupt(study: Program) -> tuple[str, str]:
    """Send SIGTERM to the driver, which ends within twenty seconds and leaves nothing of the study behind.

    Returns:
        The printed text, and the command that continues the study according to this text.
    """
    with within(20):
        study.process.send_signal(signal.SIGTERM)
        done = study.finish()
    assert done.returncode == 130
    assert study.processes() == []
    assert study.session_directories() == []
    return done.stdout + done.stderr, done.stderr.strip().splitlines()[-1].partition("go on with: ")[2]


def test_sigterm_while_ray_starts_ends_in_order(programs: Programs, tmp_path: Path) -> None:
    study = programs.study([*SMALL, "--name", "early"], tmp_path)
    study.wait_for(lambda: study.workers("gcs_server"))  # which Ray starts first
    said, go_on = interrupt(study)
    assert said.endswith("stopping; Ctrl-C again stops at once\ninterrupted before the study began\n")
    assert go_on == ""
    assert not (tmp_path / "results").exists()


# A trial whose worker dies before it has made progress would not be tried again.
STRICT = """
import runpy, sys
from functools import partial
from study.search import driver

driver.Attempts = partial(driver.Attempts, retries=0)
"""
A_STUDY = """
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture
def trackers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install trackers that leave a file when they are imported, and return their folder."""
    site = tmp_path / "site"
    site.mkdir()
    for name in ("mlflow", "wandb"):
        (site / f"{name}.py").write_text("from pathlib import Path\nPath(__file__).with_suffix('.imported').touch()\n")
    monkeypatch.setenv("PYTHONPATH", f"{site}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    return site


def test_killed_workers_and_ctrl_c_twice_change_nothing(
    undisturbed: Finished, programs: Programs, gate: Gate, trackers: Path, tmp_path: Path
) -> None:
    """Show also that a second driver is refused, that no open socket is in reach, and that no tracker is imported."""
    folder = tmp_path / "results" / "workers"
    resume = ["--resume", "--name", "workers"]
    study = programs.study([*SMALL, "--name", "workers"], tmp_path, ("-c", STRICT + A_STUDY, *OWN_NETWORKS))
    gate.let_train_until(study, lambda: events(folder, "epoch") >= 2)
    assert_only_loopback(study)
    own, (worker,) = psutil.Process(study.process.pid).nice(), study.workers("ray::ImplicitFunc")
    assert worker.nice() == own, "`nice` decides, not Ray"
    assert "PL_DISABLE_FORK" not in worker.environ(), "a worker that Ray started ahead would do"
    (agent,) = study.workers("ray::DashboardAgent")
    assert sum(socket.status == psutil.CONN_LISTEN for socket in agent.net_connections()) == 1, "it serves no dashboard"
    assert not list(trackers.glob("*.imported")), "nobody asked for a tracker"
    worker.kill()
    refused = run_here(resume, tmp_path)
    assert refused.returncode == 2
    assert refused.stderr == (
        "error: another process is at work on the study results/workers: wait for it, or end it\n"
    )

    checkpoints, final = folder / "tune" / "checkpoints" / "final", folder / "final"
    gate.let_train_until(study, lambda: list(checkpoints.rglob("*.pt")) and study.workers("ray::_train_run"))
    (killed,) = (path.relative_to(checkpoints).with_suffix("") for path in checkpoints.rglob("*.pt"))
    for worker in study.workers("ray::_train_run"):
        worker.kill()
    gate.let_train_until(study, lambda: list(final.glob("*/seed-*/predictions.npz")))
    assert (final / killed / "predictions.npz").exists(), "the killed run went on before the next one began"
    stop_at_once(study, "workers")
    opened = StudyFolder.open(folder)
    assert StudyConfig.from_json(opened.read_study()["config"]).trials == 2
    with held(folder):
        assert mend(opened) == []
    finished = {path: path.stat().st_mtime_ns for path in final.glob("*/seed-*/*")}
    (final / "small-baseline" / ".seed-1.0123456789.tmp").mkdir(parents=True)  # as if files were being written

    gate.open()
    done = run_here(resume, tmp_path)
    assert done.returncode == 0, done.stderr
    assert_same_results(undisturbed.folder, folder)
    assert finished
    assert all(path.stat().st_mtime_ns == changed for path, changed in finished.items()), "done once, and for good"
    for arch in ("tiny", "small"):
        stored = optuna.load_study(study_name=arch, storage=open_database(folder / "optuna.db"))
        assert [trial.number for trial in stored.trials] == [0, 1]
        assert all(trial.state.is_finished() for trial in stored.trials)
    assert list(folder.rglob(".*.tmp")) == []


def stop_at_once(study: Program, name: str) -> None:
    """Press Ctrl-C twice; ten seconds later nothing of the study may be left."""
    study.process.send_signal(signal.SIGINT)
    assert "stopping; Ctrl-C again stops at once\n" in iter(study.stderr.readline, "")
    with within(5):
        study.process.send_signal(signal.SIGINT)
        done = study.finish()
    assert done.returncode == 130
    assert done.stderr == f"interrupted; go on with: python -m study.run --resume --results-dir results --name {name}\n"
    with within(10):
        study.wait_until_gone()


# The driver takes Ray for lost sooner than usual.
SOON = """
import runpy, sys
from study.cluster.health import lifeline

lifeline.ASK_EVERY_SECONDS, lifeline.LOST_AFTER_SECONDS = 0.5, 3.0
"""


def test_a_study_that_loses_its_ray_ends_with_the_line(programs: Programs, gate: Gate, tmp_path: Path) -> None:
    folder = tmp_path / "results" / "lost"
    study = programs.start("-c", SOON + A_STUDY, *OWN_NETWORKS, *SMALL, "--name", "lost", cwd=tmp_path)
    gate.let_train_until(study, lambda: events(folder, "epoch") >= 1)
    study.workers("raylet/raylet")[0].kill()
    done = study.finish()
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    reason = "the Ray process of this machine (raylet) has ended"
    go_on = "python -m study.run --resume --results-dir results --name lost"
    assert last == f"the study failed: {reason}. When that is mended, go on with: {go_on}"
    assert last in (folder / "study.log").read_text()
    with within(10):
        study.wait_until_gone()
    gate.open()
    done = run_here(shlex.split(go_on)[3:], tmp_path, at_step=interrupt_when(lambda: events(folder, "end") >= 1))
    assert done.returncode == 130, "it has gone on to its second trial"


def assert_only_loopback(study: Program) -> None:
    """Whatever its processes listen on is out of reach from other machines, and needs a token that only we can read."""
    sockets = [
        (process.name(), socket.laddr.ip)
        for process in study.processes()
        for socket in process.net_connections("inet")
        if socket.status == "LISTEN"
    ]
    assert {"raylet", "gcs_server"} <= {name for name, _ in sockets}
    assert {ip.removeprefix("::ffff:") for _, ip in sockets} <= {"127.0.0.1", "::1"}, sockets
    gcs = next(process for process in study.processes() if process.name() == "gcs_server")
    assert gcs.environ()["RAY_AUTH_MODE"] == "token"
    assert len(gcs.environ()["RAY_AUTH_TOKEN"]) == 64
