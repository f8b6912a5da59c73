"""A study of the two documented networks: what a person sees, and what its files hold."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from analysis.report.build import build_report
from analysis.results.study_folder import StudyFolder
from models.data import ChannelStatistics
from models.networks.registry import ARCHITECTURES
from models.training.inference import DeviceImages, predict_logits
from study.data import datasets
from tests.in_process import run_here
from tests.study.conftest import DOCUMENTED, Finished

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def whole(documented: Finished) -> Path:
    """Return the folder of the study."""
    return documented.folder


def test_what_a_person_sees(documented: Finished) -> None:
    assert documented.done.stderr == ""
    assert "warning" not in documented.done.stdout.lower()
    assert "compiler" not in documented.done.stdout
    assert "Traceback" not in documented.done.stdout
    *_, dashboard, report = documented.done.stdout.splitlines()
    assert report == f"Report: {documented.folder / 'report' / 'report.html'}"
    assert dashboard.endswith(f"optuna-dashboard sqlite:///{documented.folder / 'optuna.db'}")
    assert "Search: AlexNet 2/2" in documented.done.stdout
    assert "MobileNet-like" in documented.done.stdout
    assert "No difference in accuracy is shown between AlexNet and MobileNet-like" in documented.done.stdout
    assert "\x1b" not in documented.done.stdout
    assert max(len(line) for line in documented.done.stdout.splitlines() if "ms/image" in line) <= 80


def test_the_report_has_every_kind_of_file(whole: Path) -> None:
    kinds = {".html", ".json", ".csv", ".md", ".tex", ".txt", ".bib", ".svg", ".png", ".pdf"}
    assert {path.suffix for path in (whole / "report").iterdir()} == kinds


def test_a_report_that_is_rebuilt_elsewhere_is_the_same(whole: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    shutil.copytree(whole, moved, ignore=shutil.ignore_patterns("report"))
    build_report(StudyFolder.open(moved))
    before = {path.name: path.read_bytes() for path in (whole / "report").iterdir()}
    assert {path.name: path.read_bytes() for path in (moved / "report").iterdir()} == before


def test_final_runs_are_whole_and_paired(whole: Path) -> None:
    groups = sorted(path.name for path in (whole / "final").iterdir() if path.is_dir())
    assert set(groups) >= {"alexnet-baseline", "mobilenet-baseline"}
    labels, test, study = [], datasets.load("digits", None).test, json.loads((whole / "study.json").read_text())
    for group in groups:
        for seed in range(2):
            path = whole / "final" / group / f"seed-{seed}"
            metrics = json.loads((path / "metrics.json").read_text())
            with np.load(path / "predictions.npz", allow_pickle=False) as predictions:
                logits, truth = predictions["logits"], predictions["labels"]
            assert (logits.dtype, logits.shape) == (np.float32, (360, 10))
            assert metrics["accuracy"] == pytest.approx((logits.argmax(axis=1) == truth).mean())
            labels.append(truth)
            history = pd.read_csv(path / "history.csv")
            assert len(history) == metrics["epochs"]
            model = ARCHITECTURES[metrics["arch"]].build(10, {"dropout": 0.0})
            model.load_state_dict(load_file(path / "model.safetensors"))
            mean, deviation = (np.float32(metrics["normalisation"][key]) for key in ("mean", "deviation"))
            images = DeviceImages(test.images, ChannelStatistics(mean, deviation), torch.device("cpu"))
            again = predict_logits(model, images, torch.arange(40), study["config"]["precision"]).numpy()
            np.testing.assert_allclose(again, logits[:40], rtol=1e-2, atol=1e-2)
    assert all((other == labels[0]).all() for other in labels)


def test_a_network_that_learned_nothing_is_named(whole: Path) -> None:
    summary = json.loads((whole / "report" / "summary.json").read_text())
    named, _, said = " ".join(caveat["text"] for caveat in summary["caveats"]).partition(" may have learned nothing. ")
    assert "MobileNet-like" in named
    assert "not shown to beat the same answer for every image, which is right for 10.3 %" in said


def test_baseline_rerun(whole: Path, tmp_path: Path) -> None:
    done = run_here([*DOCUMENTED, "--name", "baseline", "--baseline", "--archs", "mobilenet"], tmp_path)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "results" / "baseline"
    assert {path.name for path in folder.iterdir()} == {
        *("study.json", "config.toml", "study.log", "tune", "final", "report")
    }
    summary = json.loads((folder / "report" / "summary.json").read_text())
    assert list(summary["groups"]) == ["mobilenet-baseline"]
    assert "optuna-dashboard" not in done.stdout
    for seed in range(2):
        path = Path("final", "mobilenet-baseline", f"seed-{seed}", "predictions.npz")
        assert np.array_equal(np.load(folder / path)["logits"], np.load(whole / path)["logits"])
