"""What ends a study with a line, and what is a fault of the program."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

import study.workflow
from analysis.results.study_folder import StudyFolder
from study.cli.endings import ending_of
from study.cli.interrupts import Interrupts
from study.cli.request import Request, read_request
from study.errors import StudyFailed, Superseded
from study.listeners.progress import Progress
from study.run import main

TO_NOBODY = """
import sys
from study.cli.endings import say_error

sys.stdin.readline()
say_error("a line")
print("went on", flush=True)
"""


def test_a_line_that_nobody_reads_ends_nothing() -> None:
    command = [sys.executable, "-c", TO_NOBODY]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        process.stderr.close()
        process.stdin.write("now\n")
        process.stdin.close()
        assert process.stdout.read() == "went on\n"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EPERM])
def test_what_the_disk_refuses_is_a_line_that_names_the_place(number: int) -> None:
    ending = ending_of(OSError(number, os.strerror(number), "/place/report"), None)
    assert ending is not None
    line, status = ending
    assert line.startswith(f"the study failed: {os.strerror(number)}: /place/report.")
    assert status == 1


def test_several_studies_are_gone_on_with_together_once_the_first_has_begun(tmp_path: Path) -> None:
    arguments = ["--dataset", "digits", "--results-dir", str(tmp_path), "--name", "my-two-2", "--searches", "2"]
    request = read_request(arguments)
    assert ending_of(KeyboardInterrupt(), request) == ("interrupted before the study began", 130)
    (tmp_path / "my-two-1").mkdir()
    (tmp_path / "my-two-1" / "study.json").touch()
    go_on = f"python -m study.run --resume --results-dir {tmp_path} --name my-two --searches 2"
    assert ending_of(KeyboardInterrupt(), request) == (f"interrupted; go on with: {go_on}", 130)


@pytest.mark.parametrize(
    ("program", "command"), [("study/run.py", "python -m study.run"), ("/venv/bin/fairverdict", "fairverdict run")]
)
def test_only_a_study_that_has_begun_is_gone_on_with(
    program: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", [program])
    arguments = ["--dataset", "digits", "--results-dir", str(tmp_path), "--name", "mine"]
    request = read_request(arguments)
    error = OSError(errno.EACCES, "no", "/place")
    assert ending_of(error, request) == ("the study failed: no: /place. When that is mended, begin again", 1)
    StudyFolder(tmp_path / "mine").write_study({})
    go_on = f"go on with: {command} --resume --results-dir {tmp_path} --name mine"
    assert ending_of(error, request) == (f"the study failed: no: /place. When that is mended, {go_on}", 1)


def test_a_study_with_a_bucket_goes_on_from_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["study/run.py"])
    uri = f"{(tmp_path / 'bucket').as_uri()}?a=b"
    arguments = ["--dataset", "digits", "--results-dir", str(tmp_path), "--name", "mine", "--storage"]
    request = read_request([*arguments, uri])
    StudyFolder(tmp_path / "mine").write_study({})
    ending = ending_of(StudyFailed("no"), request)
    assert ending is not None and ending[0].endswith(f"--resume --results-dir {tmp_path} --name mine --storage '{uri}'")
    assert ending_of(Superseded("a newer driver"), request) == ("the study ended here: a newer driver", 1)


def test_other_errors_are_not() -> None:
    assert ending_of(OSError(errno.ENOENT, "gone", "/place"), None) is None
    assert ending_of(ZeroDivisionError(), None) is None


def test_a_log_on_a_full_disk_changes_nothing_about_the_last_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(request: Request, interrupts: Interrupts, progress: Progress, *, is_dry: bool) -> int:
        progress.screen.study_log.open(Path("/dev/full"))
        return 0

    monkeypatch.setattr(study.workflow, "carry_out", fail)
    assert main(["--dataset", "digits", "--results-dir", str(tmp_path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "the study failed: No space left on device. When that is mended, begin again"


def test_a_fault_of_the_program_leaves_its_traceback_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(request: Request, interrupts: Interrupts, progress: Progress, *, is_dry: bool) -> int:
        progress.screen.study_log.open(tmp_path / "study.log")
        raise ZeroDivisionError

    monkeypatch.setattr(study.workflow, "carry_out", fail)
    with pytest.raises(ZeroDivisionError):
        main(["--dataset", "digits", "--results-dir", str(tmp_path)])
    assert (tmp_path / "study.log").read_text().endswith("ZeroDivisionError\n")
