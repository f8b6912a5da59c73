"""Says in sentences what limits the search of a study, and the weights that its networks start from."""

from collections.abc import Iterator

from analysis.numbers import listed, number, percent, plural, share
from analysis.results.load import StudyResults
from analysis.verdict.caveats.counts import at_edges, score_error, trials_below_baseline
from analysis.verdict.caveats.own_settings import starting_weights
from analysis.verdict.summary_json import Caveat, Grade
from analysis.verdict.wording import order_at_equal_epochs

# At most this standard error of a trial's score goes without a sentence: the error on 400 images.
LARGE_ERROR = 0.025
# At least 10 trials for each hyperparameter, the rule of thumb for experiments on a computer (Loeppky et al., 2009).
TRIALS_A_DIMENSION = 10


def of_search(results: StudyResults, winner: str | None) -> Iterator[Caveat]:
    """Yield the limits of the search: its ranges, its order at equal epochs, its scores and its size."""
    titles = results.study.titles()
    spaces = {arch: results.study.space_of(arch) for arch in results.architectures}
    edges = at_edges(results.groups, spaces)
    for arch, title in results.architectures.items():
        found = [f"{titles[edge.name]} {number(edge.value)}" for edge in edges if edge.arch == arch]
        if not found:
            continue
        text = f"A better configuration may lie outside the search range{'s' * (len(found) > 1)}."
        if len(found) > 1:
            text += f" The tuned configuration of {title} lies at edges of its ranges: {listed(found)}."
        else:
            edge = next(edge for edge in edges if edge.arch == arch)
            side = "lower" if edge.edge == "low" else "upper"
            text += (
                f" The tuned {titles[edge.name]} of {title} is {number(edge.value)}, at the {side} edge of the range"
                f" ({number(edge.limit)})."
            )
        # A better configuration of the winner would only add to its lead.
        yield Caveat.grave(text, "but the search ended at the edge of its range", arch != winner)
    if order := order_at_equal_epochs(results):
        yield Caveat(grade=Grade.WEAKENS, text=order)
    images, error = score_error(results.study)
    if len(results.trials) and error > LARGE_ERROR:
        text = (
            "The choice of the best trial is partly luck. A trial's score is its accuracy on"
            f" {images:,} validation images, with a standard error of up to {percent(error)} points."
        )
        yield Caveat(grade=Grade.WEAKENS, text=text)
    sizes = {arch: len(space) for arch, space in spaces.items()}
    largest, trials = max(sizes, key=lambda arch: sizes[arch]), results.study.config.trials
    if len(results.trials) and trials < TRIALS_A_DIMENSION * sizes[largest]:
        whose = f" of {results.architectures[largest]}" if min(sizes.values()) < sizes[largest] else ""
        text = (
            f"The search was short: {plural(trials, 'trial')} for {plural(sizes[largest], 'hyperparameter')}{whose},"
            f" fewer than {TRIALS_A_DIMENSION} for each. More trials may find a better configuration."
        )
        yield Caveat(grade=Grade.WEAKENS, text=text)


def of_origin(results: StudyResults) -> Iterator[Caveat]:
    """Yield the limits of a study that an earlier study told its trials."""
    if (origin := results.study.origin) is None:
        return
    if origin.is_tested:
        text = (
            f"The test images were seen before: the study {origin.study}, or a study that it came from, has predicted"
            " them. If you began this study because of that result, the test set helped to decide, and the intervals"
            " and p values do not cover that."
        )
        yield Caveat(grade=Grade.WEAKENS, text=text)
    counts = {title: origin.told.get(arch, 0) for arch, title in results.architectures.items()}
    if len(set(counts.values())) > 1:
        said = [f"{plural(count, 'trial')} for {title}" for title, count in counts.items()]
        text = (
            f"The search began from unequal knowledge: the study {origin.study} told its samplers {listed(said)}. More"
            " trials may help the network that was told less."
        )
        yield Caveat(grade=Grade.WEAKENS, text=text)


def of_weights(results: StudyResults) -> Iterator[Caveat]:
    """Yield a limit if networks start from weights."""
    if found := starting_weights(results.study):
        named = [f"{results.architectures[arch]} ({weights})" for arch, weights in found.items()]
        text = (
            f"{listed(named)} {'start' if len(named) > 1 else 'starts'} from weights that other images have trained, so"
            " the accuracy does not come from these training images alone. It is too high if test images were among"
            " the others."
        )
        yield Caveat(grade=Grade.WEAKENS, text=text)


def of_trials(results: StudyResults) -> Iterator[Caveat]:
    """Yield the limits of single trials: scores below the baseline's, and failures."""
    below = [
        f"{share(counted.below, counted.trials)} of {results.architectures[counted.arch]}"
        for counted in trials_below_baseline(results.trials, list(results.architectures))
        if counted.trials
    ]
    if below:
        is_pruned = (results.trials["status"] == "PRUNED").any()
        pruned = " Pruned trials count with their last score." if is_pruned else ""
        text = f"Some trials scored below the baseline trial: {listed(below)}.{pruned}"
        yield Caveat(grade=Grade.FOR_INFORMATION, text=text)
    failed = []
    for arch, title in results.architectures.items():
        trials = results.trials_of(arch)
        if len(trials) and (count := int((trials["status"] == "FAILED").sum())):
            failed.append(f"{share(count, len(trials))} of {title}")
    if failed:
        text = f"The tuning had fewer trials than planned: {listed(failed)} failed and gave no score."
        yield Caveat(grade=Grade.WEAKENS, text=text)
