"""Programs that end with their test, the order of the tests, and hardware that this machine lacks or must not use."""

import gc
import os
import sys
from collections.abc import Iterator

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.processes import PRECISION, Programs

# Not until the imports are done, because each collection looks at all that they made.
gc.disable()
# No test needs its files after a power failure. Flushing them to the disk takes a seventh of the time of the tests.
os.fsync = lambda fd: None


def pytest_sessionstart(session: pytest.Session) -> None:
    """Hide what this machine lacks or must not use, in every process that runs tests.

    The process that only hands tests to others goes without torch, because they wait for its imports. It lets each of
    them and its programs use one thread: on processors that are all busy, further threads of torch only wait for each
    other.
    """
    if session.config.getoption("numprocesses", None) and not hasattr(session.config, "workerinput"):
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        return
    import torch

    if not torch.cuda.is_available():
        # Before anything imports Triton, which looks at it then.
        os.environ.setdefault("TRITON_INTERPRET", "1")
    if os.environ.get(PRECISION) == "fp32":
        capabilities = torch.cpu.get_capabilities() | {"avx512_bf16": False}
        torch.cpu.get_capabilities = lambda: capabilities


# Fixtures that run whole studies, or what they need: an installation, or machines of a network.
STUDIES = ("documented", "undisturbed", "resumed", "whole", "programs", "environment", "server", "network")
# The files of the longest tests, the longest first.
LONGEST = ("tests/cluster/test_launcher.py", "tests/cluster/test_nodes.py", "tests/cluster/test_unfit_nodes.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put slow tests first, and of these the tests that run whole studies, so that no test process waits long for
    another's last test."""

    def place(item: pytest.Item) -> tuple[bool, int, bool]:
        file = item.nodeid.partition("::")[0]
        rank = LONGEST.index(file) if file in LONGEST else len(LONGEST)
        is_short = not set(getattr(item, "fixturenames", ())).intersection(STUDIES)
        return "slow" not in item.keywords, rank, is_short

    items.sort(key=place)


def pytest_collection_finish() -> None:
    """Keep what the imports made out of every later garbage collection, which would look at it again."""
    gc.enable()
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """Let the end of the process collect everything."""
    gc.unfreeze()


# Files whose tests look at one study, report, process, wheel, server or cluster: one test process runs all tests of a
# name.
TOGETHER = {
    "tests/cluster/test_aws.py": "aws",
    "tests/cluster/test_bad_input.py": "bad input",
    "tests/study/cluster/test_session.py": "living",
    "tests/study/test_whole_study.py": "resumed",
    "tests/study/test_documented_networks.py": "documented",
    "tests/study/test_record.py": "documented",
    "tests/test_imports.py": "imports",
    "tests/test_wheel.py": "wheel",
    "tests/fairverdict/test_study_in_python.py": "face",
    "tests/analysis/report/test_report.py": "report",
    "tests/analysis/report/test_search_spaces_of_networks.py": "spaces",
}


class Scheduler(LoadScopeScheduling):
    """Hands out tests one at a time, because some take a minute, and the tests of TOGETHER at once."""

    def _split_scope(self, nodeid: str) -> str:
        return TOGETHER.get(nodeid.partition("::")[0], nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Scheduler:
    """Give the tests to this project's scheduler if there are several test processes."""
    return Scheduler(config, log)


# Modules that no test wrote. Looking at all modules after each test would take a twentieth of the tests' time.
_KEPT: set[str] = set()


@pytest.fixture(autouse=True)
def _forgotten_modules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Forget the modules that a test wrote and imported, because another test writes others of the same name."""
    path = list(sys.path)
    yield
    sys.path[:] = path
    written = str(tmp_path_factory.getbasetemp())
    for name in sys.modules.keys() - _KEPT:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(written):
            del sys.modules[name]
        else:
            _KEPT.add(name)


@pytest.fixture
def programs() -> Iterator[Programs]:
    """Yield what starts programs. Whatever they left is gone after the test, also if the test failed."""
    started = Programs()
    yield started
    started.end()
