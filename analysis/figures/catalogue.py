"""Lists the figures that the report of a study shows, each with a description in words."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from analysis.figures import confusion as confusion_figures
from analysis.figures import final_runs as figures
from analysis.figures import learning_curves as curve_figures
from analysis.figures import predictions as prediction_figures
from analysis.figures.drawing.style import look
from analysis.figures.pareto import shown_better
from analysis.figures.samples import choose_positions, judged_networks, judged_probabilities
from analysis.figures.search.progress import best_score_against_budget, trial_lengths
from analysis.figures.search.space import MOST_IN_PAIRS, parallel_coordinates, search_space
from analysis.numbers import listed
from analysis.results.load import Group, StudyResults
from analysis.results.study_json import Dimension
from analysis.statistics.predictions.by_class import f1_intervals
from analysis.statistics.search_progress import best_scores, rung_epochs
from analysis.verdict.summary_json import Summary
from analysis.verdict.wording import chosen_trials, level, side_title


@dataclass(frozen=True)
class Picture:
    """Holds a figure of the page.

    Attributes:
        name: its file name without suffix.
        alt: a description in words.
        wide: its form for wide pages.
        narrow: its form for phones, if that differs.
    """

    name: str
    alt: str
    wide: Figure
    narrow: Figure | None = None


def study_pictures(results: StudyResults, summary: Summary) -> dict[str, list[Picture]]:
    """Draw the figures of each part of the page. A part without data may be missing or empty."""
    return {
        **_of_final_runs(results, summary),
        **_of_predictions(results),
        **_of_search(results),
        "samples": _samples(results),
        "repeats": _repeats(results),
    }


def _of_final_runs(results: StudyResults, summary: Summary) -> dict[str, list[Picture]]:
    trained = {name: group for name, group in results.groups.items() if not group.same_as}
    if not trained:
        return {}
    titles, order = listed(list(results.architectures.values())), list(results.architectures)
    histories = {group.title: [run.history for run in group.runs] for group in trained.values()}
    # A baseline that is also the tuned configuration is shown as tuned.
    repeated = {group.same_as for group in results.groups.values()}
    groups = {name: group for name, group in summary.groups.items() if name not in repeated}
    alt = f"Test accuracy of every seed of every group, with means and intervals: {titles}."
    pictures = {"accuracy": [_both("accuracy-by-group", alt, figures.accuracy_by_group, groups, order)]}
    if paired := paired_differences(results, summary):
        alt = "The difference in test accuracy of every pair of runs, the mean with its interval, and the margin."
        pictures["differences"] = [_both("paired-differences", alt, figures.paired_differences, paired)]
    alt = f"Test accuracy against latency, parameters and multiply-accumulates, with the Pareto front: {titles}."
    better = shown_better(results, list(groups))
    pictures["costs"] = [_both("accuracy-against-cost", alt, figures.trade_offs, groups, order, better)]
    alt = "Loss and validation accuracy against epoch of the final runs, a line a seed."
    places = [order.index(group.arch) for group in trained.values()]
    pictures["final"] = [_both("final-curves", alt, curve_figures.final_curves, histories, places)]
    return pictures


def _of_predictions(results: StudyResults) -> dict[str, list[Picture]]:
    if not results.groups:
        return {}
    n_classes, order = len(results.classes), list(results.architectures)
    judged = judged_networks(results.groups)
    scores = {
        group.title: prediction_figures.f1_by_class(group.predictions(), group.labels, n_classes)
        for group in judged.values()
    }
    places = [order.index(arch) for arch in judged]
    shown = prediction_figures.shown_classes(list(scores.values()))
    intervals = {
        group.title: f1_intervals(group.predictions(), group.labels, n_classes, shown) for group in judged.values()
    }
    alt = f"F1 of each class, the mean with its interval: {listed(list(scores))}."
    f1 = _both("f1-by-class", alt, prediction_figures.class_f1, scores, intervals, results.classes, places)
    return {"classes": [f1], "confusion": _confusion(results, list(judged.values()), order)}


def _confusion(results: StudyResults, judged: list[Group], order: list[str]) -> list[Picture]:
    """Draw the confusion matrix of each group, and the best judged group's matrix minus each other one's."""
    counts = {
        group.name: confusion_figures.mean_counts(group.predictions(), group.labels, len(results.classes))
        for group in results.groups.values()
        if not group.same_as or group in judged
    }
    colours = {group.name: look(order.index(group.arch))[0] for group in results.groups.values()}
    pictures = [
        _both(
            f"confusion-{name}",
            f"Confusion matrix of {group.title}: true classes against predicted ones.",
            confusion_figures.confusion_matrix,
            counts[name],
            results.classes,
            group.title,
            colours[name],
        )
        for name, group in results.groups.items()
        if not group.same_as
    ]
    a = max(judged, key=lambda group: float(group.correct().mean()))
    for b in judged:
        if b is not a:
            pictures.append(
                _both(
                    f"confusion-difference-{a.name}-{b.name}",
                    f"The confusion matrix of {a.title} minus the one of {b.title}: the mistakes that only one makes.",
                    confusion_figures.confusion_difference,
                    (counts[a.name], counts[b.name]),
                    results.classes,
                    (a.title, b.title),
                    (colours[a.name], colours[b.name]),
                )
            )
    return pictures


def _of_search(results: StudyResults) -> dict[str, list[Picture]]:
    if not len(results.trials):
        return {}
    trials, archs, search = results.trials, results.architectures, results.study.search
    titles, chosen = listed(list(archs.values())), chosen_trials(results)
    curves = {}
    for arch, title in archs.items():
        own = results.trials_of(arch)
        if len(own):
            curves[title] = best_scores(own, results.history_of(arch))
    epochs = rung_epochs(search.grace_period, search.reduction_factor, results.study.config.max_epochs)
    spaces = {arch: _ranges(results.study.space_of(arch)) for arch in archs}
    names = results.study.titles()
    alt_space = f"Every trial by its {listed(list(names.values()))}, darker for a higher score: {titles}."
    rungs = ", with the rungs that could stop it" if epochs else ""
    alt_rungs = f"How many epochs every trial was trained{rungs}: {titles}."
    alt_curves = f"Validation accuracy against epoch of every trial of the search: {titles}."
    alt_best = f"The best score of the search against trials and against epochs: {titles}."
    lines = []
    if many := {arch: title for arch, title in archs.items() if len(spaces[arch]) > MOST_IN_PAIRS}:
        alt = f"Every trial as a line through its hyperparameters and its score: {listed(list(many.values()))}."
        lines = [_both("search-parallel", alt, parallel_coordinates, trials, many, spaces, names, chosen)]
    return {
        "space": [_both("search-space", alt_space, search_space, trials, archs, spaces, names, chosen)],
        "lines": lines,
        "rungs": [_both("search-rungs", alt_rungs, trial_lengths, trials, archs, epochs)],
        "search": [
            _both("search-curves", alt_curves, curve_figures.search_curves, results.history, trials, archs, chosen)
        ],
        "best": [_both("best-score", alt_best, best_score_against_budget, curves)],
    }


def _ranges(space: Mapping[str, Dimension]) -> dict[str, dict[str, Any]]:
    return {name: dimension.model_dump(exclude_none=True) for name, dimension in space.items()}


def paired_differences(results: StudyResults, summary: Summary) -> list[figures.Paired]:
    """Return the differences in accuracy of the pairs of runs of each comparison."""
    paired = []
    for row in summary.comparisons:
        a, b = (
            dict(zip(group.seeds, group.accuracy.values, strict=True))
            for group in (summary.groups[row.a], summary.groups[row.b])
        )
        low, high = row.difference.ci95
        paired.append(
            figures.Paired(
                (side_title(results, row.a), side_title(results, row.b)),
                {seed: a[seed] - b[seed] for seed in row.seeds},
                row.difference.mean,
                None if low is None or high is None else (low, high),
                row.margin,
                level(row.confidence),
            )
        )
    return paired


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
        files = [results.samples.names[index[position]] for position in positions] if results.samples.names else []
        judged = listed([group.title for group in judged_networks(results.groups).values()])
        alt = f"{kind.capitalize()}: {len(positions)} test images with their true class and the answers of {judged}."
        name = f"samples-{kind.replace(' ', '-')}"
        pictures.append(_both(name, alt, prediction_figures.sample_predictions, images, truths, said, files))
    return pictures


def _repeats(results: StudyResults) -> list[Picture]:
    if results.repeats is None:
        return []
    images, rows = results.repeats.images, results.repeats.rows
    named = listed([f"{image} and {other}" for _, image, other, _ in rows])
    alt = f"Pairs of images that show the same picture: {named}."
    return [_both("repeated-pictures", alt, prediction_figures.repeated_pictures, images, rows)]


def _both(name: str, alt: str, draw: Callable[..., Figure], *arguments: Any) -> Picture:
    return Picture(name, alt, draw(*arguments), draw(*arguments, columns=1))
