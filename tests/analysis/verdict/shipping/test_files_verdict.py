"""The verdict on two files: which runs it compares, its calls in words, and that a failed run does not touch it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analysis.results.load import StudyResults, load_results
from analysis.statistics.predictions.two_files import compare_files
from analysis.verdict.comparisons import make_comparisons, make_verdict
from analysis.verdict.shipping.files_verdict import WHICH_QUESTION, judge_files
from analysis.verdict.summary import summarise
from analysis.verdict.summary_json import FilesVerdict
from tests.analysis.example_study import write_example

LOSSES = {"alexnet-tuned": (0.5, 0.2, 0.9), "mobilenet-tuned": (0.3, 0.4, 0.5)}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> StudyResults:
    folder = write_example(tmp_path_factory.mktemp("studies") / "s", same_as=["mobilenet"], trials=3, n_test=2000)
    results = load_results(folder)
    for name, losses in LOSSES.items():
        results = with_losses(results, name, losses)
    return results


def with_losses(results: StudyResults, name: str, losses: tuple[float, ...]) -> StudyResults:
    group = results.groups[name]
    runs = tuple(
        replace(run, metrics=run.metrics | {"val_loss": loss}) for run, loss in zip(group.runs, losses, strict=True)
    )
    return replace(results, groups=results.groups | {name: replace(group, runs=runs)})


def with_right(results: StudyResults, name: str, seed: int, right: np.ndarray) -> StudyResults:
    """Return the results in which a run is right on these test images alone."""
    group = results.groups[name]
    answers = np.where(right, group.labels, (group.labels + 1) % 10)
    logits = np.eye(10, dtype=np.float32)[answers]
    runs = tuple(replace(run, logits=logits) if run.seed == seed else run for run in group.runs)
    return replace(results, groups=results.groups | {name: replace(group, runs=runs)})


def judged(results: StudyResults) -> FilesVerdict:
    found = judge_files(results, make_verdict(results, make_comparisons(results)))
    assert found is not None
    return found


def test_it_compares_the_runs_with_the_lowest_validation_loss(results: StudyResults) -> None:
    files = judged(results)
    assert (files.a, files.b) == ("alexnet-tuned/seed-1", "mobilenet-baseline/seed-0")
    a, b = (results.groups[name].correct() for name in LOSSES)
    expected = compare_files(a[1], b[0], margin=0.005)
    assert (files.difference.mean, files.difference.ci95) == (expected.mean, expected.ci95)
    assert (files.only_a, files.only_b, files.call) == (expected.only_a, expected.only_b, expected.call)
    assert summarise(results).files == files


def test_a_run_that_is_not_chosen_does_not_touch_it(results: StudyResults) -> None:
    collapsed = with_right(results, "alexnet-tuned", 2, np.zeros(2000, bool))
    assert judged(collapsed) == judged(results)


@pytest.mark.parametrize(
    ("only_a", "only_b", "said"),
    [
        (
            200,
            100,
            "The file of AlexNet (alexnet-tuned/seed-1) is more accurate than the file of MobileNet-like"
            " (mobilenet-baseline/seed-0). The file of AlexNet is 5 percentage points ahead (95 % interval 3 to 7)."
            " Only one of the two is right on 300 images.",
        ),
        (
            100,
            200,
            "The file of MobileNet-like (mobilenet-baseline/seed-0) is more accurate than the file of AlexNet"
            " (alexnet-tuned/seed-1). The file of MobileNet-like is 5 percentage points ahead (95 % interval 3 to 7).",
        ),
        (
            20,
            21,
            "No difference in accuracy is shown between the files of AlexNet (alexnet-tuned/seed-1) and MobileNet-like"
            " (mobilenet-baseline/seed-0). The file of MobileNet-like is 0.1 percentage points ahead (95 % interval",
        ),
        (8, 0, "No difference in accuracy that matters is shown between the files of AlexNet (alexnet-tuned/seed-1)"),
        (1, 0, "The files of AlexNet (alexnet-tuned/seed-1) and MobileNet-like (mobilenet-baseline/seed-0) are equi"),
    ],
)
def test_every_call_has_its_sentence(results: StudyResults, only_a: int, only_b: int, said: str) -> None:
    images = np.arange(2000)
    changed = with_right(results, "alexnet-tuned", 1, images >= only_b)
    changed = with_right(changed, "mobilenet-tuned", 0, (images < only_b) | (images >= only_b + only_a))
    files = judged(changed)
    assert files.text.startswith(said)
    assert files.text.endswith(f" {WHICH_QUESTION}")


def test_guessing_is_not_equivalent(results: StudyResults) -> None:
    nothing = np.zeros(2000, bool)
    for name in LOSSES:
        for seed in range(3):
            results = with_right(results, name, seed, nothing)
    files = judged(results)
    assert (files.call, files.reason) == ("not shown", "nothing learned")
    assert files.text.startswith("Neither the file of AlexNet")


def test_without_two_tuned_networks_or_a_known_loss_there_is_none(results: StudyResults, tmp_path: Path) -> None:
    unknown = with_losses(results, "alexnet-tuned", (float("nan"),) * 3)
    assert judge_files(unknown, make_verdict(unknown, make_comparisons(unknown))) is None
    alone = load_results(write_example(tmp_path / "s", search=False, trials=1, seeds=2))
    assert summarise(alone).files is None
