"""Chooses the weights to ship: one run of the winner, chosen without looking at the test set."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.results.load import StudyResults
from analysis.results.study_folder import StudyFolder
from analysis.verdict.comparisons import overall_winner
from analysis.verdict.summary import spread
from analysis.verdict.summary_json import Interval, Summary


@dataclass(frozen=True)
class ExpectedAccuracy:
    """Holds the test accuracy to expect, in [0, 1]: mean and deviation over seeds, 95 % interval of the mean."""

    mean: float
    sd: float | None
    ci95: Interval


@dataclass(frozen=True)
class BestWeights:
    """Holds the contents of best.json.

    Attributes:
        group: the winner's tuned group.
        seed: the seed of the run.
        weights: path of the weights in the study's folder.
        val_loss: validation loss of the run, in nats.
        expected_accuracy: the accuracy to expect on new images.
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
    arch: str
    config: dict[str, Any]
    classes: list[str]
    normalisation: dict[str, Any] | None


def weights_to_ship(results: StudyResults, summary: Summary, folder: StudyFolder) -> BestWeights | None:
    """Return the winner's tuned run with the lowest validation loss; None if no network is better than every other.

    Runs that diverged kept their best weights, but one of them is chosen only if every run diverged. The accuracy to
    expect on new images is the mean of the runs that the choice was made from, because the run's own accuracy is one
    draw.
    """
    winner = overall_winner(results, summary.comparisons)
    group = results.group(winner, "tuned") if winner else None
    if group is None:
        return None
    runs = [run for run in group.runs if run.metrics["val_loss"] is not None and np.isfinite(run.metrics["val_loss"])]
    sound = [run for run in runs if run.metrics["status"] != "DIVERGED"] or runs
    if not sound:
        return None
    best = min(sound, key=lambda run: (run.metrics["val_loss"], run.seed))
    accuracy = spread(group.correct()[[group.seeds.index(run.seed) for run in sound]])
    return BestWeights(
        group=group.name,
        seed=best.seed,
        weights=folder.final.weights_of(group.same_as or group.name, best.seed).relative_to(folder.path).as_posix(),
        val_loss=best.metrics["val_loss"],
        expected_accuracy=ExpectedAccuracy(accuracy.mean, accuracy.sd, accuracy.ci95),
        arch=group.arch,
        config=group.config,
        classes=results.classes,
        normalisation=best.metrics.get("normalisation"),
    )
