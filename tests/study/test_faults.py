"""Faults that are really injected into real studies: whatever happens, one command goes on from there."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest

from analysis.results.optuna_database import open_database
from analysis.results.study_folder import StudyFolder
from study.search.ledger import Ledger
from study.settings.config import StudyConfig
from study.storage.claim import held, mend
from tests.processes import SMALL, TEMPORARY, Study, assert_same_results, run


def events(folder: Path, kind: str) -> int:
    """How many events of a kind the search's journal holds."""
    journal = folder / "tune" / "journal.jsonl"
    return journal.read_text().count(f'"event": "{kind}"') if journal.exists() else 0


def flip(path: Path) -> None:
    """Flips every bit of the middle of a file."""
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 8] = bytes(byte ^ 0xFF for byte in content[middle : middle + 8])
    path.write_bytes(content)


def unfinished_checkpoint(folder: Path) -> Path:
    """The newest checkpoint of the trial that the search was at."""
    trials = Ledger(folder / "tune" / "journal.jsonl").trials()
    (path,) = (folder / "tune" / "checkpoints" / f"{trial.trial_id}.pt" for trial in trials if trial.status is None)
    return path


def kill_when(study: Study, condition: Callable[[], object]) -> str:
    """kill -9 of the driver as soon as the condition holds; ten seconds later nothing of it may be left.

    Returns what it had printed.
    """
    study.wait_for(condition)
    out = study.kill()
    study.wait_until_gone(10)
    return out


def interrupt(study: Study) -> tuple[str, str]:
    """SIGTERM to the driver, which ends within twenty seconds and leaves nothing of the study behind.

    Returns what it had printed, and the command that it says the study goes on with.
    """
    study.process.send_signal(signal.SIGTERM)
    interrupted = time.monotonic()
    done = study.finish(timeout=60)
    assert done.returncode == 130
    assert time.monotonic() - interrupted < 20
    assert study.processes() == []
    assert study.session_directories() == []
    return done.stdout + done.stderr, done.stderr.strip().splitlines()[-1].partition("go on with: ")[2]


def test_five_kills_and_an_interruption_of_one_study_change_nothing(whole: Path, workplace: Path) -> None:
    folder = workplace / "results" / "killed"
    resume = ["--resume", "--name", "killed"]
    final = folder / "final"

    study = Study([*SMALL, "--name", "killed"], workplace)
    study.wait_for(lambda: events(folder, "ask") >= 1)  # before the first checkpoint
    sessions = study.session_directories()
    assert sessions
    kill_when(study, lambda: True)

    study = Study(resume, workplace)
    kill_when(study, lambda: events(folder, "epoch") >= 1)  # in the search
    assert not any(path.exists() for path in sessions), "the next command clears what a killed run left"
    checkpoint = unfinished_checkpoint(folder)
    flip(checkpoint)

    study = Study(resume, workplace)
    study.wait_for(lambda: events(folder, "end") >= 2)
    out, go_on = interrupt(study)
    assert f"the checkpoint {checkpoint} is damaged; {checkpoint.stem} begins anew" in out
    assert go_on == "python -m study.run --resume --results-dir results --name killed"
    assert (folder / "trials.csv").exists()

    study = Study(shlex.split(go_on)[3:], workplace)
    kill_when(study, lambda: events(folder, "end") >= 4)  # between the search and the final runs

    study = Study(resume, workplace)
    kill_when(study, lambda: list(final.glob("*/seed-0/predictions.npz")))  # in the final runs
    finished = {path: path.stat().st_mtime_ns for path in final.glob("*/seed-*/*")}

    study = Study(resume, workplace)
    kill_when(study, lambda: list(final.glob("*/.seed-*.tmp")))  # while files are written

    done = run(resume, workplace)
    assert done.returncode == 0, done.stderr
    assert_same_results(whole, folder)
    assert finished
    assert all(path.stat().st_mtime_ns == changed for path, changed in finished.items()), "done once, and for good"
    for arch in ("alexnet", "mobilenet"):
        stored = optuna.load_study(study_name=arch, storage=open_database(folder / "optuna.db"))
        assert [trial.number for trial in stored.trials] == [0, 1]
        assert all(trial.state.is_finished() for trial in stored.trials)
    assert list(folder.rglob(".*.tmp")) == []


def test_sigterm_while_ray_starts_ends_in_order(tmp_path: Path) -> None:
    study = Study([*SMALL, "--name", "early"], tmp_path)
    study.wait_for(lambda: study.workers("gcs_server"))  # which Ray starts first
    said, go_on = interrupt(study)
    assert (said, go_on) == ("stopping; Ctrl-C again stops at once\ninterrupted before the study began\n", "")
    assert not (tmp_path / "results").exists()


def test_ctrl_c_twice_ends_at_once_and_can_be_resumed(workplace: Path) -> None:
    study = Study([*SMALL, "--name", "twice"], workplace)
    study.wait_for(lambda: events(workplace / "results" / "twice", "epoch") >= 1)
    study.process.send_signal(signal.SIGINT)
    time.sleep(0.05)
    study.process.send_signal(signal.SIGINT)
    begun = time.monotonic()
    done = study.finish(timeout=30)
    assert time.monotonic() - begun < 5
    assert done.returncode == 130
    assert done.stderr == (
        "stopping; Ctrl-C again stops at once\n"
        "interrupted; go on with: python -m study.run --resume --results-dir results --name twice\n"
    )
    study.wait_until_gone(10)
    folder = StudyFolder.open(workplace / "results" / "twice")
    assert StudyConfig.from_json(folder.read_study()["config"]).trials == 2
    with held(folder.path):
        assert mend(folder) == []
    assert len(Ledger(folder.journal).arrivals()) >= 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own that holds 1 MB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    path = tmp_path / "disk"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(path)], check=True)
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


def test_a_full_disk_ends_the_study_with_one_line(small_disk: Path) -> None:
    arguments = [*SMALL, "--archs", "mobilenet", "--name", "full"]
    done = run(arguments, small_disk)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "No space left on device" in line
    go_on = line.partition("When that is mended, go on with: python -m study.run ")[2]
    before = Ledger(small_disk / "results" / "full" / "tune" / "journal.jsonl").arrivals()

    subprocess.run(["mount", "-o", "remount,size=100m", str(small_disk)], check=True)
    done = run(shlex.split(go_on), small_disk)
    assert done.returncode == 0, done.stderr
    trials = StudyFolder(small_disk / "results" / "full").read_trials()
    assert trials is not None
    assert list(trials["trial_id"]) == [f"mobilenet-{number}" for number in range(2)]
    assert set(trials["status"]) <= {"COMPLETE", "STOPPED_EARLY", "PRUNED"}, "a full disk is no trial's fault"
    after = Ledger(small_disk / "results" / "full" / "tune" / "journal.jsonl").arrivals()
    assert [(t.trial_id, row) for t, row in after][: len(before)] == [(t.trial_id, row) for t, row in before]


def test_memory_that_runs_out_is_the_trials_own_fault(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray kills every worker, as it does where the machine's memory runs short: nothing may hang."""
    monkeypatch.setenv("RAY_memory_usage_threshold", "0.001")
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "100")
    done = run([*SMALL, "--archs", "mobilenet", "--trials", "1", "--name", "memory"], workplace)
    assert done.returncode == 1
    trial, ending = done.stderr.splitlines()
    assert trial.startswith("the trial mobilenet-0 failed: out of memory: lower --concurrency")
    assert ending.startswith("the study failed: inference time could not be measured: out of memory")


def test_killed_workers_go_on_and_nobody_else_notices(whole: Path, workplace: Path) -> None:
    """Beside it, a second driver is refused, and every open socket is looked at."""
    folder = workplace / "results" / "workers"
    study = Study([*SMALL, "--name", "workers"], workplace)
    study.wait_for(lambda: events(folder, "epoch") >= 2)
    assert_only_loopback(study)
    for worker in study.workers("ray::ImplicitFunc"):
        worker.kill()
    refused = run(["--resume", "--name", "workers"], workplace)
    assert refused.returncode == 2
    assert refused.stderr == (
        "error: another process is at work on the study results/workers: wait for it, or end it\n"
    )
    study.wait_for(lambda: (folder / "tune" / "checkpoints" / "final").exists() and study.workers("ray::_train_run"))
    for worker in study.workers("ray::_train_run"):
        worker.kill()
    done = study.finish()
    assert done.returncode == 0, done.stderr
    assert_same_results(whole, folder)
    assert study.processes() == []


def assert_only_loopback(study: Study) -> None:
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
    assert (Path.home() / ".ray" / "auth_token").stat().st_mode & 0o777 == 0o600


def test_what_is_damaged_in_a_finished_study_is_named_and_made_again(whole: Path, workplace: Path) -> None:
    folder = workplace / "results" / "damaged"
    shutil.copytree(whole, folder)
    group = folder / "final" / "mobilenet-baseline"
    damage = [
        group / "seed-0" / "predictions.npz",
        group / "seed-1" / "model.safetensors",
        folder / "tune" / "journal.jsonl",
    ]
    for path in damage:
        flip(path)
    (folder / "trials.csv").write_bytes((folder / "trials.csv").read_bytes()[:-9])
    kept = {path: path.stat().st_mtime_ns for path in folder.glob("final/alexnet-*/*/*")}
    done = run(["--resume", "--name", "damaged"], workplace)
    assert done.returncode == 0, done.stderr
    for path in damage:
        assert any(f"{path.relative_to(workplace)} is damaged" in line for line in done.stderr.splitlines()), path
    assert_same_results(whole, folder, is_same_order=False)
    assert kept == {path: path.stat().st_mtime_ns for path in folder.glob("final/alexnet-*/*/*")}


def test_what_is_measured_and_shown_after_all_runs_is_made_again_alone(whole: Path, workplace: Path) -> None:
    folder = workplace / "results" / "late"
    shutil.copytree(whole, folder)
    flip(folder / "final" / "latency.json")
    (folder / "final" / "samples.npz").unlink()
    baseline = folder / "final" / "mobilenet-baseline"
    kept = {path: path.stat().st_mtime_ns for path in folder.glob("final/*/*/*")}
    shutil.copytree(baseline / "seed-0", baseline / "seed-7")  # a run that is none of this study's
    report = (folder / "report" / "summary.json").read_text()
    (folder / "report" / "summary.json").write_text("of fewer seeds")
    done = run(["--resume", "--name", "late"], workplace)
    assert done.returncode == 0, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("results/late/final/latency.json is damaged: ")
    assert line.endswith("; it is made again")
    assert_same_results(whole, folder)
    assert set(StudyFolder(folder).read_latency() or {}) == {"alexnet", "mobilenet"}
    assert StudyFolder(folder).read_samples() is not None
    assert kept == {path: path.stat().st_mtime_ns for path in folder.glob("final/*/*/*")}

    (folder / "report" / "summary.json").write_text("of fewer seeds")
    done = run(["--resume", "--name", "late"], workplace)
    assert done.stdout.splitlines()[-1].startswith("Report: ")
    assert json.loads((folder / "report" / "summary.json").read_text()).keys() == json.loads(report).keys()
    assert run(["--resume", "--name", "late"], workplace).stdout.startswith("The study is finished. Report: ")


def test_the_session_of_another_living_study_is_left_alone(tmp_path: Path) -> None:
    script = """
import sys
from study.cluster.session import ray_session
with ray_session(None):
    print("up", flush=True)
    sys.stdin.readline()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "up\n"
        (directory,) = TEMPORARY.glob(f"fairverdict-{first.pid}-*")
        left, foreign = TEMPORARY / "fairverdict-1-of_a_run", TEMPORARY / f"fairverdict-{first.pid}"
        for path in (left, foreign):
            (path / "session").mkdir(parents=True)
        second = subprocess.run([sys.executable, "-c", script], input="\n", text=True, capture_output=True, check=False)
        assert second.stdout == "up\n", second.stderr
        assert directory.exists()
        assert not left.exists(), "a driver that was killed had made it"
        assert foreign.exists(), "it only begins its name as a session does"
        shutil.rmtree(foreign)
        first.communicate("\n")
    assert not directory.exists()
