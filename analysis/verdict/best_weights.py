"""Which weights to ship: those of one run of the winner, chosen without looking at the test set."""

from typing import Any

import numpy as np

from analysis.results.load import StudyResults
from analysis.results.study_folder import StudyFolder
from analysis.verdict.comparisons import overall_winner
from analysis.verdict.summary import spread


def weights_to_ship(results: StudyResults, summary: dict[str, Any], folder: StudyFolder) -> dict[str, Any] | None:
    """Of the winner's tuned runs the one with the lowest validation loss; None without a network that is better than
    each of the others.

    What is to be expected of it on new images is the mean accuracy of the runs it was chosen from, give or take the
    deviation between seeds: its own accuracy is one draw from that.

    Returns:
        The contents of best.json: `group`, `seed`, `weights` (their path in the folder), `val_loss` in nats,
        `expected_accuracy` with mean, its ci95, and sd over seeds, in [0, 1]; and what it takes to predict with them:
        `arch`, `config`, `classes` in the order of the logits, and `normalisation`, mean and deviation of red, green
        and blue (0 to 255) in its training images, None of a run that did not keep it.
    """
    winner = overall_winner(results, summary["comparisons"])
    if winner is None:
        return None
    group = results.groups[f"{winner}-tuned"]
    # A run that diverged kept its best weights, but is chosen only where every run did.
    runs = [run for run in group.runs if run.metrics["val_loss"] is not None and np.isfinite(run.metrics["val_loss"])]
    sound = [run for run in runs if run.metrics["status"] != "DIVERGED"] or runs
    if not sound:
        return None
    best = min(sound, key=lambda run: (run.metrics["val_loss"], run.seed))
    weights = folder.final.weights_of(group.same_as or group.name, best.seed)
    accuracy = spread(group.correct()[[group.seeds.index(run.seed) for run in sound]])
    return {
        "group": group.name,
        "seed": best.seed,
        "weights": weights.relative_to(folder.path).as_posix(),
        "val_loss": best.metrics["val_loss"],
        "expected_accuracy": {name: accuracy[name] for name in ("mean", "sd", "ci95")},
        "arch": group.arch,
        "config": group.config,
        "classes": results.classes,
        "normalisation": best.metrics.get("normalisation"),
    }
