"""Which figures the report of a study shows, and what they show in words."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from analysis import figures
from analysis.results import StudyResults
from analysis.samples import choose_positions, judged_networks, judged_probabilities


@dataclass(frozen=True)
class Picture:
    """A figure of the page: its file name without suffix, what it shows in words, and its form for wide pages and,
    where that differs, for phones."""

    name: str
    alt: str
    wide: Figure
    narrow: Figure | None = None


def study_pictures(results: StudyResults, summary: dict[str, Any]) -> dict[str, list[Picture]]:
    """The figures of each part of the page; a part without data has none."""
    titles = listed(list(results.architectures.values()))
    trained = {name: group for name, group in results.groups.items() if not group.same_as}
    pictures: dict[str, list[Picture]] = {"accuracy": [], "search": [], "final": [], "samples": _samples(results)}
    if trained:
        alt = f"Test accuracy of every seed of every group, with means and intervals: {titles}."
        pictures["accuracy"] = [_both("accuracy-by-group", alt, figures.accuracy_by_group, summary["groups"])]
        alt = "Loss and validation accuracy against epoch of the final runs, a line a seed."
        histories = {group.title: [run.history for run in group.runs] for group in trained.values()}
        pictures["final"] = [_both("final-curves", alt, figures.final_curves, histories)]
    if len(results.trials):
        alt = f"Validation accuracy against epoch of every trial of the search: {titles}."
        arguments = (results.history, results.trials, results.architectures, chosen_trials(results))
        pictures["search"] = [_both("search-curves", alt, figures.search_curves, *arguments)]
    pictures["confusion"] = [
        Picture(
            f"confusion-{name}",
            f"Confusion matrix of {group.title}: true classes against predicted ones.",
            figures.confusion_matrix(group.predictions(), group.labels, results.classes, group.title),
        )
        for name, group in trained.items()
    ]
    return pictures


def _samples(results: StudyResults) -> list[Picture]:
    if results.samples is None or not results.groups:
        return []
    index = {int(position): row for row, position in enumerate(results.samples.positions)}
    probabilities = judged_probabilities(results.groups)
    pictures = []
    for kind, chosen in choose_positions(results.groups).items():
        positions = [int(position) for position in chosen if int(position) in index]
        if not positions:
            continue
        labels = next(iter(results.groups.values())).labels
        said = {
            results.architectures[arch]: [
                (results.classes[int(values[position].argmax())], float(values[position].max()))
                for position in positions
            ]
            for arch, values in probabilities.items()
        }
        images = results.samples.images[[index[position] for position in positions]]
        truths = [results.classes[int(labels[position])] for position in positions]
        judged = listed([group.title for group in judged_networks(results.groups).values()])
        alt = f"{kind.capitalize()}: {len(positions)} test images with their true class and the answers of {judged}."
        name = f"samples-{kind.replace(' ', '-')}"
        pictures.append(_both(name, alt, figures.sample_predictions, images, truths, said))
    return pictures


def _both(name: str, alt: str, draw: Callable[..., Figure], *arguments: Any) -> Picture:
    return Picture(name, alt, draw(*arguments), draw(*arguments, columns=1))


def chosen_trials(results: StudyResults) -> dict[str, str]:
    """The first trial of each architecture that has its tuned configuration."""
    chosen: dict[str, str] = {}
    for trial in results.trials.to_dict("records"):
        group = results.groups.get(f"{trial['arch']}-tuned")
        if group and all(np.isclose(trial[name], value) for name, value in group.config.items()):
            chosen.setdefault(str(trial["arch"]), str(trial["trial_id"]))
    return chosen


def listed(items: Sequence[Any]) -> str:
    """ "a, b and c"."""
    words = [str(item) for item in items]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
