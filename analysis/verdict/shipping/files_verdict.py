"""Makes the verdict on two files of weights, each the run of its network that validation loss chose."""

from dataclasses import replace

from analysis.numbers import plural
from analysis.results.load import StudyResults
from analysis.statistics.calls import CONFIDENCE
from analysis.statistics.predictions.two_files import FilesCompared, compare_files
from analysis.verdict.caveats.counts import beats_constant
from analysis.verdict.shipping.chosen_run import choose_run
from analysis.verdict.summary_json import Difference, FilesVerdict, Verdict
from analysis.verdict.wording import difference_in_words

WHICH_QUESTION = (
    "This answers which of these two files is better, so only the test images are random. The verdict on the networks"
    " answers which network is better if you train again."
)


def judge_files(results: StudyResults, verdict: Verdict | None) -> FilesVerdict | None:
    """Compare the files that validation loss chooses from the two tuned networks of a verdict.

    Return None if there is no verdict, or if no validation loss of a network is known.
    """
    if verdict is None:
        return None
    a, b = results.groups[verdict.a], results.groups[verdict.b]
    chosen_a, chosen_b = choose_run(a), choose_run(b)
    if chosen_a is None or chosen_b is None:
        return None
    confidence = CONFIDENCE if verdict.confidence is None else verdict.confidence
    found = compare_files(chosen_a.own_correct, chosen_b.own_correct, margin=verdict.margin, confidence=confidence)
    if found.call == "equivalent" and not (beats_constant(a) or beats_constant(b)):
        found = replace(found, call="not shown", reason="nothing learned")
    runs = {"a": chosen_a.name, "b": chosen_b.name}
    titles = (results.architectures[a.arch], results.architectures[b.arch])
    return FilesVerdict(
        a=runs["a"],
        b=runs["b"],
        winner=runs[found.winner] if found.winner else None,
        call=found.call,
        reason=found.reason or None,
        difference=Difference(mean=found.mean, ci95=found.ci95),
        only_a=found.only_a,
        only_b=found.only_b,
        margin=verdict.margin,
        text=f"{_sentences(found, titles, (runs['a'], runs['b']))} {WHICH_QUESTION}",
    )


def _sentences(found: FilesCompared, titles: tuple[str, str], runs: tuple[str, str]) -> str:
    a, b = (f"{title} ({run})" for title, run in zip(titles, runs, strict=True))
    ahead, behind = (a, b) if found.mean >= 0 else (b, a)
    match found.call, found.reason:
        case "better", _:
            headline = f"The file of {ahead} is more accurate than the file of {behind}."
        case "equivalent", _:
            headline = f"The files of {a} and {b} are equivalent in accuracy."
        case _, "nothing learned":
            headline = f"Neither the file of {a} nor the file of {b} is shown to beat the same answer for every image."
        case _, "below the margin":
            headline = f"No difference in accuracy that matters is shown between the files of {a} and {b}."
        case _:
            headline = f"No difference in accuracy is shown between the files of {a} and {b}."
    leader = f"The file of {titles[0] if found.mean >= 0 else titles[1]}"
    discordant = f"Only one of the two is right on {plural(found.only_a + found.only_b, 'image')}."
    return f"{headline} {difference_in_words(found, leader)}. {discordant}"
