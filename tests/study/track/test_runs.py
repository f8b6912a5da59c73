"""The runs that a tracker shows, read from a study's folder."""

from pathlib import Path

import pandas as pd
import pytest

from analysis.results.files import read_json
from analysis.results.study_folder import StudyFolder
from study.track.runs import runs_of
from study.track.tracker import Run
from tests.analysis.example_study import write_example
from tests.analysis.example_study_json import SPACES
from tests.study.track.reports import write_report


def by_key(folder: StudyFolder, *, is_live: bool = False) -> dict[str, Run]:
    return {run.key: run for run in runs_of(folder, is_live=is_live)}


def test_a_study_has_its_networks_and_they_have_their_trials_and_final_runs(tmp_path: Path) -> None:
    folder = write_example(tmp_path / "pets", seeds=2, trials=3, same_as=("mobilenet",))
    runs = runs_of(folder, is_live=False)
    assert [run.key for run in runs] == [
        "",
        "alexnet",
        *(f"alexnet/alexnet-{number}" for number in range(3)),
        *(f"alexnet/alexnet-{variant}-seed-{seed}" for variant in ("baseline", "tuned") for seed in range(2)),
        "mobilenet",
        *(f"mobilenet/mobilenet-{number}" for number in range(3)),
        *(f"mobilenet/mobilenet-baseline-seed-{seed}" for seed in range(2)),
    ]
    assert [run.kind for run in runs[:3]] == ["study", "network", "trial"] and runs[5].kind == "final run"
    assert {run.study for run in runs} == {"pets"} and runs[0].name == "pets"


def test_a_trial_has_its_configuration_epochs_and_end(tmp_path: Path) -> None:
    folder = write_example(tmp_path / "pets", trials=3, epochs=4)
    history, trials = pd.read_csv(folder.path / "history.csv"), pd.read_csv(folder.path / "trials.csv")
    row, epochs = trials.iloc[1], history[history["trial_id"] == "alexnet-1"]
    run = by_key(folder)["alexnet/alexnet-1"]
    assert run.status == row["status"] == "PRUNED"
    assert run.parameters == {"lr": row["lr"], "dropout": row["dropout"], "variant": "trial"}
    assert run.epochs == epochs[["train_loss", "val_loss", "val_accuracy"]].to_dict("records")
    assert run.metrics["best_val_accuracy"] == row["val_accuracy"]
    assert run.step == len(epochs) == 2


def test_a_final_run_has_its_test_metrics_and_its_seed(tmp_path: Path) -> None:
    folder = write_example(tmp_path / "pets", diverged=("alexnet-tuned", 1))
    metrics = read_json(folder.path / "final" / "alexnet-tuned" / "seed-1" / "metrics.json")
    run = by_key(folder)["alexnet/alexnet-tuned-seed-1"]
    assert run.parameters == {**metrics["config"], "variant": "tuned", "seed": 1}
    assert run.status == "DIVERGED"
    assert [run.metrics[f"test_{name}"] for name in ("accuracy", "precision", "recall", "f1")] == [
        metrics[name] for name in ("accuracy", "precision", "recall", "f1")
    ]


def test_hyperparameters_keep_their_types(tmp_path: Path) -> None:
    folder = write_example(tmp_path / "pets", titles={"alexnet": "AlexNet", "resnet18": "ResNet"}, spaces=SPACES)
    parameters = by_key(folder)["resnet18/resnet18-1"].parameters
    assert type(parameters["model.width"]) is int and type(parameters["model.kernel"]) is int
    assert type(parameters["lr"]) is float and parameters["model.norm"] in ("None", "batch")
    assert set(by_key(folder)["alexnet/alexnet-1"].parameters) == {"lr", "variant"}


def test_a_network_has_means_intervals_and_deviations_over_seeds_and_the_study_its_verdict(tmp_path: Path) -> None:
    folder = write_example(tmp_path / "pets")
    assert by_key(folder)["alexnet"].metrics == {}
    report = write_report(folder)
    summary = read_json(folder.report / "summary.json")
    runs = by_key(folder)
    accuracy = summary["groups"]["alexnet-tuned"]["accuracy"]
    network = runs["alexnet"]
    assert network.metrics["tuned/test_accuracy/mean"] == accuracy["mean"]
    assert network.metrics["tuned/test_accuracy/sd"] == accuracy["sd"]
    low, high = accuracy["ci95"]
    assert network.metrics["tuned/test_accuracy/ci95_low"] == low
    assert network.metrics["tuned/test_accuracy/ci95_high"] == high
    assert network.tags["tuned/test_accuracy"] == f"{accuracy['mean']:.4f} (95 % interval {low:.4f} to {high:.4f})"
    assert network.step == 3
    verdict, study = summary["verdict"], runs[""]
    assert study.tags["call"] == verdict["call"] and study.tags["verdict"] == verdict["text"]
    assert study.tags["winner"] == (verdict["winner"] or "none")
    assert "95 % interval" in study.tags["alexnet-tuned minus mobilenet-tuned"]
    assert study.artifact == report


def test_a_study_of_one_seed_has_no_interval(tmp_path: Path) -> None:
    folder = write_example(tmp_path / "pets", seeds=1)
    write_report(folder)
    network = by_key(folder)["alexnet"]
    assert network.tags["tuned/test_accuracy"] == f"{network.metrics['tuned/test_accuracy/mean']:.4f}"
    assert "tuned/test_accuracy/sd" not in network.metrics


@pytest.mark.parametrize(("skip", "status"), [((), "COMPLETE"), ((("alexnet-tuned", 2),), "UNFINISHED")])
def test_the_study_is_complete_when_the_report_shows_every_planned_run(
    skip: tuple[tuple[str, int], ...], status: str, tmp_path: Path
) -> None:
    folder = write_example(tmp_path / "pets", skip=skip)
    assert by_key(folder)[""].status == "UNFINISHED"
    write_report(folder)
    assert by_key(folder)[""].status == by_key(folder)["alexnet"].status == status
    assert by_key(folder, is_live=True)[""].status == "RUNNING"


def test_a_trial_goes_on_until_both_tables_have_its_end(tmp_path: Path) -> None:
    """The search writes one table after the other, and the tracker may look in between."""
    folder = write_example(tmp_path / "pets", trials=3, epochs=4)
    trials, history = folder.read_trials(), folder.read_history()
    assert trials is not None and history is not None
    folder.write_history(history[(history["trial_id"] != "alexnet-0") | (history["epoch"] < 4)])
    assert by_key(folder, is_live=True)["alexnet/alexnet-0"].status == "RUNNING"
    folder.write_trials(trials[trials["trial_id"] != "alexnet-0"])
    run = by_key(folder, is_live=True)["alexnet/alexnet-0"]
    assert (run.status, len(run.epochs), dict(run.parameters)) == ("RUNNING", 3, {})
    assert by_key(folder)["alexnet/alexnet-0"].status == "UNFINISHED"


def test_the_digest_outlasts_a_rename_and_tells_of_a_change(tmp_path: Path) -> None:
    folder = write_example(tmp_path / "pets")
    write_report(folder)
    before, identity = {key: run.digest() for key, run in by_key(folder).items()}, by_key(folder)[""].identity
    renamed = StudyFolder(folder.path.rename(tmp_path / "animals"))
    assert {key: run.digest() for key, run in by_key(renamed).items()} == before
    assert by_key(renamed)[""].identity == identity
    renamed.final.remove("alexnet-tuned", 2)
    write_report(renamed)
    changed = by_key(renamed)
    assert {key for key, run in changed.items() if run.digest() != before[key]} == {"", "alexnet", "mobilenet"}
