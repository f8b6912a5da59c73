"""Faults that are really injected into real studies: whatever happens, one command goes on from there.

The studies train tiny networks, and a gate holds them where a test wants them.
"""

import re
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
from tests.in_process import run_here
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


def kill(study: Program) -> str:
    """Kill the driver; ten seconds later nothing of the study may be left. Return what it had printed."""
    with within(10):
        out = study.kill()
        study.wait_until_gone()
    return out


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


def test_an_interruption_and_a_kill_of_one_study_change_nothing(
    undisturbed: Finished, programs: Programs, gate: Gate, tmp_path: Path
) -> None:
    folder = tmp_path / "results" / "killed"
    resume = ["--resume", "--name", "killed"]
    final = folder / "final"

    study = programs.study([*SMALL, "--name", "killed"], tmp_path)
    gate.let_train_until(study, lambda: events(folder, "epoch") >= 1)  # in the search
    assert study.session_directories()
    _, go_on = interrupt(study)
    assert go_on == "python -m study.run --resume --results-dir results --name killed"
    assert (folder / "trials.csv").exists()
    checkpoint = unfinished_checkpoint(folder)
    flip(checkpoint)

    study = programs.study(shlex.split(go_on)[3:], tmp_path)
    gate.let_train_until(study, lambda: list(final.glob("*/seed-0/predictions.npz")))  # in the final runs
    assert f"the checkpoint {checkpoint} is damaged; {checkpoint.stem} begins anew" in kill(study)
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


def test_sigterm_while_ray_starts_ends_in_order(programs: Programs, tmp_path: Path) -> None:
    study = programs.study([*SMALL, "--name", "early"], tmp_path)
    study.wait_for(lambda: study.workers("gcs_server"))  # which Ray starts first
    said, go_on = interrupt(study)
    assert said.endswith("stopping; Ctrl-C again stops at once\ninterrupted before the study began\n")
    assert go_on == ""
    assert not (tmp_path / "results").exists()


def test_ctrl_c_twice_ends_at_once_and_can_be_resumed(programs: Programs, gate: Gate, tmp_path: Path) -> None:
    study = programs.study([*SMALL, "--name", "twice"], tmp_path)
    gate.let_train_until(study, lambda: events(tmp_path / "results" / "twice", "epoch") >= 1)
    study.process.send_signal(signal.SIGINT)
    assert study.stderr.readline() == "stopping; Ctrl-C again stops at once\n"
    with within(5):
        study.process.send_signal(signal.SIGINT)
        done = study.finish()
    assert done.returncode == 130
    assert done.stderr == "interrupted; go on with: python -m study.run --resume --results-dir results --name twice\n"
    with within(10):
        study.wait_until_gone()
    folder = StudyFolder.open(tmp_path / "results" / "twice")
    assert StudyConfig.from_json(folder.read_study()["config"]).trials == 2
    with held(folder.path):
        assert mend(folder) == []
    assert len(Ledger(folder.journal).arrivals()) >= 1


def test_killed_workers_go_on_and_nobody_else_notices(
    undisturbed: Finished, programs: Programs, gate: Gate, tmp_path: Path
) -> None:
    """Beside it, a second driver is refused, and every open socket is looked at."""
    folder = tmp_path / "results" / "workers"
    study = programs.study([*SMALL, "--name", "workers"], tmp_path)
    gate.let_train_until(study, lambda: events(folder, "epoch") >= 2)
    assert_only_loopback(study)
    own = psutil.Process(study.process.pid).nice()
    assert [worker.nice() for worker in study.workers("ray::ImplicitFunc")] == [own], "`nice` decides, not Ray"
    for worker in study.workers("ray::ImplicitFunc"):
        worker.kill()
    refused = run_here(["--resume", "--name", "workers"], tmp_path)
    assert refused.returncode == 2
    assert refused.stderr == (
        "error: another process is at work on the study results/workers: wait for it, or end it\n"
    )
    checkpoints = folder / "tune" / "checkpoints" / "final"
    gate.let_train_until(study, lambda: checkpoints.exists() and study.workers("ray::_train_run"))
    for worker in study.workers("ray::_train_run"):
        worker.kill()
    gate.open()
    done = study.finish()
    assert done.returncode == 0, done.stderr
    assert_same_results(undisturbed.folder, folder)
    assert study.processes() == []


@pytest.mark.parametrize(
    ("victim", "reason"),
    [
        ("gcs_server", r"Ray's control service \(GCS\) has not answered for \d+ s"),
        ("raylet/raylet", r"the Ray process of this machine \(raylet\) has ended"),
    ],
)
def test_a_study_that_loses_its_ray_ends_with_the_line(
    programs: Programs, gate: Gate, tmp_path: Path, victim: str, reason: str
) -> None:
    folder = tmp_path / "results" / "lost"
    study = programs.study([*SMALL, "--name", "lost"], tmp_path)
    gate.let_train_until(study, lambda: events(folder, "epoch") >= 1)
    study.workers(victim)[0].kill()
    done = study.finish()
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    found = re.fullmatch(rf"the study failed: {reason}\. When that is mended, go on with: (.*)", last)
    assert found, done.stderr
    assert found[1] == "python -m study.run --resume --results-dir results --name lost"
    assert last in (folder / "study.log").read_text()
    with within(10):
        study.wait_until_gone()
    if victim == "gcs_server":
        gate.open()
        done = run_here(shlex.split(found[1])[3:], tmp_path)
        assert done.returncode == 0, done.stderr


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


# The driver takes Ray for lost sooner than usual, and its report takes longer than that.
SLOW_REPORT = """
import runpy, sys, time
import study.cluster.health.lifeline as lifeline
import study.workflow as workflow

lifeline.ASK_EVERY_SECONDS, lifeline.LOST_AFTER_SECONDS = 0.5, 3.0
conclude = workflow.conclude

def conclude_late(*arguments):
    time.sleep(8)
    return conclude(*arguments)

workflow.conclude = conclude_late
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_nobody_watches_ray_after_its_end(programs: Programs, tmp_path: Path) -> None:
    """A study that writes its report would take the ended Ray for a lost one."""
    words = [*OWN_NETWORKS, *SMALL, "--archs", "tiny", "--trials", "1", "--name", "late"]
    done = programs.start("-c", SLOW_REPORT, *words, cwd=tmp_path).finish()
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "results" / "late" / "report" / "report.html").exists()
