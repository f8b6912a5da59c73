"""Tests the log and optuna.db of a real study, and that a dry run leaves nothing."""

import json
import re
from pathlib import Path

import optuna
import pandas as pd
import pytest

from analysis.results.optuna_database import open_database
from tests.in_process import run_here
from tests.processes import BUDGET
from tests.study.conftest import Finished

pytestmark = pytest.mark.slow


def _logged(folder: Path) -> list[str]:
    lines = (folder / "study.log").read_text().splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", line) for line in lines)
    return [line[20:] for line in lines]


def test_every_line_that_was_printed_is_in_the_log(documented: Finished) -> None:
    logged = _logged(documented.folder)
    tables = ("On the test set", "Interval", " ", "─")
    printed = [line for line in documented.done.stdout.splitlines() if line.strip() and not line.startswith(tables)]
    assert len(printed) >= 12
    assert [line for line in printed if line not in logged] == []
    assert logged[0] == "Plan:"
    assert any(re.fullmatch(r"  time +\S.*, by a short test of one training step", line) for line in logged)
    for trial in ("alexnet-0", "alexnet-1", "mobilenet-0", "mobilenet-1"):
        assert any(line.startswith(f"{trial} ended after ") for line in logged)
    assert not any("INFO" in line for line in logged), "only warnings of Ray"


def test_the_stages_are_counted_and_the_time_left_is_told(documented: Finished) -> None:
    first = next(line for line in documented.done.stdout.splitlines() if line.startswith("Search ("))
    assert re.match(r"Search \(stage 1 of 4\), \S+ \w+ so far, .+ left, about .+ left of the study: AlexNet 0/2", first)
    assert "Final runs (stage 2 of 4), " in documented.done.stdout
    assert "Measuring inference time (stage 3 of 4)" in documented.done.stdout


def test_optuna_says_which_trial_is_which(documented: Finished) -> None:
    trials = pd.read_csv(documented.folder / "trials.csv").set_index("trial_id")
    title = json.loads((documented.folder / "study.json").read_text())["data"]["title"]
    for arch, network in (("alexnet", "AlexNet"), ("mobilenet", "MobileNet-like")):
        study = optuna.load_study(study_name=arch, storage=open_database(documented.folder / "optuna.db"))
        assert study.metric_names == ["validation accuracy"]
        assert study.user_attrs == {"network": network, "data set": title, "study": "documented"}
        for trial in study.trials:
            row = trials.loc[f"{arch}-{trial.number}"]
            assert trial.user_attrs == {
                "name": row.name,
                "baseline": row["is_baseline"],
                "status": row["status"].lower().replace("_", " "),
                "best epoch": row["best_epoch"],
                "seconds": pytest.approx(row["seconds"], abs=1e-3),
            }


def test_a_dry_run_of_a_resumed_study_names_what_is_left(documented: Finished) -> None:
    before = _logged(documented.folder)
    arguments = ["--resume", "--name", "documented", "--seeds", "3", "--dry-run"]
    done = run_here(arguments, documented.folder.parents[1])
    assert done.returncode == 0, done.stderr
    assert "3 seeds of each network" in done.stdout
    assert _logged(documented.folder) == before


def test_a_dry_run_prints_the_plan_and_creates_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    done = run_here([*BUDGET, "--name", "dry", "--dry-run"], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[0] for line in done.stdout.splitlines()] == [
        *("Plan:", "networks", "data", "search", "final", "machine", "at", "precision", "results", "time"),
    ]
    assert "results/dry" in done.stdout
    assert list(tmp_path.iterdir()) == []
