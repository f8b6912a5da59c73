"""Paths as users type them."""

from pathlib import Path

import pytest

from analysis.report.__main__ import main
from analysis.results.files import read_csv


def test_a_tilde_is_the_home_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert main(["~/study"]) == 2
    assert f"{tmp_path}/study is not a study" in capsys.readouterr().err
    assert main(["--results-dir=~/studies"]) == 2
    assert f"there is no study in {tmp_path}/studies" in capsys.readouterr().err


def test_a_folder_may_be_called_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `./~/` names it: no library takes it for a home."""
    monkeypatch.chdir(tmp_path)
    Path("~").mkdir()
    Path("~", "table.csv").write_text("a,b\n1,2\n")
    table = read_csv(Path("~", "table.csv"), ("a", "b"))
    assert table is not None and table.to_dict("list") == {"a": [1], "b": [2]}
