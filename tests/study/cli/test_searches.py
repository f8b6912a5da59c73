"""Several studies by one command: searches and seeds of their own, and one interval over them."""

import shlex
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis.results.study_folder import StudyFolder
from study.cli.command_line import parse
from study.errors import BadInput
from study.repetition.studies import repetition_of
from tests.in_process import interrupt_when, run_here
from tests.processes import SMALL, assert_same_results

REPEATED = [*SMALL, "--searches", "2", "--name", "both"]


def _config(folder: Path) -> dict[str, Any]:
    config: dict[str, Any] = StudyFolder(folder).read_study()["config"]
    return config


@pytest.mark.slow
def test_an_interrupted_command_goes_on_with_its_studies_and_compares_over_their_searches(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        folder.mkdir()
    done = run_here(REPEATED, whole)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if line.startswith("Study ")] == [
        "Study 1 of 2: both-1",
        "Study 2 of 2: both-2",
    ]
    assert done.stdout.splitlines()[-1] == f"Page: {whole}/results/both/comparison.html"

    results = cut / "results"
    is_first = interrupt_when(lambda: list(results.glob("both-1/final/*/*/metrics.json")))
    stopped = run_here(REPEATED, cut, at_step=is_first)
    assert stopped.returncode == 130
    go_on = "python -m study.run --resume --results-dir results --name both --searches 2"
    assert stopped.stderr.splitlines()[-1] == f"interrupted; go on with: {go_on}"
    assert not (results / "both-2").exists()
    again = run_here(shlex.split(go_on)[3:], cut)
    assert again.returncode == 0, again.stderr

    for name in ("both-1", "both-2"):
        assert_same_results(whole / "results" / name, results / name)
        assert _config(results / name) == _config(whole / "results" / name)
    assert [_config(results / name)["seed"] for name in ("both-1", "both-2")] == [0, 1]
    (row,) = pd.read_csv(results / "both" / "repeats.csv").to_dict("records")
    assert (row["a"], row["b"], row["searches"]) == ("Tiny", "Small", 2)
    assert done.stdout.splitlines()[-2].endswith("A verdict needs 3 searches.")
    means = [_accuracy(results / name, "tiny") - _accuracy(results / name, "small") for name in ("both-1", "both-2")]
    assert row["difference"] == pytest.approx(sum(means) / 2)
    page = (results / "both" / "comparison.html").read_text()
    assert page.index("Over 2 searches of each network") < page.index('id="verdicts"'), (
        "the widest question comes first"
    )


def _accuracy(folder: Path, arch: str) -> float:
    groups = pd.read_csv(folder / "report" / "comparison.csv").set_index("group")
    return float(groups.loc[f"{arch}-tuned", "accuracy"])


def test_each_study_has_a_name_and_a_seed_of_its_own(tmp_path: Path) -> None:
    arguments = ["--seed", "7", "--searches=3", "--results-dir", str(tmp_path), "--name", "x", "--train-size", "50"]
    together = repetition_of(parse(arguments))
    told = [parse(together.words(number, arguments, parse(arguments))) for number in range(3)]
    assert [(one.name, one.seed, one.searches) for one in told] == [("x-1", 7, 3), ("x-2", 8, 3), ("x-3", 9, 3)]
    assert {(one.train_size, one.train_seed) for one in told} == {(50, 7)}, "all train on the same images"


def test_a_plan_is_for_each_study_and_creates_nothing(tmp_path: Path) -> None:
    done = run_here([*REPEATED, "--dry-run"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("The plan of each of 2 studies\nPlan:\n")
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--searches", "0"], "--searches must be 1 to 100, not 0"),
        (["--searches", "2", "--baseline"], "--baseline has none"),
        (["--searches", "2", "--archs", "alexnet"], "give two or more by --archs"),
        (["--searches", "2", "--resume"], "say which by --name"),
        (["--searches", "2", "--name", "taken"], "exists already"),
        (["--searches", "2", "--name", "one"], "exists already"),
        (["--searches", "2", "--name", "one", "--resume"], "is one study: go on with it without --searches"),
        (["--searches", "2", "--name", ".."], "--name"),
    ],
)
def test_what_cannot_be_repeated_is_refused_in_a_line(tmp_path: Path, arguments: list[str], line: str) -> None:
    for name in ("taken-2", "one"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "study.json").write_text("{}")
    with pytest.raises(BadInput, match=line):
        repetition_of(parse(["--results-dir", str(tmp_path), *arguments]))


@pytest.mark.slow
def test_searches_that_are_told_trials_are_refused(tmp_path: Path) -> None:
    run_here([*SMALL, "--name", "old"], tmp_path)
    told = parse(["--from", str(tmp_path / "results" / "old"), "--searches", "2"])
    with pytest.raises(BadInput, match="--from gives all of them the same trials"):
        repetition_of(told)
