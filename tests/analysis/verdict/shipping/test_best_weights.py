"""Which weights are shipped is decided by the validation loss of the winner's tuned runs, and by nothing else."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from analysis.results.load import StudyResults, load_results
from analysis.results.study_folder import StudyFolder
from analysis.statistics.predictions.chosen_run import accuracy_interval
from analysis.verdict.comparisons import TUNED_FAMILY
from analysis.verdict.shipping.best_weights import ExpectedAccuracy, FileAccuracy, weights_to_ship, what_to_expect
from analysis.verdict.summary import summarise
from analysis.verdict.summary_json import ComparisonRow, Summary
from models.data import ChannelStatistics
from models.networks.registry import ARCHITECTURES
from models.training.inference import DeviceImages, predict_logits
from tests.analysis.example_study import write_example
from tests.analysis.example_study_json import with_config

PAGE = Path(__file__).parents[4] / "docs" / "use-the-winner.md"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    return write_example(tmp_path_factory.mktemp("studies") / "s", same_as=["mobilenet"], trials=3, seeds=2)


def with_runs(results: StudyResults, name: str, *runs: dict[str, Any]) -> StudyResults:
    """The results with other metrics in the runs of a group."""
    group = results.groups[name]
    changed = tuple(replace(run, metrics=run.metrics | metrics) for run, metrics in zip(group.runs, runs, strict=True))
    return replace(results, groups=results.groups | {name: replace(group, runs=changed)})


def won_by(arch: str | None, results: StudyResults) -> Summary:
    winner = None if arch is None else f"{arch}-tuned"
    row = ComparisonRow.model_construct(family=TUNED_FAMILY, winner=winner, seeds=[0, 1])
    return summarise(results).model_copy(update={"comparisons": [row]})


def test_the_lowest_validation_loss_is_shipped(folder: StudyFolder) -> None:
    results = load_results(folder)
    summary = won_by("alexnet", results)
    better_test_score = with_runs(
        results, "alexnet-tuned", {"val_loss": 0.3, "accuracy": 1.0}, {"val_loss": 0.2, "accuracy": 0.1}
    )
    best = weights_to_ship(better_test_score, summary, folder)
    accuracy = summary.groups["alexnet-tuned"].accuracy
    assert best is not None
    assert asdict(best) == {
        "group": "alexnet-tuned",
        "seed": 1,
        "weights": "final/alexnet-tuned/seed-1/model.safetensors",
        "val_loss": 0.2,
        "expected_accuracy": {name: getattr(accuracy, name) for name in ("mean", "sd", "ci95")},
        "file_accuracy": {
            "own": accuracy.values[1],
            "ci95": accuracy_interval(results.groups["alexnet-tuned"].correct()[1]),
            "chosen_among": 1,
            "if_trained_again": pytest.approx(accuracy.mean),
        },
        "arch": "alexnet",
        "config": results.groups["alexnet-tuned"].config,
        "classes": results.classes,
        "normalisation": {"mean": [1.0, 2.0, 3.0], "deviation": [60.0, 61.0, 62.0]},
    }
    assert (folder.path / best.weights).is_file()


def test_a_baseline_that_is_the_tuned_configuration_lies_in_its_own_folder(folder: StudyFolder) -> None:
    results = load_results(folder)
    best = weights_to_ship(results, won_by("mobilenet", results), folder)
    assert best is not None and best.group == "mobilenet-tuned"
    assert best.weights.startswith("final/mobilenet-baseline/")
    assert (folder.path / best.weights).is_file()


def test_a_diverged_run_is_shipped_only_if_every_run_diverged(folder: StudyFolder) -> None:
    results = load_results(folder)
    summary = won_by("alexnet", results)
    lost = {"val_loss": 0.1, "status": "DIVERGED"}
    best = weights_to_ship(with_runs(results, "alexnet-tuned", lost, {"val_loss": 0.4}), summary, folder)
    assert best is not None and best.seed == 1
    (values,) = results.groups["alexnet-tuned"].correct()[1:]
    assert best.expected_accuracy == ExpectedAccuracy(values.mean(), None, (None, None)), "of sound runs alone"
    best = weights_to_ship(with_runs(results, "alexnet-tuned", lost, lost | {"val_loss": None}), summary, folder)
    assert best is not None and best.seed == 0
    nothing = with_runs(results, "alexnet-tuned", *[{"val_loss": None}] * 2)
    assert weights_to_ship(nothing, summary, folder) is None


def test_what_to_expect_of_the_file_and_of_a_file_that_is_trained_again(folder: StudyFolder) -> None:
    results = load_results(folder)
    best = weights_to_ship(results, won_by("alexnet", results), folder)
    assert best is not None
    file, runs = FileAccuracy(0.641, (0.632, 0.65), 3, 0.6321), ExpectedAccuracy(0.6254, 0.009, (0.61, 0.64))
    own = (
        "Expect 64.1 % accuracy on new images like the test images (95 % interval 63.2 to 65.0). This is the file's own"
        " test accuracy; the test images took no part in choosing the file."
    )
    assert what_to_expect(replace(best, file_accuracy=file, expected_accuracy=runs)) == (
        f"{own} If you train 3 runs again and choose by validation loss, expect 63.2 %. One run alone has 62.5 %"
        " (standard deviation 0.9 points)."
    )
    of_two = replace(best, file_accuracy=replace(file, chosen_among=1), expected_accuracy=runs)
    assert what_to_expect(of_two) == (f"{own} If you train a run again, expect 62.5 % (standard deviation 0.9 points).")
    alone = replace(best, file_accuracy=file, expected_accuracy=ExpectedAccuracy(0.641, None, (None, None)))
    assert what_to_expect(alone) == own


def test_the_docs_say_how_to_predict(
    folder: StudyFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results = load_results(folder)
    best = weights_to_ship(results, won_by("mobilenet", results), folder)
    assert best is not None
    with torch.random.fork_rng():
        torch.manual_seed(0)  # other weights may give all images one answer
        network = ARCHITECTURES["mobilenet"].build(10, {"dropout": 0.0}).eval()
    study = tmp_path / "results" / "NAME"
    (study / best.weights).parent.mkdir(parents=True)
    (study / "final" / "best.json").write_text(json.dumps(asdict(best)))
    images = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)
    statistics = ChannelStatistics(np.float32([1, 2, 3]), np.float32([60, 61, 62]))
    batch = DeviceImages(images, statistics, torch.device("cpu"))
    # An untrained network has one answer for all: here it is told what makes each image another than their mean.
    *_, head = (layer for layer in network.modules() if isinstance(layer, torch.nn.Linear))
    head.bias.data -= predict_logits(network, batch, torch.arange(5), "fp32").mean(dim=0)
    save_file(network.state_dict(), study / best.weights)
    expected = predict_logits(network, batch, torch.arange(5), "fp32").argmax(dim=1).tolist()
    assert len(set(expected)) > 2

    section = PAGE.read_text().partition("## In Python")[2]
    code = "\n".join(line[4:] for line in section.splitlines() if line.startswith("    ") or not line)
    monkeypatch.chdir(tmp_path)
    for image, label in zip(images, expected, strict=True):
        Image.fromarray(image).save("image.png")
        exec(code, {})
        assert capsys.readouterr().out.strip() == results.classes[label]


def test_without_a_winner_nothing_is_shipped_and_a_stale_choice_is_removed(folder: StudyFolder) -> None:
    results = load_results(folder)
    assert weights_to_ship(results, won_by(None, results), folder) is None
    assert weights_to_ship(results, summarise(results).model_copy(update={"comparisons": []}), folder) is None
    unfinished = replace(results, study=with_config(results.study, seeds=3))
    assert weights_to_ship(unfinished, won_by("alexnet", results), folder) is None
    path = folder.path / "final" / "best.json"
    folder.write_best({"seed": 1})
    assert json.loads(path.read_text()) == {"seed": 1}
    for _ in range(2):
        folder.write_best(None)
        assert not path.exists()
