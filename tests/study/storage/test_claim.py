"""Claiming a folder for a study: names, taken names, locks, and leftovers."""

import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.results.study_folder import TRIAL_COLUMNS, StudyFolder
from study.errors import BadInput
from study.storage.claim import check_free, check_name, create

# --- names


@settings(deadline=None)
@given(st.text(max_size=30) | st.text("./\\-~ \0\n:*ab", max_size=8))
def test_a_name_never_leaves_the_results_folder(name: str) -> None:
    try:
        check_name(name)
    except BadInput:
        return
    results = Path("/some/results")
    path = Path(os.path.normpath(results / name))
    assert path.parent == results
    assert path.name == name
    assert name.isprintable()
    assert "\\" not in name


@pytest.mark.parametrize(
    "name", ["study", "digits-20250101-120000", "a.b", "lr=1e-3 + more", "größe", "@home", "a" * 200]
)
def test_plain_names(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "/a", "../a", "a\0b", "a\n", " a", "a ", "~/a*", "a\\b", "a" * 201]
)
def test_other_names(name: str) -> None:
    with pytest.raises(BadInput, match="not one plain path component") as error:
        check_name(name)
    assert "\n" not in str(error.value)


def test_a_name_too_long_for_the_file_system_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput):
        check_free(tmp_path, "é" * 200)


# --- a new study's folder


def test_a_free_name_leaves_no_trace(tmp_path: Path) -> None:
    check_free(tmp_path / "results" / "deep", "a")
    assert list(tmp_path.iterdir()) == []


def test_creating_and_opening(tmp_path: Path) -> None:
    folder = create(tmp_path / "results", "a")
    assert folder.path == tmp_path / "results" / "a"
    folder.write_study({"name": "a", "x": math.nan})
    assert StudyFolder.open(folder.path).read_study() == {"name": "a", "x": None}


def test_a_taken_name_says_what_to_do(tmp_path: Path) -> None:
    create(tmp_path, "a").write_study({"keep": 1})
    for attempt in (check_free, create):
        with pytest.raises(BadInput, match=r"exists already: go on with it by --resume --name a, or choose another"):
            attempt(tmp_path, "a")
    assert StudyFolder.open(tmp_path / "a").read_study() == {"keep": 1}


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch], ids=["folder", "file"])
def test_a_folder_that_is_not_a_studys_is_refused_and_kept(tmp_path: Path, make: Callable[[Path], None]) -> None:
    theirs = tmp_path / "a" / "thesis"
    theirs.parent.mkdir()
    make(theirs)
    with pytest.raises(BadInput, match=r"holds files that are not a study's"):
        create(tmp_path, "a")
    assert theirs.exists()


@pytest.mark.parametrize("target", [None, "elsewhere"], ids=["file", "dangling link"])
def test_what_is_not_a_folder_is_refused(tmp_path: Path, target: str | None) -> None:
    path = tmp_path / "a"
    path.symlink_to(tmp_path / target) if target else path.touch()
    with pytest.raises(BadInput, match="exists and is not a folder"):
        create(tmp_path, "a")


def test_results_that_cannot_lie_where_they_should(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for results in (tmp_path / "file", tmp_path / "file" / "deeper"):
        with pytest.raises(BadInput, match="cannot be written"):
            check_free(results, "a")


def test_a_study_that_never_began_is_begun_afresh(tmp_path: Path) -> None:
    folder = create(tmp_path, "a")
    (folder.tune / "checkpoints").mkdir(parents=True)
    folder.write_trials(pd.DataFrame(columns=TRIAL_COLUMNS))
    create(tmp_path, "a")
    assert list(folder.path.iterdir()) == []


def test_killed_while_study_json_was_written_the_same_command_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = create(tmp_path, "a")
    with monkeypatch.context() as killed:
        killed.setattr(Path, "replace", lambda path, target: 1 / 0)
        killed.setattr(Path, "unlink", lambda path, missing_ok=False: None)
        with pytest.raises(ZeroDivisionError):
            folder.write_study({"name": "a"})
    assert len(list(folder.path.iterdir())) == 1, "the temporary file that a kill leaves"
    create(tmp_path, "a")
    assert list(folder.path.iterdir()) == []


NO_FOLDER_IS_LOCKED = """
import errno, fcntl, os, stat

def flock(descriptor, operation, lock=fcntl.flock):
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        raise OSError(errno.EBADF, "as NFS has it, where nothing is locked that is not open for writing")
    return lock(descriptor, operation)

fcntl.flock = flock
"""


@pytest.mark.parametrize(
    "prelude", ["", pytest.param(NO_FOLDER_IS_LOCKED, marks=pytest.mark.slow)], ids=["locks", "as on NFS"]
)
def test_a_folder_is_held_by_one_process_until_that_ends(tmp_path: Path, prelude: str) -> None:
    script = f"""
{prelude}
import sys
from pathlib import Path
from study.storage.claim import held
with held(Path({str(tmp_path / "study")!r})):
    print("held", flush=True)
    sys.stdin.readline()
"""
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        second = subprocess.run(command, input="", capture_output=True, text=True, check=False)
        assert (second.stdout, second.returncode) == ("", 1)
        assert "another process is at work on the study" in second.stderr
        first.kill()
        first.wait()
    assert subprocess.run(command, input="", capture_output=True, text=True, check=True).stdout == "held\n"
