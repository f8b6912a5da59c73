"""One small study from end to end, which tests of the command line and of faults look at and compare with."""

import subprocess
from pathlib import Path

import pytest

from tests.processes import SMALL, Study


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that is not the project's."""
    return tmp_path_factory.mktemp("workplace")


@pytest.fixture(scope="session")
def finished(workplace: Path) -> subprocess.CompletedProcess[str]:
    """A study that was left alone, in workplace/results/whole."""
    study = Study([*SMALL, "--name", "whole"], workplace)
    done = study.finish()
    assert done.returncode == 0, done.stderr
    assert study.processes() == []
    assert study.session_directories() == []
    return done


@pytest.fixture(scope="session")
def whole(workplace: Path, finished: subprocess.CompletedProcess[str]) -> Path:
    """The folder of that study."""
    return workplace / "results" / "whole"
