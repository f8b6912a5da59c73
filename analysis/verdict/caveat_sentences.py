"""Says in sentences what limits a verdict."""

from collections.abc import Callable

from analysis.numbers import listed, percent, share
from analysis.results.load import StudyResults
from analysis.statistics.comparison import MARGIN
from analysis.verdict.caveats import (
    FEW_IMAGES,
    at_edges,
    capped_runs,
    has_added_seeds,
    no_better_than_constant,
    rare_answers,
    score_error,
    slow_calls,
    small_classes,
    trials_below_baseline,
    unseen_mishaps,
)

# At most 5 classes are named in a sentence, because longer lists are not read; the rest is counted.
MOST_NAMED = 5
# At most this standard error of a trial's score goes without a sentence: the error on 400 images.
LARGE_ERROR = 0.025


def caveats(results: StudyResults) -> list[str]:
    """List the limits of the verdict, the most serious first."""
    parts: tuple[Callable[[StudyResults], list[str]], ...] = (_learning, _cap, _search, _test_images, _latency, _seeds)
    return [sentence for part in parts for sentence in part(results)]


def _learning(results: StudyResults) -> list[str]:
    titles, constant = no_better_than_constant(results.groups)
    if not titles:
        return []
    return [
        f"Some networks have learned almost nothing, so the comparison says little: {'; '.join(titles)}. They are not"
        f" shown to be better than giving every image the same answer, which is right for {percent(constant)} % of the"
        " images."
    ]


def _cap(results: StudyResults) -> list[str]:
    cap, patience = results.study.config.max_epochs, results.study.search.patience
    shares = capped_runs(results.groups, cap, patience)
    if capped := sum(found.capped for found in shares):
        runs = sum(found.runs for found in shares)
        where = "; ".join(f"{found.title}: {found.capped} of {found.runs}" for found in shares if found.capped)
        return [
            f"The cap of {cap} epochs ended {share(capped, runs)} final runs while they could still improve ({where})."
            f" Their best epoch lies within the patience of {patience} epochs of the cap. Longer training may change"
            " the result."
        ]
    return [f"The cap of {cap} epochs ended no final run that could still improve."] if shares else []


def _search(results: StudyResults) -> list[str]:
    sentences, titles = [], results.study.search.titles()
    for edge in at_edges(results.groups, results.study.search.space):
        side = "lower" if edge.edge == "low" else "upper"
        sentences.append(
            f"A better configuration may lie outside the search range: the tuned {titles[edge.name]} of"
            f" {results.architectures[edge.arch]} is {edge.value:.3g}, at the {side} edge of the range"
            f" ({edge.limit:g})."
        )
    below = [
        f"{share(found.below, found.trials)} of {results.architectures[found.arch]}"
        for found in trials_below_baseline(results.trials, list(results.architectures))
        if found.trials
    ]
    if below:
        is_pruned = (results.trials["status"] == "PRUNED").any()
        pruned = " Pruned trials count with their last score." if is_pruned else ""
        sentences.append(f"Some trials scored below the baseline trial: {listed(below)}.{pruned}")
    images, error = score_error(results.study)
    if len(results.trials) and error > LARGE_ERROR:
        sentences.append(
            "The choice of the best trial is partly luck: a trial's score is its accuracy on"
            f" {images:,} validation images, with a standard error of up to {percent(error)} points."
        )
    failed = []
    for arch, title in results.architectures.items():
        trials = results.trials_of(arch)
        if len(trials) and (count := int((trials["status"] == "FAILED").sum())):
            failed.append(f"{share(count, len(trials))} of {title}")
    if failed:
        sentences.append(f"The tuning had fewer trials than planned: {listed(failed)} failed and gave no score.")
    return sentences


def _test_images(results: StudyResults) -> list[str]:
    sentences = []
    n_images = next((len(group.labels) for group in results.groups.values()), 0)
    if 0 < n_images <= 3 / MARGIN and not results.study.config.baseline:
        sentences.append(
            f"No two networks can be called equivalent with {n_images:,} test images: more than {3 / MARGIN:.0f} are"
            " needed."
        )
    if small := small_classes(results.groups, results.classes):
        classes = [f"{name} ({count})" for name, count in small.items()]
        if len(classes) > MOST_NAMED:
            classes[MOST_NAMED - 1 :] = [f"{len(classes) - MOST_NAMED + 1} other classes"]
        sentences.append(
            "The intervals of precision, recall and F1 are too narrow, because there are few test images of"
            f" {listed(classes)}. These metrics are means over classes, so these images weigh much."
        )
    if rare := rare_answers(results.groups, len(results.classes)):
        sentences.append(
            "The interval of the mean precision is too narrow, because a run gives some class as its answer for fewer"
            f" than {FEW_IMAGES} test images: {'; '.join(rare)}."
        )
    return sentences


def _latency(results: StudyResults) -> list[str]:
    if not (held_up := slow_calls(results.latency)):
        return []
    times = [f"{ratio:.1f} times p50 for {results.architectures[arch]}" for arch, ratio in held_up.items()]
    return [f"The inference time was not steady: p99 is {listed(times)}. Another process may have used the machine."]


def _seeds(results: StudyResults) -> list[str]:
    sentences = []
    if (seeds := min((len(group.runs) for group in results.groups.values()), default=0)) > 1:
        sentences.append(
            f"{seeds} runs cannot rule out that up to {percent(unseen_mishaps(seeds), 0)} % of a network's runs go"
            " wrong in a way that no run of this study did, such as a collapse (95 % limit). The intervals do not cover"
            " that."
        )
    if any(len(group.runs) < results.study.config.seeds for group in results.groups.values()):
        sentences.append(
            "Some planned seeds are not there yet. The intervals and p values hold for the planned number of seeds: if"
            " you look again and again and stop once something shows, you will be wrong more often than they say."
        )
    if has_added_seeds(results.study.resumed or ()):
        sentences.append(
            "Seeds were added when the study was resumed. The intervals and p values hold for a number of seeds settled"
            " beforehand: if you add seeds because of the first results, you will be wrong more often than they say."
        )
    return sentences
