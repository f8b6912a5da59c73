"""What to keep in mind about a verdict, in sentences."""

from analysis.figures.catalogue import listed
from analysis.report.digest import NAMES
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

# Classes that a sentence lists before it counts them.
MOST_NAMED = 5
# Standard error of a trial's score, that of 400 images.
LARGE_ERROR = 0.025


def caveats(results: StudyResults) -> list[str]:
    """What weakens the verdict, a sentence each."""
    cap, patience = results.study["config"]["max_epochs"], results.study["search"]["patience"]
    sentences = []
    titles, share = no_better_than_constant(results.groups)
    if titles:
        sentences.append(
            f"Not shown to be better than giving every image the same answer, which is right for {100 * share:.1f} %:"
            f" {'; '.join(titles)}. Networks that have hardly learned anything show little of what they could do."
        )
    shares = capped_runs(results.groups, cap, patience)
    if capped := sum(share.capped for share in shares):
        runs = sum(share.runs for share in shares)
        where = "; ".join(f"{share.title}: {share.capped} of {share.runs}" for share in shares if share.capped)
        sentences.append(
            f"In {_share(capped, runs)} final runs the best epoch lies within the patience of {patience} epochs of the"
            f" cap of {cap} ({where}): there the cap decided, and longer training may give another result."
        )
    elif shares:
        sentences.append(f"In no final run did the cap of {cap} epochs decide when it ended.")
    for edge in at_edges(results.groups, results.study["search"]["space"]):
        side = "lower" if edge.edge == "low" else "upper"
        sentences.append(
            f"The tuned {NAMES.get(edge.name, edge.name)} of {results.architectures[edge.arch]}, {edge.value:.3g},"
            f" lies at the {side} edge of the range searched, {edge.limit:g}: a better one may lie beyond."
        )
    below = [
        f"{_share(found.below, found.trials)} of {results.architectures[found.arch]}"
        for found in trials_below_baseline(results.trials, list(results.architectures))
        if found.trials
    ]
    if below:
        pruned = "; pruned ones count with their last score" if (results.trials["status"] == "PRUNED").any() else ""
        sentences.append(f"Of the trials other than the baseline, {listed(below)} scored below it{pruned}.")
    images, error = score_error(results.study)
    if len(results.trials) and error > LARGE_ERROR:
        sentences.append(
            f"A trial's score is the accuracy on {images:,} validation images, which has a standard error of up to"
            f" {100 * error:.1f} points: which trial came out best is in part luck."
        )
    n_images = next((len(group.labels) for group in results.groups.values()), 0)
    if 0 < n_images <= 3 / MARGIN and not results.study["config"]["baseline"]:
        sentences.append(
            f"There are {n_images:,} test images: with {3 / MARGIN:.0f} or fewer no two networks can be called"
            " equivalent."
        )
    if small := small_classes(results.groups, results.classes):
        classes = [f"{name} ({count})" for name, count in small.items()]
        if len(classes) > MOST_NAMED:
            classes[MOST_NAMED - 1 :] = [f"{len(classes) - MOST_NAMED + 1} other classes"]
        sentences.append(
            f"There are few test images of {listed(classes)}: precision, recall and F1 are means over classes, in which"
            " these images weigh much, and their intervals are too narrow."
        )
    if rare := rare_answers(results.groups, len(results.classes)):
        sentences.append(
            f"In a run of {listed(rare)} some class is the answer for fewer than {FEW_IMAGES} test images: its"
            " precision hangs on these few, and the interval of the mean precision is too narrow."
        )
    if held_up := slow_calls(results.latency):
        times = [f"of {results.architectures[arch]} {ratio:.1f} times" for arch, ratio in held_up.items()]
        sentences.append(
            f"Inference time was not steady: p99 is {listed(times)} p50. Something else may have run beside it."
        )
    if (seeds := min((len(group.runs) for group in results.groups.values()), default=0)) > 1:
        sentences.append(
            f"A mishap that none of {seeds} runs shows, such as a collapse, may still strike up to"
            f" {100 * unseen_mishaps(seeds):.0f} % of a network's runs (95 % limit): intervals know only these."
        )
    if any(len(group.runs) < results.study["config"]["seeds"] for group in results.groups.values()):
        sentences.append(
            "Not every planned seed is there. Intervals and p hold for the number that was planned: who looks again and"
            " again, and stops once something is shown, errs more often than they say."
        )
    if has_added_seeds(results.study):
        sentences.append(
            "Seeds were added when the study was resumed. Intervals and p hold for a number of seeds settled"
            " beforehand: where the first results decided that there be more, they err more often than they say."
        )
    if failed := _failed_trials(results):
        sentences.append(f"Trials failed and gave no score, {listed(failed)}: the tuning of that network had fewer.")
    return sentences


def _failed_trials(results: StudyResults) -> list[str]:
    """How many trials of each architecture failed, where some did."""
    shares = []
    for arch, title in results.architectures.items() if len(results.trials) else ():
        statuses = results.trials.loc[results.trials["arch"] == arch, "status"]
        if failed := int((statuses == "FAILED").sum()):
            shares.append(f"{_share(failed, len(statuses))} of {title}")
    return shares


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({100 * part / whole:.0f} %)"
