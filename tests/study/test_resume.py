"""Finished studies that are resumed: with damaged files, with more seeds; and what the test set may change."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from analysis.results.study_folder import StudyFolder
from models.data import Dataset
from study.data import datasets
from study.settings.config import StudyConfig
from tests.in_process import run_here
from tests.processes import SMALL, assert_same_results
from tests.study.conftest import Finished
from tests.study.faults import flip

pytestmark = pytest.mark.slow


def test_what_is_damaged_in_a_finished_study_is_named_and_made_again(undisturbed: Finished, tmp_path: Path) -> None:
    folder = tmp_path / "results" / "damaged"
    shutil.copytree(undisturbed.folder, folder)
    group = folder / "final" / "small-baseline"
    damage = [
        group / "seed-0" / "predictions.npz",
        group / "seed-1" / "model.safetensors",
        folder / "tune" / "journal.jsonl",
    ]
    for path in damage:
        flip(path)
    (folder / "trials.csv").write_bytes((folder / "trials.csv").read_bytes()[:-9])
    kept = {path: path.stat().st_mtime_ns for path in folder.glob("final/tiny-*/*/*")}
    done = run_here(["--resume", "--name", "damaged"], tmp_path)
    assert done.returncode == 0, done.stderr
    for path in damage:
        assert any(f"{path.relative_to(tmp_path)} is damaged" in line for line in done.stderr.splitlines()), path
    assert_same_results(undisturbed.folder, folder, is_same_order=False)
    assert kept == {path: path.stat().st_mtime_ns for path in folder.glob("final/tiny-*/*/*")}


def test_what_is_measured_and_shown_after_all_runs_is_made_again_alone(undisturbed: Finished, tmp_path: Path) -> None:
    folder = tmp_path / "results" / "late"
    shutil.copytree(undisturbed.folder, folder)
    flip(folder / "final" / "latency.json")
    (folder / "final" / "samples.npz").unlink()
    baseline = folder / "final" / "small-baseline"
    kept = {path: path.stat().st_mtime_ns for path in folder.glob("final/*/*/*")}
    shutil.copytree(baseline / "seed-0", baseline / "seed-7")  # a run that is none of this study's
    report = (folder / "report" / "summary.json").read_text()
    (folder / "report" / "summary.json").write_text("of fewer seeds")
    done = run_here(["--resume", "--name", "late"], tmp_path)
    assert done.returncode == 0, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("results/late/final/latency.json is damaged: ")
    assert line.endswith("; it is made again")
    assert_same_results(undisturbed.folder, folder)
    assert set(StudyFolder(folder).read_latency() or {}) == {"tiny", "small"}
    assert StudyFolder(folder).read_samples() is not None
    assert kept == {path: path.stat().st_mtime_ns for path in folder.glob("final/*/*/*")}

    (folder / "report" / "summary.json").write_text("of fewer seeds")
    done = run_here(["--resume", "--name", "late"], tmp_path)
    assert done.stdout.splitlines()[-1].startswith("Report: ")
    assert json.loads((folder / "report" / "summary.json").read_text()).keys() == json.loads(report).keys()
    assert run_here(["--resume", "--name", "late"], tmp_path).stdout.startswith("The study is finished. Report: ")


def test_more_seeds_train_the_new_ones_only(undisturbed: Finished, tmp_path: Path) -> None:
    more = tmp_path / "results" / "more"
    shutil.copytree(undisturbed.folder, more)
    before = {path: path.stat().st_mtime_ns for path in more.glob("final/*/*/*")}
    done = run_here(["--resume", "--name", "more", "--seeds", "3"], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    after = {path: path.stat().st_mtime_ns for path in more.glob("final/*/*/*")}
    assert before.items() <= after.items()
    assert {path.parent.name for path in after.keys() - before.keys()} == {"seed-2"}
    summary = json.loads((more / "report" / "summary.json").read_text())
    assert all(group["seeds"] == [0, 1, 2] for group in summary["groups"].values())


def test_the_test_set_changes_nothing_but_the_last_judgement(
    undisturbed: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither what is searched and chosen nor how a final run is trained depends on it."""
    read = datasets.read

    def read_another_test_set(config: StudyConfig) -> Dataset:
        dataset = read(config)
        test = replace(dataset.test, images=255 - dataset.test.images, labels=np.roll(dataset.test.labels, 7))
        return replace(dataset, test=test)

    monkeypatch.setattr(datasets, "read", read_another_test_set)
    done = run_here([*SMALL, "--name", "another"], tmp_path)
    assert done.returncode == 0, done.stderr
    whole, another = undisturbed.folder, tmp_path / "results" / "another"
    for table in ("trials.csv", "history.csv"):
        one, other = (pd.read_csv(folder / table).drop(columns="seconds") for folder in (whole, another))
        pd.testing.assert_frame_equal(one, other)
    runs = sorted(path.relative_to(another) for path in another.glob("final/*/seed-*"))
    assert runs == sorted(path.relative_to(whole) for path in whole.glob("final/*/seed-*"))
    for path in runs:
        first, second = (load_file(folder / path / "model.safetensors") for folder in (whole, another))
        assert all(torch.equal(first[name], second[name]) for name in first.keys() | second.keys())
        judged = [np.load(folder / path / "predictions.npz")["logits"] for folder in (whole, another)]
        assert not np.array_equal(*judged)
