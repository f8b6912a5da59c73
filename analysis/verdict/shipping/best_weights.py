"""Chooses the weights to ship: one run of the winner, chosen without looking at the test set."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.numbers import percent
from analysis.results.load import StudyResults
from analysis.results.study_folder import StudyFolder
from analysis.statistics.predictions.chosen_run import accuracy_interval, expected_of_chosen
from analysis.verdict.comparisons import overall_winner
from analysis.verdict.shipping.chosen_run import ChosenRun, choose_run
from analysis.verdict.summary import spread
from analysis.verdict.summary_json import Interval, Summary


@dataclass(frozen=True)
class ExpectedAccuracy:
    """Holds the test accuracy of one run, in [0, 1]: mean and deviation over seeds, 95 % interval of the mean."""

    mean: float
    sd: float | None
    ci95: Interval


@dataclass(frozen=True)
class FileAccuracy:
    """Holds the accuracy to expect of the file, and of a file that is chosen in the same way, in [0, 1].

    Attributes:
        own: test accuracy of this file. Its validation loss chose it, so its test accuracy is not biased.
        ci95: 95 % interval over test images.
        chosen_among: number of fresh runs that `if_trained_again` is for: half of the runs, rounded up.
        if_trained_again: the accuracy to expect of the run with the lowest validation loss among them.
    """

    own: float
    ci95: Interval
    chosen_among: int
    if_trained_again: float


@dataclass(frozen=True)
class BestWeights:
    """Holds the contents of best.json.

    Attributes:
        group: the winner's tuned group.
        seed: the seed of the run.
        weights: path of the weights in the study's folder.
        val_loss: validation loss of the run, in nats.
        expected_accuracy: the accuracy of the runs that it was chosen from.
        file_accuracy: the accuracy to expect of this file.
        arch: name of the network.
        config: its hyperparameters.
        classes: class names in the order of the logits.
        normalisation: mean and deviation of red, green and blue (0 to 255) in the training images; None if an older
            study did not keep them.
    """

    group: str
    seed: int
    weights: str
    val_loss: float
    expected_accuracy: ExpectedAccuracy
    file_accuracy: FileAccuracy
    arch: str
    config: dict[str, Any]
    classes: list[str]
    normalisation: dict[str, Any] | None


def weights_to_ship(results: StudyResults, summary: Summary, folder: StudyFolder) -> BestWeights | None:
    """Return the winner's tuned run with the lowest validation loss; None if no network is better than every other."""
    winner = overall_winner(results, summary.comparisons)
    group = results.group(winner, "tuned") if winner else None
    chosen = choose_run(group) if group else None
    if group is None or chosen is None:
        return None
    best, accuracy = chosen.run, spread(chosen.correct)
    return BestWeights(
        group=group.name,
        seed=best.seed,
        weights=folder.final.weights_of(group.same_as or group.name, best.seed).relative_to(folder.path).as_posix(),
        val_loss=best.metrics["val_loss"],
        expected_accuracy=ExpectedAccuracy(accuracy.mean, accuracy.sd, accuracy.ci95),
        file_accuracy=_file_accuracy(chosen),
        arch=group.arch,
        config=group.config,
        classes=results.classes,
        normalisation=best.metrics.get("normalisation"),
    )


def what_to_expect(best: BestWeights, digits: int = 1) -> str:
    """Say which accuracy to expect of the file, and which one if the network is trained again.

    Args:
        best: the weights.
        digits: number of decimals of a percentage.
    """
    file, runs = best.file_accuracy, best.expected_accuracy
    low, high = (percent(limit, digits) for limit in file.ci95)
    said = (
        f"Expect {percent(file.own, digits)} % accuracy on new images like the test images (95 % interval {low} to"
        f" {high}). This is the file's own test accuracy; the test images took no part in choosing the file."
    )
    if runs.sd is None:
        return said
    deviation = f"standard deviation {percent(runs.sd, digits)} points"
    if file.chosen_among == 1:
        return f"{said} If you train a run again, expect {percent(runs.mean, digits)} % ({deviation})."
    return (
        f"{said} If you train {file.chosen_among} runs again and choose by validation loss, expect"
        f" {percent(file.if_trained_again, digits)} %. One run alone has {percent(runs.mean, digits)} % ({deviation})."
    )


def _file_accuracy(chosen: ChosenRun) -> FileAccuracy:
    losses = np.array([run.metrics["val_loss"] for run in chosen.candidates])
    among = (len(losses) + 1) // 2
    return FileAccuracy(
        own=float(chosen.own_correct.mean()),
        ci95=accuracy_interval(chosen.own_correct),
        chosen_among=among,
        if_trained_again=expected_of_chosen(losses, chosen.correct.mean(axis=1), among),
    )
