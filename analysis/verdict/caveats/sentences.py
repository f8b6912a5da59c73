"""Says in sentences what limits a verdict, and decides how grave each limit is.

A limit could overturn the result if the network that is not ahead might catch up once it is removed. It weakens the
result if it makes a number less sure. Everything else is for information.
"""

import math
from collections.abc import Iterator, Mapping

from analysis.numbers import listed, number, percent, share
from analysis.results.load import Group, StudyResults
from analysis.verdict.caveats.counts import (
    FEW_IMAGES,
    beats_constant,
    capped_runs,
    constant_share,
    deciding_groups,
    epochs_of_grace,
    other_groups,
    rare_answers,
    slow_calls,
    small_classes,
)
from analysis.verdict.caveats.search_sentences import of_origin, of_search, of_trials, of_weights
from analysis.verdict.caveats.seeds import of_added_seeds, of_few_seeds, of_unseen_mishaps
from analysis.verdict.failed_runs import failed_of, failed_seeds
from analysis.verdict.margin import largest_margin
from analysis.verdict.searches.sentences import of_luck
from analysis.verdict.summary_json import Caveat, ComparisonRow, Grade, TimesCompared
from analysis.verdict.wording import decimals, known

# At most 5 classes are named in a sentence, because longer lists are not read; the rest is counted.
MOST_NAMED = 5
# At least half of a network's runs have to be cut short to overturn a result, because then they decide its mean.
CUT_SHORT = 0.5


def caveats(
    results: StudyResults,
    winner: str | None,
    leaders: ComparisonRow | None = None,
    times: Mapping[str, TimesCompared] | None = None,
) -> list[Caveat]:
    """List the limits of the verdict, the gravest first.

    Args:
        results: the study.
        winner: the name of the network that the verdict calls better, if there is one.
        leaders: the comparison of the two most accurate networks, if there is one.
        times: the comparison of their inference times by runtime, if they were measured.
    """
    found = [
        *of_few_seeds(results),
        *_failures(results, leaders),
        *_learning(results),
        *_cap(results, winner),
        *_small_difference(leaders),
        *of_luck(leaders),
        *of_search(results, winner),
        *of_origin(results),
        *of_weights(results),
        *of_trials(results),
        *_test_images(results, winner),
        *_latency(results, times or {}),
        *_notes(results),
        *of_added_seeds(results),
        *of_unseen_mishaps(results),
    ]
    return [caveat for grade in Grade for caveat in found if caveat.grade == grade]


def _small_difference(leaders: ComparisonRow | None) -> Iterator[Caveat]:
    if leaders is None or leaders.call != "better" or not (limits := known(leaders.difference.ci95)):
        return
    if (least := min(map(abs, limits))) < leaders.margin:
        digits = max(1, decimals(leaders.difference.ci95, [least], (0, leaders.margin)))
        text = (
            f"The difference may be too small to matter: its interval begins at {percent(least, digits)} points, and"
            f" less than {100 * leaders.margin:.3g} does not matter."
        )
        yield Caveat(grade=Grade.WEAKENS, text=text)


def _learning(results: StudyResults) -> Iterator[Caveat]:
    if deciding := [group for group in deciding_groups(results.groups) if not beats_constant(group)]:
        titles = [results.architectures[group.arch] for group in deciding]
        yield Caveat.grave(_nothing_learned(titles, deciding[0]), f"but {listed(titles)} may have learned nothing")
    if others := [group for group in other_groups(results.groups) if not beats_constant(group)]:
        text = _nothing_learned([group.title for group in others], others[0])
        yield Caveat(grade=Grade.WEAKENS, text=text)


def _nothing_learned(titles: list[str], group: Group) -> str:
    return (
        f"{listed(titles)} may have learned nothing. {'They are' if len(titles) > 1 else 'It is'} not shown to beat the"
        f" same answer for every image, which is right for {percent(constant_share(group))} % of the images."
    )


def _cap(results: StudyResults, winner: str | None) -> Iterator[Caveat]:
    cap = results.study.config.max_epochs
    # Patience ends no run before this epoch. If the cap is earlier, only the cap can end a run.
    patience = math.inf if cap < epochs_of_grace(results.study) else results.study.search.patience
    groups = deciding_groups(results.groups)
    deciding = capped_runs(groups, cap, patience)
    others = capped_runs(other_groups(results.groups), cap, patience)
    if capped := sum(counted.capped for counted in deciding):
        where = [f"{results.architectures[one.arch]}: {one.capped} of {one.runs}" for one in deciding if one.capped]
        text = (
            f"The cap of {cap} epochs ended {share(capped, sum(counted.runs for counted in deciding))}"
            f" {groups[0].variant} runs while they could still improve ({', '.join(where)}). Longer training may change"
            " the result."
        )
        # Longer training of the winner alone would only add to its lead.
        is_grave = any(one.capped >= CUT_SHORT * one.runs for one in deciding if one.arch != winner)
        yield Caveat.grave(text, "but training was cut short", is_grave)
    if capped := sum(counted.capped for counted in others):
        runs = share(capped, sum(counted.runs for counted in others))
        networks = listed([results.architectures[one.arch] for one in others if one.capped])
        text = (
            f"The cap of {cap} epochs ended {runs} baseline runs of {networks} while they could still improve, so"
            " tuning may seem to help more than it does."
        )
        yield Caveat(grade=Grade.WEAKENS, text=text)
    if deciding and not any(counted.capped for counted in (*deciding, *others)):
        text = f"The cap of {cap} epochs ended no final run that could still improve."
        yield Caveat(grade=Grade.FOR_INFORMATION, text=text)


def _failures(results: StudyResults, leaders: ComparisonRow | None) -> Iterator[Caveat]:
    groups = deciding_groups(results.groups)
    counted = [
        f"{failed_of(len(failed), len(group.runs))} of {results.architectures[group.arch]}"
        for group in groups
        if (failed := failed_seeds(group))
    ]
    if counted:
        text = (
            f"Some {groups[0].variant} runs failed: {listed(counted)}. They diverged, or are not shown to beat"
            " guessing. They count with their best finite weights."
        )
        decide = leaders is not None and leaders.reason == "failed runs"
        yield Caveat.grave(text, "because some runs failed", decide)


def _test_images(results: StudyResults, winner: str | None) -> Iterator[Caveat]:
    n_images = next((len(group.labels) for group in results.groups.values()), 0)
    margin = largest_margin(results)
    if margin == 0:
        text = "No two networks can be called equivalent, because the margin of this study is 0."
        yield Caveat(grade=Grade.FOR_INFORMATION, text=text)
    elif margin is not None and margin <= 1 / n_images:
        text = "No two networks can be called equivalent, because the margin is a single test image."
        yield Caveat(grade=Grade.FOR_INFORMATION if winner else Grade.WEAKENS, text=text)
    elif margin is not None and n_images <= 3 / margin:
        text = (
            f"No two networks can be called equivalent with {n_images:,} test images: more than"
            f" {math.floor(3 / margin):,} are needed."
        )
        yield Caveat(grade=Grade.FOR_INFORMATION if winner else Grade.WEAKENS, text=text)
    if small := small_classes(results.groups, results.classes):
        classes = [f"{name} ({count})" for name, count in small.items()]
        if len(classes) > MOST_NAMED:
            classes[MOST_NAMED - 1 :] = [f"{len(classes) - MOST_NAMED + 1} other classes"]
        text = (
            "The intervals of precision, recall and F1 are too narrow, because there are few test images of"
            f" {listed(classes)}. These metrics are means over classes, so these images weigh much."
        )
        yield Caveat(grade=Grade.FOR_INFORMATION, text=text)
    if rare := rare_answers(results.groups, len(results.classes)):
        text = (
            "The interval of the mean precision is too narrow, because a run gives some class as its answer for fewer"
            f" than {FEW_IMAGES} test images: {'; '.join(rare)}."
        )
        yield Caveat(grade=Grade.FOR_INFORMATION, text=text)


def _latency(results: StudyResults, times: Mapping[str, TimesCompared]) -> Iterator[Caveat]:
    compared = times.get("pytorch")
    if compared is not None and compared.is_processor_time:
        text = (
            "The machine was busy while inference was timed: a prediction took up to"
            f" {number(compared.wall_per_processor_time, '.1f')} times its processor time. So the networks are compared"
            " by processor time."
        )
        yield Caveat(grade=Grade.WEAKENS, text=text)
    if compared is not None and not compared.is_steady:
        limits = " to ".join(number(limit, ".2g") for limit in compared.ci95)
        text = (
            f"The ratio of the inference times did not become steady in {compared.rounds} rounds. Its 95 % interval is"
            f" {limits}."
        )
        yield Caveat(grade=Grade.WEAKENS, text=text)
    if held_up := slow_calls(results.latency):
        titles = {name: group.title for name, group in results.groups.items()} | results.architectures
        slow = [f"{ratio:.1f} times p50 for {titles.get(name, name)}" for name, ratio in held_up.items()]
        text = (
            f"The inference time was not steady. Its p99 is {listed(slow)}. Another process may have used the machine."
        )
        yield Caveat(grade=Grade.WEAKENS, text=text)


def _notes(results: StudyResults) -> Iterator[Caveat]:
    for network in results.study.architectures.values():
        for note in network.notes:
            yield Caveat(grade=Grade.FOR_INFORMATION, text=f"{network.title} {note}.")
