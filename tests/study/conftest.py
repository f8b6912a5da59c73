"""One small study from end to end, which tests of the command line and of faults look at and compare with."""

import json
import subprocess
from pathlib import Path

import pytest
from filelock import FileLock

from tests.processes import SMALL, Study


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that is not the project's; every test process has its own."""
    return tmp_path_factory.mktemp("workplace")


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The folder of a study that was left alone. All test processes share it: the first one to ask makes it."""
    own = tmp_path_factory.getbasetemp()
    shared = (own if worker_id == "master" else own.parent) / "shared"
    shared.mkdir(exist_ok=True)
    printed = shared / "printed.json"
    with FileLock(shared / "lock"):
        if not printed.exists():
            study = Study([*SMALL, "--name", "whole"], shared)
            done = study.finish()
            assert done.returncode == 0, done.stderr
            assert study.processes() == []
            assert study.session_directories() == []
            printed.write_text(json.dumps({"stdout": done.stdout, "stderr": done.stderr}))
    return shared / "results" / "whole"


@pytest.fixture(scope="session")
def finished(whole: Path) -> subprocess.CompletedProcess[str]:
    """How that study ended."""
    return subprocess.CompletedProcess([], 0, **json.loads((whole.parents[1] / "printed.json").read_text()))
