"""`fairverdict.run` without a process of its own, for tests that are not about that process."""

from pathlib import Path

import pytest

from fairverdict.notebook import Lines
from tests.in_process import run_here


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `fairverdict.run` do its study in the process of the test."""

    def run(words: list[str], lines: Lines) -> tuple[int, list[str]]:
        done = run_here(words, Path.cwd())
        for line in done.stdout.splitlines():
            lines.show(line)
        return done.returncode, done.stderr.splitlines()

    monkeypatch.setattr("fairverdict.running._run", run)
