"""The commit that study.json names."""

import subprocess
from pathlib import Path

import pytest

from study.storage.provenance import git_commit

FILE = "study/storage/provenance.py"


def _git(repository: Path, *words: str) -> str:
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    return subprocess.check_output(["git", "-C", str(repository), *identity, *words], text=True).strip()


def _unpack(root: Path) -> None:
    (root / FILE).parent.mkdir(parents=True)
    (root / FILE).write_text("# a module of this project\n")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return a repository with one commit, of a file that is not this project's."""
    _git(tmp_path, "init", "--quiet")
    (tmp_path / "README").write_text("something else\n")
    _git(tmp_path, "add", "README")
    _git(tmp_path, "commit", "--quiet", "--message", "Begin")
    return tmp_path


def test_a_checkout_has_its_own_commit(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _unpack(repository)
    _git(repository, "add", ".")
    _git(repository, "commit", "--quiet", "--message", "Add")
    commit = _git(repository, "rev-parse", "HEAD")
    assert git_commit(repository) == commit
    monkeypatch.setenv("GIT_DIR", "/nowhere")  # as in a hook of another repository
    assert git_commit(repository) == commit
    monkeypatch.delenv("GIT_DIR")
    (repository / FILE).write_text("# changed\n")
    assert git_commit(repository) == f"{commit}-dirty"


@pytest.mark.parametrize("place", ["", "vendor", ".venv/lib/python3.11/site-packages"])
@pytest.mark.parametrize("is_tracked", [False, True])
def test_another_repository_around_it_is_not_named(place: str, is_tracked: bool, repository: Path) -> None:
    _unpack(repository / place)
    if is_tracked and place:
        _git(repository, "add", ".")
    assert git_commit(repository / place) is None


def test_no_repository_and_no_git_have_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _unpack(tmp_path)
    assert git_commit(tmp_path) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_commit(tmp_path) is None
