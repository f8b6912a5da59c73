"""Whole studies from study files: an empty file changes nothing, and config.toml begins the same study again."""

import tomllib
from pathlib import Path

import pandas as pd
import pytest

from tests.processes import SMALL, Programs, assert_same_results


@pytest.mark.slow
def test_an_empty_file_and_the_written_configuration_give_the_same_study(programs: Programs, tmp_path: Path) -> None:
    (tmp_path / "empty.toml").touch()
    results = tmp_path / "results"
    written = results / "plain" / "config.toml"
    for name, arguments in {
        "plain": SMALL,
        "empty": ["--config", "empty.toml", *SMALL],
        "again": ["--config", str(written)],
    }.items():
        done = programs.run_study([*arguments, "--name", name], tmp_path)
        assert done.returncode == 0, done.stderr
    assert len(pd.read_csv(results / "plain" / "trials.csv")) == 4
    for name in ("empty", "again"):
        assert_same_results(results / "plain", results / name)
        assert (results / name / "config.toml").read_text() == written.read_text()
    assert tomllib.loads(written.read_text())["study"]["archs"] == ["tiny", "small"]
