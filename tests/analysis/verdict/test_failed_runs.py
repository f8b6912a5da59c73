"""Failed runs are found, counted, and left out of a second comparison that "better" has to pass too."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.results.load import Group
from analysis.results.run_folders import FinalRun
from analysis.statistics.comparison import compare
from analysis.verdict.comparisons import Judged, judge
from analysis.verdict.failed_runs import exact_interval, failed_of, failed_seeds, failure_sentences, share_that_learns

N_IMAGES = 1000
LABELS = np.arange(N_IMAGES) % 10


def run(seed: int, answers: np.ndarray, labels: np.ndarray = LABELS, status: str = "COMPLETE") -> FinalRun:
    logits = np.eye(1 + max(answers.max(), labels.max()), dtype=np.float32)[answers]
    return FinalRun("net-tuned", seed, {"status": status}, pd.DataFrame(), logits, labels)


def group(accuracies: Sequence[float], seed: int = 0, arch: str = "net") -> Group:
    """Return a group with a run for each accuracy; None of the images is right by chance, except at 0.1."""
    rng, runs = np.random.default_rng(seed), []
    difficulty = np.random.default_rng(99).random(N_IMAGES)
    for number, accuracy in enumerate(accuracies):
        rank = np.argsort(np.argsort(difficulty + 0.1 * rng.random(N_IMAGES)))
        answers = np.where(rank < accuracy * N_IMAGES, LABELS, (LABELS + 1) % 10)
        runs.append(run(number, np.zeros_like(answers) if accuracy == 0.1 else answers))
    return Group(f"{arch}-tuned", "Net (tuned)", arch, "tuned", {}, tuple(runs))


def judged(a: Sequence[float], b: Sequence[float], *, arch: str = "other") -> Judged:
    """Judge two networks, or two configurations of one network if `arch` is "net"."""
    (one,) = judge([(group(a), group(b, seed=1, arch=arch))], margins=[0.005])
    return one


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    [(5, 30, 0.0564, 0.3472), (0, 10, 0, 0.3085), (10, 10, 0.6915, 1), (1, 1, 0.025, 1)],
)
def test_the_exact_interval_of_a_share(count: int, total: int, low: float, high: float) -> None:
    found = [float(limit) for limit in exact_interval(np.array(count), total)]
    assert found == pytest.approx([low, high], abs=1e-4)
    rest = share_that_learns(total, count)
    assert (rest.share, *rest.ci95) == pytest.approx((1 - count / total, 1 - high, 1 - low), abs=1e-4)


def test_how_many_failed_is_said_with_its_interval() -> None:
    assert failed_of(5, 30) == "5 of 30 runs (95 % interval 6 to 35 %)"
    assert failed_of(1, 1) == "1 of 1 run (95 % interval 3 to 100 %)"


def test_a_run_failed_if_it_is_not_shown_to_beat_guessing_or_diverged() -> None:
    rng = np.random.default_rng(0)
    learned = np.where(rng.random(N_IMAGES) < 0.15, LABELS, rng.permutation(LABELS))
    runs = (
        run(0, learned),
        run(1, np.full(N_IMAGES, 3)),
        run(2, rng.permutation(LABELS)),
        run(3, LABELS, status="DIVERGED"),
        run(4, LABELS),
    )
    assert failed_seeds(Group("net-tuned", "Net", "net", "tuned", {}, runs)) == [1, 2, 3]


def test_a_run_that_finds_rare_classes_has_learned_though_one_answer_for_all_is_as_accurate() -> None:
    labels = np.repeat([0, 1], (270, 30))
    answers = np.concatenate([np.repeat([0, 1], (255, 15)), np.repeat([0, 1], (15, 15))])
    assert (answers == labels).mean() == 0.9
    runs = (run(0, answers, labels), run(1, np.zeros(300, int), labels))
    assert failed_seeds(Group("net-tuned", "Net", "net", "tuned", {}, runs)) == [1]


def test_nothing_changes_if_no_run_failed() -> None:
    a, b = [0.9] * 6, [0.8] * 6
    one = judged(a, b)
    assert one.comparison == compare(group(a).correct(), group(b, seed=1).correct())
    assert one.comparison.call == "better"
    assert one.sound.difference() is None
    assert failure_sentences(one.sound, "A", "B") == ""


@pytest.mark.parametrize(("arch", "paired"), [("other", False), ("net", True)])
def test_runs_of_one_network_alone_are_paired_with_and_without_failed_runs(arch: str, paired: bool) -> None:
    a, b = [0.1, 0.90, 0.92, 0.94, 0.96, 0.98], [0.80, 0.80, 0.82, 0.84, 0.86, 0.88]
    one = judged(a, b, arch=arch)
    correct = group(a).correct(), group(b, seed=1).correct()
    assert one.comparison.ci95 == compare(*correct, paired=paired).ci95
    sound = [runs[1:] for runs in correct]
    assert one.sound.comparison == compare(*sound, paired=paired)
    assert compare(*sound, paired=True).ci95 != compare(*sound, paired=False).ci95


def test_better_that_comes_from_failed_runs_alone_is_not_shown() -> None:
    a, b = [0.91] * 12, [0.1] * 6 + [0.905] * 6
    one = judged(a, b)
    whole = compare(group(a).correct(), group(b, seed=1).correct())
    assert whole.winner == "a"
    assert (one.comparison.call, one.comparison.winner, one.comparison.reason) == ("not shown", None, "failed runs")
    assert (one.comparison.mean, one.comparison.ci95) == (whole.mean, whole.ci95)
    without = one.sound.difference()
    assert without is not None
    assert without.mean == pytest.approx(0.005)
    assert (without.call, without.seeds) == ("not shown", [6, 7, 8, 9, 10, 11])
    assert failure_sentences(one.sound, "A", "B").startswith(
        " 6 of 12 runs (95 % interval 21 to 79 %) of B failed. Without the failed runs, on 6 seeds: A is 0."
    )


def test_better_with_and_without_failed_runs_stays_better() -> None:
    one = judged([0.93] * 12, [0.1] * 4 + [0.8] * 8)
    assert (one.comparison.call, one.comparison.winner) == ("better", "a")
    without = one.sound.difference()
    assert without is not None
    assert (without.call, without.mean) == ("better", pytest.approx(0.13))


def test_better_without_failed_runs_stands_among_several_comparisons_or_is_not_shown() -> None:
    a, b, c = group([0.91] * 12), group([0.1] * 6 + [0.904] * 6, seed=1), group([0.91] * 12, seed=2)
    (alone,) = judge([(a, b)], [0.005])
    assert (alone.comparison.call, alone.sound.comparison and alone.sound.comparison.p_value) == (
        "better",
        pytest.approx(0.025, abs=0.001),
    )
    among = judge([(a, b), (a, c), (b, c)], [0.005] * 3)[0]
    assert among.holm_p < 0.02, "with all runs the call stands"
    assert (among.comparison.call, among.comparison.reason) == ("not shown", "failed runs")
    without = among.sound.difference()
    assert without is not None and without.call == "not shown"
    # A network that never learned leaves no seeds, and its comparisons still count.
    nothing = group([0.1] * 12, seed=3)
    among = judge([(a, b), (a, nothing), (b, nothing)], [0.005] * 3)[0]
    assert (among.comparison.call, among.comparison.reason) == ("not shown", "failed runs")


def test_not_worse_holds_without_the_failed_runs_too() -> None:
    a, b = [0.9] * 12, [0.1] * 4 + [0.95] * 8
    whole = compare(group(a).correct(), group(b, seed=1).correct()).not_worse_p
    assert whole[0] < 0.05
    assert judged(a, b).comparison.not_worse_p[0] > 0.5
    assert judged([0.9] * 6, [0.1, 0.1] + [0.9] * 4).comparison.not_worse_p == (1.0, 1.0)


def test_too_few_sound_seeds_are_said() -> None:
    one = judged([0.9] * 6, [0.1] * 5 + [0.8])
    assert one.comparison.reason == "failed runs"
    assert failure_sentences(one.sound, "A", "B").endswith(
        " of B failed. Without the failed runs 1 seed can be compared; 5 are needed."
    )


def test_a_network_of_which_every_run_failed_did_not_fail_by_chance() -> None:
    one = judged([0.9] * 6, [0.1] * 6)
    assert (one.comparison.call, one.comparison.winner) == ("better", "a")
    assert failure_sentences(one.sound, "A", "B").endswith(" of B failed. No seed is left without a failed run.")


def test_failures_on_different_seeds_leave_the_seeds_of_neither() -> None:
    a, b = group([0.1, *[0.9] * 7]), group([*[0.8] * 7, 0.1], seed=1)
    (one,) = judge([(a, replace(b, runs=b.runs[1:]))], margins=[0.005])
    assert (one.sound.failed, one.sound.seeds) == (([], [7]), [1, 2, 3, 4, 5, 6])
