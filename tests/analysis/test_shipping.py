"""Which weights are shipped is decided by the validation loss of the winner's tuned runs, and by nothing else."""

import json
from dataclasses import replace
from typing import Any

import pytest

from analysis.results import StudyResults, load_results
from analysis.shipping import weights_to_ship
from analysis.summary import summarise
from study.folder import StudyFolder
from tests.analysis.example_study import write_example


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    return write_example(tmp_path_factory.mktemp("studies") / "s", same_as=["mobilenet"], trials=3, seeds=2)


def with_runs(results: StudyResults, name: str, *runs: dict[str, Any]) -> StudyResults:
    """The results with other metrics in the runs of a group."""
    group = results.groups[name]
    changed = tuple(replace(run, metrics=run.metrics | metrics) for run, metrics in zip(group.runs, runs, strict=True))
    return replace(results, groups=results.groups | {name: replace(group, runs=changed)})


def won_by(arch: str | None, results: StudyResults) -> dict[str, Any]:
    verdict = {"winner": arch, "call": "not shown" if arch is None else "better"}
    return summarise(results) | {"verdict": verdict}


def test_the_lowest_validation_loss_is_shipped(folder: StudyFolder) -> None:
    results = load_results(folder)
    summary = won_by("alexnet", results)
    better_test_score = with_runs(
        results, "alexnet-tuned", {"val_loss": 0.3, "accuracy": 1.0}, {"val_loss": 0.2, "accuracy": 0.1}
    )
    best = weights_to_ship(better_test_score, summary, folder)
    accuracy = summary["groups"]["alexnet-tuned"]["accuracy"]
    assert best == {
        "group": "alexnet-tuned",
        "seed": 1,
        "weights": "final/alexnet-tuned/seed-1/model.safetensors",
        "val_loss": 0.2,
        "group_accuracy": {name: accuracy[name] for name in ("mean", "sd", "ci95")},
    }
    assert (folder.path / best["weights"]).is_file()


def test_a_baseline_that_is_the_tuned_configuration_lies_in_its_own_folder(folder: StudyFolder) -> None:
    results = load_results(folder)
    best = weights_to_ship(results, won_by("mobilenet", results), folder)
    assert best is not None and best["group"] == "mobilenet-tuned"
    assert best["weights"].startswith("final/mobilenet-baseline/")
    assert (folder.path / best["weights"]).is_file()


def test_a_diverged_run_is_shipped_only_if_every_run_diverged(folder: StudyFolder) -> None:
    results = load_results(folder)
    summary = won_by("alexnet", results)
    lost = {"val_loss": 0.1, "status": "DIVERGED"}
    best = weights_to_ship(with_runs(results, "alexnet-tuned", lost, {"val_loss": 0.4}), summary, folder)
    assert best is not None and best["seed"] == 1
    best = weights_to_ship(with_runs(results, "alexnet-tuned", lost, lost | {"val_loss": None}), summary, folder)
    assert best is not None and best["seed"] == 0
    nothing = with_runs(results, "alexnet-tuned", *[{"val_loss": None}] * 2)
    assert weights_to_ship(nothing, summary, folder) is None


def test_without_a_winner_nothing_is_shipped_and_a_stale_choice_is_removed(folder: StudyFolder) -> None:
    results = load_results(folder)
    assert weights_to_ship(results, won_by(None, results), folder) is None
    assert weights_to_ship(results, summarise(results) | {"verdict": None}, folder) is None
    path = folder.path / "final" / "best.json"
    folder.write_best({"seed": 1})
    assert json.loads(path.read_text()) == {"seed": 1}
    for _ in range(2):
        folder.write_best(None)
        assert not path.exists()
