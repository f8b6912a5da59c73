"""The command line from end to end: real processes, real Ray, on the digits that come with scikit-learn."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest
import torch
from optuna.trial import TrialState
from safetensors.torch import load_file

from analysis.results.optuna_database import open_database
from analysis.results.study_folder import HISTORY_COLUMNS, TRIAL_COLUMNS
from models.data import ChannelStatistics
from models.networks.registry import ARCHITECTURES
from models.training.inference import DeviceImages, predict_logits
from study.data import datasets
from study.run import main
from tests.processes import SMALL, Study, run

ARCHS = ("alexnet", "mobilenet")


def test_what_a_person_sees(finished: subprocess.CompletedProcess[str], whole: Path) -> None:
    assert finished.stderr == ""
    assert "warning" not in finished.stdout.lower()
    assert "compiler" not in finished.stdout
    assert "Traceback" not in finished.stdout
    *_, dashboard, report = finished.stdout.splitlines()
    assert report == f"Report: {whole / 'report' / 'report.html'}"
    assert dashboard.endswith(f"optuna-dashboard sqlite:///{whole / 'optuna.db'}")
    assert "Search: AlexNet 2/2" in finished.stdout
    assert "MobileNet-like" in finished.stdout
    assert "No difference is shown between AlexNet (tuned) and MobileNet-like (tuned): 2 seeds" in finished.stdout
    assert "\x1b" not in finished.stdout
    assert max(len(line) for line in finished.stdout.splitlines() if "ms/image" in line) <= 80


def test_every_architecture_gets_the_same_trials_the_baseline_first(whole: Path) -> None:
    trials = pd.read_csv(whole / "trials.csv")
    assert tuple(trials.columns) == TRIAL_COLUMNS
    assert list(trials["trial_id"]) == [f"{arch}-{number}" for arch in ARCHS for number in range(2)]
    assert list(trials["is_baseline"]) == [True, False] * 2
    baselines = trials[trials["is_baseline"]]
    assert list(zip(baselines["lr"], baselines["dropout"], strict=True)) == [(1e-3, 0.5), (1e-3, 0.0)]
    assert trials["status"].isin(["COMPLETE", "STOPPED_EARLY", "PRUNED"]).all()
    assert (trials["epochs"][trials["status"] == "COMPLETE"] == 3).all()
    assert (trials["epochs"][trials["status"] == "PRUNED"] == 2).all()


def test_history_holds_every_epoch_once_and_agrees_with_the_trials(whole: Path) -> None:
    trials = pd.read_csv(whole / "trials.csv").set_index("trial_id")
    history = pd.read_csv(whole / "history.csv")
    assert tuple(history.columns) == HISTORY_COLUMNS
    assert set(history["trial_id"]) == set(trials.index)
    for trial_id, epochs in history.groupby("trial_id"):
        assert list(epochs["epoch"]) == list(range(1, trials.loc[trial_id, "epochs"] + 1))
        best = epochs.loc[epochs["val_loss"].idxmin()]
        assert trials.loc[trial_id, "best_epoch"] == best["epoch"]
        assert trials.loc[trial_id, "val_loss"] == best["val_loss"]
        assert trials.loc[trial_id, "val_accuracy"] == best["val_accuracy"]
        assert trials.loc[trial_id, "seconds"] == pytest.approx(epochs["seconds"].sum())
    assert (history["seconds"] > 0).all()


def test_optuna_holds_both_searches(whole: Path) -> None:
    trials = pd.read_csv(whole / "trials.csv")
    for arch in ARCHS:
        study = optuna.load_study(study_name=arch, storage=open_database(whole / "optuna.db"))
        rows = trials[trials["arch"] == arch]
        for trial, row in zip(study.trials, rows.itertuples(), strict=True):
            assert trial.params == {"lr": row.lr, "dropout": row.dropout}
            assert trial.state == (TrialState.PRUNED if row.status == "PRUNED" else TrialState.COMPLETE)
            assert list(trial.intermediate_values) == list(range(1, row.epochs + 1))
            assert trial.value == row.val_accuracy


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
            model = ARCHITECTURES[metrics["arch"]].build(10, 0.0)
            model.load_state_dict(load_file(path / "model.safetensors"))
            mean, deviation = (np.float32(metrics["normalisation"][key]) for key in ("mean", "deviation"))
            images = DeviceImages(test.images, ChannelStatistics(mean, deviation), torch.device("cpu"))
            again = predict_logits(model, images, torch.arange(40), study["config"]["precision"]).numpy()
            np.testing.assert_allclose(again, logits[:40], rtol=1e-2, atol=1e-2)
    assert all((other == labels[0]).all() for other in labels)


def test_seeds_of_a_group_differ(whole: Path) -> None:
    first, second = (
        np.load(whole / "final" / "mobilenet-baseline" / f"seed-{seed}" / "predictions.npz")["logits"]
        for seed in range(2)
    )
    assert not np.array_equal(first, second)


def test_summary_holds_every_group(whole: Path) -> None:
    summary = json.loads((whole / "report" / "summary.json").read_text())
    assert set(summary["groups"]) == {f"{arch}-{variant}" for arch in ARCHS for variant in ("baseline", "tuned")}
    for group in summary["groups"].values():
        assert len(group["accuracy"]["values"]) == len(group["seeds"]) == 2
        assert group["accuracy"]["ci95"][0] <= group["accuracy"]["mean"] <= group["accuracy"]["ci95"][1]
        assert 0 < group["latency_ms"]["p50"] <= group["latency_ms"]["p90"] <= group["latency_ms"]["p99"]
        assert group["images_per_s"] > 0
    assert summary["groups"]["alexnet-tuned"]["parameters"] == 6_387_658
    history = pd.read_csv(whole / "history.csv")
    for arch in ARCHS:
        assert summary["budget"][arch]["trials"] == 2
        assert summary["budget"][arch]["epochs"] == (history["arch"] == arch).sum()
    assert {path.suffix for path in (whole / "report").iterdir()} == {".html", ".json", ".csv", ".png", ".svg"}


def test_a_network_that_learned_nothing_is_named(whole: Path) -> None:
    page = (whole / "report" / "report.html").read_text()
    named, _, said = page.partition("learned almost nothing, so the comparison says little: ")[2].partition(". They")
    assert "MobileNet-like, baseline" in named
    assert "better than giving every image the same answer, which is right for 10.3 %" in said


def test_study_json_says_how_it_came_about(whole: Path) -> None:
    study = json.loads((whole / "study.json").read_text())
    assert study["command"] == shlex.join(["python", "-m", "study.run", *SMALL, "--name", "whole"])
    assert study["config"]["precision"] in ("fp32", "bf16")
    assert study["config"]["concurrency"] == 1
    assert len(study["data"]["fingerprint"]) == 64
    assert (study["data"]["n_train"], study["data"]["n_test"]) == (100, 360)
    assert study["environment"]["packages"]["ray"]
    assert (study["environment"]["c_compiler"] is None) == (shutil.which("cc") is None)


def test_a_finished_study_is_only_named(whole: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*")}
    done = run(["--resume", "--name", "whole"], whole.parents[1])
    assert done.returncode == 0, done.stderr
    assert str(whole / "report" / "report.html") in done.stdout
    assert {path: path.stat().st_mtime_ns for path in whole.rglob("*")} == before


def test_more_seeds_train_the_new_ones_only_and_need_nobody_who_looks_on(whole: Path, workplace: Path) -> None:
    more = workplace / "results" / "more"
    shutil.copytree(whole, more)
    before = {path: path.stat().st_mtime_ns for path in more.glob("final/*/*/*")}
    study = Study(["--resume", "--name", "more", "--seeds", "3"], workplace)
    assert study.process.stdout is not None and study.process.stderr is not None
    with study.process.stdout as shown:
        assert shown.readline().startswith("Plan:")  # and leaves, as `| head -1` does
    with study.process.stderr as errors:
        assert errors.read() == ""
    assert study.process.wait(timeout=280) == 0
    after = {path: path.stat().st_mtime_ns for path in more.glob("final/*/*/*")}
    assert before.items() <= after.items()
    assert {path.parent.name for path in after.keys() - before.keys()} == {"seed-2"}
    summary = json.loads((more / "report" / "summary.json").read_text())
    assert all(group["seeds"] == [0, 1, 2] for group in summary["groups"].values())


def test_baseline_rerun(whole: Path, workplace: Path) -> None:
    """Two runs at a time give the same weights as one."""
    arguments = [*SMALL, "--name", "baseline", "--baseline", "--archs", "mobilenet", "--concurrency", "2"]
    done = run(arguments, workplace)
    assert done.returncode == 0, done.stderr
    folder = workplace / "results" / "baseline"
    assert {path.name for path in folder.iterdir()} == {"study.json", "tune", "final", "report"}
    summary = json.loads((folder / "report" / "summary.json").read_text())
    assert list(summary["groups"]) == ["mobilenet-baseline"]
    assert "optuna-dashboard" not in done.stdout
    for seed in range(2):
        path = Path("final", "mobilenet-baseline", f"seed-{seed}", "predictions.npz")
        assert np.array_equal(np.load(folder / path)["logits"], np.load(whole / path)["logits"])


OTHER_TEST_SET = """
import sys
from dataclasses import replace
import numpy as np
from study.data import datasets
from study.run import main

load = datasets.load

def load_another_test_set(name, data_dir):
    dataset = load(name, data_dir)
    images = 255 - dataset.test.images
    return replace(dataset, test=replace(dataset.test, images=images, labels=np.roll(dataset.test.labels, 7)))

datasets.load = load_another_test_set
sys.exit(main(sys.argv[1:]))
"""


def test_the_test_set_changes_nothing_but_the_last_judgement(whole: Path, workplace: Path) -> None:
    """Neither what is searched and chosen nor how a final run is trained depends on it."""
    arguments = [*SMALL, "--archs", "mobilenet", "--name", "another"]
    done = Study(arguments, workplace, program=["-c", OTHER_TEST_SET]).finish()
    assert done.returncode == 0, done.stderr
    another = workplace / "results" / "another"
    for table in ("trials.csv", "history.csv"):
        both, alone = (pd.read_csv(folder / table).drop(columns="seconds") for folder in (whole, another))
        pd.testing.assert_frame_equal(both[both["arch"] == "mobilenet"].reset_index(drop=True), alone)
    runs = sorted(path.relative_to(another) for path in another.glob("final/*/*"))
    assert runs == sorted(path.relative_to(whole) for path in whole.glob("final/mobilenet-*/*"))
    for path in runs:
        first, second = (load_file(folder / path / "model.safetensors") for folder in (whole, another))
        assert all(torch.equal(first[name], second[name]) for name in first.keys() | second.keys())
        judged = [np.load(folder / path / "predictions.npz")["logits"] for folder in (whole, another)]
        assert not np.array_equal(*judged)


MORE_NETWORKS = """
import sys
import torch
from torch import nn
from models.networks.registry import Architecture, register
from study.run import main

class Tiny(nn.Module):
    def __init__(self, n_classes, dropout, scale=1.0):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Dropout(dropout), nn.Linear(3072, n_classes))
        self.scale = scale

    def forward(self, images):
        return self.layers(images) * self.scale

class Broken(Tiny):
    def forward(self, images):
        if self.training:
            raise ArithmeticError("this network cannot count")
        return super().forward(images)

class Greedy(Tiny):
    def forward(self, images):
        if self.training:
            torch.empty(10**15)
        return super().forward(images)

class Misshapen(Tiny):
    def forward(self, images):
        return super().forward(images[:, :2])

register(Architecture("tiny", "Tiny", Tiny, baseline_dropout=0.1))
register(Architecture("broken", "Broken", Broken, baseline_dropout=0.1))
register(Architecture("greedy", "Greedy", Greedy, baseline_dropout=0.1))
register(Architecture("misshapen", "Misshapen", Misshapen, baseline_dropout=0.1))
register(Architecture("diverging", "Diverging", lambda n, d: Tiny(n, d, float("nan")), baseline_dropout=0.1))
sys.exit(main(sys.argv[1:]))
"""


def run_with_more_networks(arguments: Sequence[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    script = cwd / "more_networks.py"
    script.write_text(MORE_NETWORKS)
    command = [sys.executable, str(script), *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=240, check=False)


def test_a_network_that_cannot_predict_is_refused(workplace: Path) -> None:
    done = run_with_more_networks([*SMALL, "--archs", "misshapen", "--name", "refused"], workplace)
    assert done.returncode == 2
    assert done.stderr.startswith("error: the network 'misshapen' cannot predict an image: RuntimeError")
    assert not (workplace / "results" / "refused").exists()


def test_a_network_is_one_file_and_one_line_and_its_faults_are_its_own(workplace: Path) -> None:
    arguments = [*SMALL, "--trials", "2", "--concurrency", "2", "--confirm", "2", "--name", "three"]
    done = run_with_more_networks([*arguments, "--archs", "tiny", "broken", "diverging"], workplace)
    assert done.returncode == 0, done.stderr
    folder = workplace / "results" / "three"
    trials = pd.read_csv(folder / "trials.csv").set_index("trial_id")
    assert list(trials["arch"]) == ["tiny"] * 2 + ["broken"] * 2 + ["diverging"] * 2
    assert (trials["status"][trials["arch"] == "broken"] == "FAILED").all()
    assert (trials["status"][trials["arch"] == "diverging"] == "DIVERGED").all()
    assert (trials["epochs"][trials["arch"] == "tiny"] >= 2).all()
    journal = (folder / "tune" / "journal.jsonl").read_text()
    assert "ArithmeticError: this network cannot count" in journal
    assert [line.split(" has no result")[0] for line in done.stderr.splitlines() if "has no result" in line] == [
        "Broken"
    ]
    for number in range(2):
        assert f"the trial broken-{number} failed: ArithmeticError: this network cannot count" in done.stderr
    summary = json.loads((folder / "report" / "summary.json").read_text())
    assert set(summary["groups"]) == {"tiny-baseline", "tiny-tuned", "diverging-baseline"}
    assert summary["groups"]["diverging-baseline"]["diverged_seeds"] == [0, 1]
    unpruned = set(trials.index[trials["status"].isin(["COMPLETE", "STOPPED_EARLY"])])
    assert {path.parent.name for path in (folder / "confirm").glob("*/*")} == unpruned >= {"tiny-0"}
    assert summary["budget"]["tiny"]["confirm_runs"] == 2 * len(unpruned)
    states = {arch: _optuna_states(folder, arch) for arch in ("broken", "diverging")}
    assert states == {"broken": {TrialState.FAIL}, "diverging": {TrialState.PRUNED}}


def test_a_study_of_which_nothing_came_has_failed(workplace: Path) -> None:
    arguments = ["--dataset", "digits", "--train-size", "300", "--trials", "1", "--max-epochs", "1", "--seeds", "1"]
    begun = run_with_more_networks([*arguments, "--archs", "greedy", "--name", "nothing"], workplace)
    resumed = run_with_more_networks(["--resume", "--name", "nothing"], workplace)
    for done in (begun, resumed):
        assert done.returncode == 1
        assert "Greedy has no result: all its trials failed" in done.stderr
        assert "finished" not in done.stdout
    assert "the trial greedy-0 failed: out of memory: lower --concurrency" in begun.stderr
    assert "tried to allocate 4000000000000000 bytes" in (workplace / "results/nothing/tune/journal.jsonl").read_text()
    page = (workplace / "results" / "nothing" / "report" / "report.html").read_text()
    assert "1 of 1 (100 %) of Greedy failed and gave no score" in page


def test_what_falls_below_a_rung_is_stopped_there(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 400 images an epoch has three steps, so that the first rung lies at epoch 20. It goes without a C compiler."""
    programs = workplace / "programs"
    programs.mkdir()
    for folder in map(Path, os.environ["PATH"].split(os.pathsep)):
        for program in folder.glob("*"):
            if program.name != "cc" and not (programs / program.name).exists():
                (programs / program.name).symlink_to(program)
    monkeypatch.setenv("PATH", str(programs))
    arguments = ["--dataset", "digits", "--train-size", "400", "--trials", "6", "--max-epochs", "24", "--seeds", "1"]
    done = run_with_more_networks([*arguments, "--confirm", "0", "--archs", "tiny", "--name", "rung"], workplace)
    assert done.returncode == 0, done.stderr
    assert "no C compiler (cc) on this machine" in done.stdout
    folder = workplace / "results" / "rung"
    trials = pd.read_csv(folder / "trials.csv")
    pruned = trials[trials["status"] == "PRUNED"]
    assert len(pruned) >= 1
    assert (pruned["epochs"] == 20).all()
    best = trials.loc[trials["status"].isin(["COMPLETE", "STOPPED_EARLY"]), "val_accuracy"].max()
    assert pruned["val_accuracy"].max() <= best
    assert TrialState.PRUNED in _optuna_states(folder, "tiny")
    assert f"{len(pruned)} of" in (folder / "report" / "report.html").read_text()


def _optuna_states(folder: Path, arch: str) -> set[TrialState]:
    study = optuna.load_study(study_name=arch, storage=open_database(folder / "optuna.db"))
    return {trial.state for trial in study.trials}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--archs", "resnet"], "there is no network 'resnet'"),
        (["--archs"], "at least one network"),
        (["--archs", "alexnet", "alexnet"], "twice"),
        (["--dataset", "mnist"], "mnist"),
        (["--precision", "fp8"], "fp8"),
        (["--preset", "huge"], "huge"),
        (["--trials", "0"], "--trials must be at least 1"),
        (["--trials", "-4"], "--trials must be at least 1"),
        (["--trials", "many"], "many"),
        (["--seeds", "0"], "--seeds"),
        (["--max-epochs", "0"], "--max-epochs"),
        (["--seed", "-1"], "--seed"),
        (["--concurrency", "0"], "--concurrency"),
        (["--cpus-per-trial", "0"], "--cpus-per-trial"),
        (["--cpus-per-trial", "nan"], "--cpus-per-trial"),
        (["--cpus-per-trial", "0.0001"], "--cpus-per-trial must be at least 0.001"),
        (["--gpus-per-trial", "0.0001"], "--gpus-per-trial must be 0 or at least 0.001"),
        (["--max-epochs", "1" + "0" * 400], "--max-epochs must be at most 1000000"),
        (["--cpus-per-trial", "4000"], "asks for more than the"),
        (["--gpus-per-trial", "-1"], "--gpus-per-trial"),
        (["--gpus-per-trial", "64"], "asks for more than the"),
        (["--dataset", "digits", "--train-size", "100000"], "(--train-size none takes all)"),
        (["--dataset", "digits", "--train-size", "12"], "too few"),
        (["--dataset", "digits", "--train-size", "3"], "3 training images"),
        (["--dataset", "folder"], "--data-dir"),
        (["--dataset", "folder", "--data-dir", "not-there"], "not-there"),
        (["--dataset", "cifar10", "--data-dir", "not-there"], "not-there"),
        (["--turbo"], "--turbo"),
        (
            ["--dataset", "digits", "--storage", "s3://key:secret@bucket/a?region=x"],
            "could read this password",
        ),
        (["--dataset", "digits", "--storage", "hf://a/b"], "neither an absolute path nor a storage URI"),
        (["--dataset", "digits", "--name", "../outside"], "path component"),
        (["--dataset", "digits", "--name", ""], "path component"),
        (["--dataset", "digits", "--name", "a/b"], "path component"),
        (["--dataset", "digits", "--name=-x"], "no - first"),
        (["--dataset", "digits", "--results-dir", "a-file"], "cannot be written"),
        (["--dataset", "digits", "--name", "taken"], "--resume --name taken"),
        (["--dataset", "digits", "--name", "mine"], "not a study's"),
        (["--resume", "--name", "never"], "there is no study"),
        (["--resume", "--results-dir", "nowhere"], "there is no study"),
    ],
)
def test_bad_input_is_one_line_and_leaves_no_trace(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a-file").touch()
    (tmp_path / "results" / "taken").mkdir(parents=True)
    (tmp_path / "results" / "taken" / "study.json").write_text("{}")
    (tmp_path / "results" / "mine").mkdir()
    (tmp_path / "results" / "mine" / "thesis.txt").touch()
    before = sorted(tmp_path.rglob("*"))
    assert main(arguments) == 2
    out, err = capfd.readouterr()
    assert out == "" or out.startswith("Plan:\n")
    assert err.startswith("error: ")
    assert message in err
    assert len(err.splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before
