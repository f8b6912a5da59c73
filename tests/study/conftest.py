"""Small studies from end to end, which several tests look at and compare with. All test processes share them."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from filelock import FileLock

from tests.in_process import run_here
from tests.processes import BUDGET, SMALL, Programs

# AlexNet has 6.4 million weights.
DOCUMENTED = (*BUDGET, "--max-epochs", "2")


class Finished(NamedTuple):
    """A finished study: its folder, and what its last command printed."""

    folder: Path
    done: subprocess.CompletedProcess[str]


Maker = Callable[[Programs, Path], subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Callable[[str, Maker], Finished]:
    """Return a function that makes the study of a name, or waits for the test process that makes it."""
    own = tmp_path_factory.getbasetemp()
    place = (own if worker_id == "master" else own.parent) / "shared"

    def make(name: str, maker: Maker) -> Finished:
        cwd = place / name
        cwd.mkdir(parents=True, exist_ok=True)
        printed, programs = cwd / "printed.json", Programs()
        with FileLock(cwd / "lock"):
            if not printed.exists():
                try:
                    done = maker(programs, cwd)
                finally:
                    programs.end()
                assert done.returncode == 0, done.stderr
                printed.write_text(json.dumps({"stdout": done.stdout, "stderr": done.stderr}))
        done = subprocess.CompletedProcess([], 0, **json.loads(printed.read_text()))
        return Finished(cwd / "results" / name, done)

    return make


@pytest.fixture(scope="session")
def documented(shared: Callable[[str, Maker], Finished]) -> Finished:
    """Return a study of the two documented networks that was left alone, with its figures."""

    def make(programs: Programs, cwd: Path) -> subprocess.CompletedProcess[str]:
        return run_here([*DOCUMENTED, "--name", "documented"], cwd, figures=True)

    return shared("documented", make)


@pytest.fixture(scope="session")
def undisturbed(shared: Callable[[str, Maker], Finished]) -> Finished:
    """Return a study of two tiny networks that was left alone. Its study file is empty, which must change nothing."""

    def make(programs: Programs, cwd: Path) -> subprocess.CompletedProcess[str]:
        (cwd / "empty.toml").touch()
        return run_here(["--config", "empty.toml", *SMALL, "--name", "undisturbed"], cwd)

    return shared("undisturbed", make)
