"""A tracker whose package is not installed is refused before anything begins."""

import tomllib
from pathlib import Path

import pytest

from study.run import main
from study.settings.check import CHOICES
from study.track import __main__ as track
from study.track.tracker import TITLES

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _none_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("study.track.tracker.find_spec", lambda name: None)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", TITLES)
def test_a_missing_package_is_refused_in_one_line(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--dataset", "digits", "--track", name]) == 2
    line = f"error: the tracker {name} needs a package that is not installed: pip install 'fairverdict[{name}]'"
    assert capsys.readouterr().err.splitlines() == [line]
    (Path("pets")).mkdir()
    (Path("pets") / "study.json").write_text("{}")
    assert track.main(["pets", "--to", name]) == 2
    assert capsys.readouterr().err.splitlines() == [line]
    assert not Path("results").exists()


def test_each_tracker_has_an_extra_and_a_flag() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(TITLES) == set(CHOICES["track"]) <= set(extras)


def test_an_unknown_tracker_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--track", "tensorbord"]) == 2
    assert capsys.readouterr().err == "error: there is no tracker 'tensorbord': did you mean tensorboard?\n"
