"""Finds the final runs that failed, and compares two networks without them.

A run failed if it diverged, or if it is not shown to beat its own answers dealt out at random. One failed run moves the
mean of few seeds by far. So "better" has to hold with the failed runs and without them.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from analysis.numbers import percent, plural
from analysis.results.load import Group
from analysis.statistics.calls import CONFIDENCE
from analysis.statistics.comparison import LEAST_SEEDS, MARGIN, Comparison, compare
from analysis.verdict.summary_json import Share, SoundDifference
from analysis.verdict.wording import describe


@dataclass(frozen=True)
class SoundPair:
    """Holds the comparison of two groups on the seeds without a failed run.

    Attributes:
        compared: the seeds that both groups have.
        failed: the seeds among them whose run of A failed, and whose run of B failed.
        comparison: the comparison on the other seeds; None if there are none.
    """

    compared: list[int]
    failed: tuple[list[int], list[int]]
    comparison: Comparison | None

    @property
    def seeds(self) -> list[int]:
        """Return the compared seeds on which no run failed."""
        return [seed for seed in self.compared if not any(seed in failed for failed in self.failed)]

    def difference(self) -> SoundDifference | None:
        """Return the difference without failed runs; None if no run failed, or no seed is left."""
        if self.comparison is None or not any(self.failed):
            return None
        one = self.comparison
        return SoundDifference(mean=one.mean, ci95=one.ci95, call=one.call, seeds=self.seeds)


def exact_interval(counts: np.ndarray, total: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the limits of the 95 % interval of each share counts / total (Clopper and Pearson, 1934)."""
    tail = (1 - CONFIDENCE) / 2
    low = special.betaincinv(np.maximum(counts, 1), total - counts + 1, tail)
    high = special.betaincinv(counts + 1, np.maximum(total - counts, 1), 1 - tail)
    return np.where(counts == 0, 0.0, low), np.where(counts == total, 1.0, high)


def beats_chance(correct: np.ndarray, chance: np.ndarray | float) -> np.ndarray:
    """Return whether each run is shown to beat chance: its 95 % interval over test images lies above it.

    Args:
        correct: true if the run is right, bool [runs, images].
        chance: accuracy in [0, 1] that guessing gives, of each run or of all.
    """
    low, _ = exact_interval(correct.sum(axis=1), correct.shape[1])
    above: np.ndarray = low > chance
    return above


def failed_seeds(group: Group) -> list[int]:
    """Return the seeds of the runs that diverged or are not shown to beat their own answers dealt out at random.

    Answers in random order are right as often as Cohen (1960) expects by chance, at most as often as the most frequent
    class. So a run that finds some images of rare classes has learned, even if one answer for all is more accurate.
    """
    answers, labels = group.predictions(), group.labels
    n_classes = 1 + max(answers.max(), labels.max())
    of_labels, *of_answers = (np.bincount(row, minlength=n_classes) / len(row) for row in (labels, *answers))
    is_sound = beats_chance(answers == labels, np.array([shares @ of_labels for shares in of_answers]))
    diverged = group.diverged_seeds()
    return [seed for seed, sound in zip(group.seeds, is_sound, strict=True) if not sound or seed in diverged]


def share_that_learns(runs: int, failed: int) -> Share:
    """Return the share of runs that did not fail, with its 95 % interval."""
    low, high = exact_interval(np.array(runs - failed), runs)
    return Share(share=(runs - failed) / runs, ci95=(float(low), float(high)))


def compare_without_failures(
    a: Group, b: Group, compared: list[int], margin: float, confidence: float = CONFIDENCE
) -> SoundPair:
    """Compare two groups on the given seeds on which no run failed.

    Args:
        a: group A.
        b: group B, judged on the same test images.
        compared: the seeds that both have.
        margin: the difference in accuracy that matters, in [0, 1].
        confidence: confidence of the interval.
    """
    failed_a, failed_b = ([seed for seed in failed_seeds(group) if seed in compared] for group in (a, b))
    correct_a, correct_b = (group.correct()[[group.seeds.index(seed) for seed in compared]] for group in (a, b))
    pair = SoundPair(compared, (failed_a, failed_b), None)
    return compare_sound(correct_a, correct_b, pair, margin, confidence, paired=a.is_of_network(b))


def compare_sound(
    correct_a: np.ndarray,
    correct_b: np.ndarray,
    pair: SoundPair,
    margin: float = MARGIN,
    confidence: float = CONFIDENCE,
    *,
    paired: bool = False,
) -> SoundPair:
    """Return the pair with the comparison of its sound seeds.

    Args:
        correct_a: true if network A is right, bool [compared seeds, images].
        correct_b: the same for network B.
        pair: the seeds, and those that failed.
        margin: the difference in accuracy that matters, in [0, 1].
        confidence: confidence of the interval.
        paired: true if runs of the same seed are correlated, as in `compare`.
    """
    rows = [pair.compared.index(seed) for seed in pair.seeds]
    if not rows:
        return pair
    sound = compare(correct_a[rows], correct_b[rows], margin=margin, confidence=confidence, paired=paired)
    return replace(pair, comparison=sound)


def hold_without_failures(comparison: Comparison, sound: SoundPair) -> Comparison:
    """Withdraw "better" if the same network is not better without the failed runs.

    Both calls have to be corrected for the pairs of a family before.

    A network that is not worse has to be so with and without them too. So the larger p value counts, and it is 1 with
    fewer than LEAST_SEEDS seeds without a failed run.

    If every run of a network failed, it has no sound accuracy and did not fail by chance, so the call stays.
    """
    never_learned = any(len(failed) == len(sound.compared) for failed in sound.failed)
    if not any(sound.failed) or never_learned:
        return comparison
    without = sound.comparison
    if without is None or len(sound.seeds) < LEAST_SEEDS:
        comparison = replace(comparison, not_worse_p=(1.0, 1.0))
    else:
        (a, b), (sound_a, sound_b) = comparison.not_worse_p, without.not_worse_p
        comparison = replace(comparison, not_worse_p=(max(a, sound_a), max(b, sound_b)))
    if comparison.call != "better" or (without and without.winner == comparison.winner):
        return comparison
    return replace(comparison, call="not shown", winner=None, reason="failed runs")


def failure_sentences(sound: SoundPair, a: str, b: str) -> str:
    """Say how many of the compared runs failed, and the difference without them; empty if none failed.

    Args:
        sound: the comparison without failed runs.
        a: title of side A.
        b: title of side B.
    """
    if not any(sound.failed):
        return ""
    sides, seeds = zip((a, b), sound.failed, strict=True), len(sound.seeds)
    said = [f"{failed_of(len(failed), len(sound.compared))} of {title} failed." for title, failed in sides if failed]
    if sound.comparison is None:
        said.append("No seed is left without a failed run.")
    elif seeds < LEAST_SEEDS:
        said.append(f"Without the failed runs {plural(seeds, 'seed')} can be compared; {LEAST_SEEDS} are needed.")
    else:
        without = describe(sound.comparison, a, b, seeds).difference
        said.append(f"Without the failed runs, on {seeds} seeds: {without}")
    return f" {' '.join(said)}"


def failed_of(failed: int, runs: int) -> str:
    """Write how many runs failed, with the interval of their share: "5 of 30 runs (95 % interval 6 to 35 %)"."""
    limits = " to ".join(percent(float(limit), 0) for limit in exact_interval(np.array(failed), runs))
    return f"{failed} of {plural(runs, 'run')} (95 % interval {limits} %)"
