"""From comparisons to words: every comparison that a study makes, and the verdict."""

from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np

from analysis.results.files import without_nan
from analysis.results.load import Group, StudyResults
from analysis.statistics.comparison import CONFIDENCE, LEAST_PROBABILITY, LEAST_SEEDS, Comparison, compare, holm
from analysis.verdict.caveats import beats_constant
from study.errors import BadInput

TUNED_FAMILY = "tuned networks"
TUNING_FAMILY = "tuned against its baseline"


def make_comparisons(results: StudyResults) -> list[dict[str, Any]]:
    """Every pair of tuned networks, then each network tuned against its own baseline; Holm-adjusted within each.

    "Better" has to stand after the adjustment. A network whose tuned configuration is its baseline is not compared
    with itself, nor are two groups that have no seed in common.

    Raises:
        BadInput: if two groups were judged on different test images.
    """
    tuned = [group for group in results.groups.values() if group.variant == "tuned"]
    against_baseline = [
        (group, results.groups[f"{group.arch}-baseline"])
        for group in tuned
        if not group.same_as and f"{group.arch}-baseline" in results.groups
    ]
    families = {TUNED_FAMILY: list(combinations(tuned, 2)), TUNING_FAMILY: against_baseline}
    made = []
    for family, pairs in families.items():
        paired = [(a, b, seeds) for a, b in pairs if (seeds := sorted(set(a.seeds) & set(b.seeds)))]
        compared = [compare(*_correct(a, b, seeds)) for a, b, seeds in paired]
        # One seed gives no p value.
        adjusted = iter(holm([one.p_value for one in compared if not np.isnan(one.p_value)]))
        for (a, b, seeds), comparison in zip(paired, compared, strict=True):
            holm_p = None if np.isnan(comparison.p_value) else next(adjusted)
            made.append({"family": family} | _row(a, b, seeds, comparison, holm_p, results.architectures))
    return made


def make_verdict(results: StudyResults, comparisons: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The one primary comparison, tuned against tuned; None with other than two architectures."""
    primary = [row for row in comparisons if row["family"] == TUNED_FAMILY]
    if len(results.architectures) != 2 or len(primary) != 1:
        return None
    (row,) = primary
    winner = None if row["winner"] is None else results.groups[row["winner"]].arch
    scope = f" This speaks of these two configurations and these {results.study['data']['n_train']:,} training images"
    scope += "." if len(row["seeds"]) == 1 else "; the interval covers fresh seeds and fresh test images."
    keys = ("a", "b", "call", "difference", "p_value", "sign_flip_p", "smallest_p", "prob_better", "margin", "seeds")
    planned = results.study["config"]["seeds"]
    so_far = f" So far: {len(row['seeds'])} of the {planned} planned seeds." if len(row["seeds"]) < planned else ""
    text = row["text"] + so_far + _order_at_equal_epochs(results) + scope
    return {"winner": winner} | {key: row[key] for key in keys} | {"planned_seeds": planned, "text": text}


def overall_winner(results: StudyResults, comparisons: list[dict[str, Any]]) -> str | None:
    """The architecture that is better, tuned, than each of the others, on every planned seed; None if none is."""
    planned = results.study["config"]["seeds"]
    primary = [row for row in comparisons if row["family"] == TUNED_FAMILY and len(row["seeds"]) >= planned]
    for arch in results.architectures:
        wins = sum(row["winner"] == f"{arch}-tuned" for row in primary)
        if wins == len(results.architectures) - 1 > 0:
            return arch
    return None


def _correct(a: Group, b: Group, seeds: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Which test images each group classifies rightly with these seeds, bool [seeds, images]."""
    if not np.array_equal(a.labels, b.labels):
        raise BadInput(f"{a.name} and {b.name} were judged on different test images and cannot be compared")
    correct_a, correct_b = (group.correct()[[group.seeds.index(seed) for seed in seeds]] for group in (a, b))
    return correct_a, correct_b


def _row(
    a: Group, b: Group, seeds: list[int], comparison: Comparison, holm_p: float | None, titles: dict[str, str]
) -> dict[str, Any]:
    if comparison.call == "better" and holm_p is not None and holm_p >= 1 - CONFIDENCE:
        comparison = replace(comparison, call="not shown", winner=None, reason="several comparisons")
    if comparison.call == "equivalent" and not (beats_constant(a) or beats_constant(b)):
        comparison = replace(comparison, call="not shown", reason="nothing learned")
    correct_a, correct_b = _correct(a, b, seeds)
    winner = {"a": a.name, "b": b.name, None: None}[comparison.winner]
    side_a, side_b = (f"{titles[group.arch]} ({group.variant})" for group in (a, b))
    row = {
        "a": a.name,
        "b": b.name,
        "winner": winner,
        "call": comparison.call,
        "reason": comparison.reason or None,
        "difference": {"mean": comparison.mean, "ci95": list(comparison.ci95)},
        "p_value": comparison.p_value,
        "holm_p": holm_p,
        "sign_flip_p": comparison.sign_flip_p,
        "smallest_p": comparison.smallest_p,
        "prob_better": comparison.prob_better,
        "margin": comparison.margin,
        "seeds": seeds,
        "seeds_left_out": sorted(set(a.seeds) ^ set(b.seeds)),
        "seed_correlation": _correlation(correct_a.mean(axis=1), correct_b.mean(axis=1)),
        "text": describe(comparison, side_a, side_b, len(seeds)) + _diverged({side_a: a, side_b: b}, seeds),
    }
    return dict(without_nan(row))


def describe(comparison: Comparison, a: str, b: str, n_seeds: int) -> str:
    """A comparison in one or two sentences; `a` and `b` are the titles of its sides."""
    ahead, behind = (a, b) if comparison.mean >= 0 else (b, a)
    wins = comparison.prob_better if comparison.mean >= 0 else 1 - comparison.prob_better
    points = f"{_points(abs(comparison.mean), comparison.margin)} percentage points"
    margin = f"{100 * comparison.margin:g} percentage points"
    interval = _interval(comparison)
    lead = f"{ahead} is {points} ahead" if comparison.mean else "both are equally accurate"
    match comparison.call, comparison.reason:
        case "better", _:
            return (
                f"{ahead} is better than {behind}: by {points} of test accuracy{interval};"
                f" it wins {100 * wins:.0f} % of the paired runs."
            )
        case "equivalent", _:
            return f"{a} and {b} are equivalent: they differ by {points} of test accuracy{interval}, within {margin}."
        case _, "few seeds":
            seeds = "1 seed" if n_seeds == 1 else f"{n_seeds} seeds"
            return (
                f"No difference is shown between {a} and {b}: {seeds} cannot show one, it takes at least {LEAST_SEEDS}."
                f" In these runs {lead}{interval}."
            )
        case _, "below the margin":
            return (
                f"No difference that matters is shown between {a} and {b}: {ahead} is {points} ahead{interval},"
                f" less than the margin of {margin}, but the interval reaches beyond it."
            )
        case _, "wins too few runs":
            return (
                f"{ahead} is higher on average than {behind}, by {points} of test accuracy{interval}, but its runs win"
                f" only {100 * wins:.0f} %, less than {100 * LEAST_PROBABILITY:.0f} %: no difference is shown."
            )
        case _, "several comparisons":
            return (
                f"No difference is shown between {a} and {b}: {ahead} is {points} ahead{interval}, but of several"
                f" comparisons one so clear is found too easily by chance (Holm)."
            )
        case _, "nothing learned":
            return (
                f"No difference is shown between {a} and {b}: they differ by {points} of test accuracy{interval}, but"
                " neither is shown to be better than giving every image the same answer."
            )
    return (
        f"No difference is shown between {a} and {b}: {lead}{interval}, and the interval includes 0."
        + _seeds_needed(comparison, ahead, wins)
    )


def _points(advantage: float, margin: float) -> str:
    """Percentage points, with two decimals or as many as show on which side of 0 and of the margin they lie."""
    for decimals in range(2, 12):
        shown = f"{100 * advantage:.{decimals}f}"
        if (float(shown) > 0) == (advantage > 0) and (float(shown) < 100 * margin) == (advantage < margin):
            break
    return shown


def _interval(comparison: Comparison) -> str:
    """The interval of the leader's advantage, in percentage points."""
    low, high = comparison.ci95
    if np.isnan(low):
        return ""
    if comparison.mean < 0:
        low, high = -high, -low
    return f" (95 % interval {100 * low:.2f} to {100 * high:.2f})"


def _seeds_needed(comparison: Comparison, ahead: str, wins: float) -> str:
    if comparison.mean == 0:
        return ""
    if comparison.seeds_needed is None:
        return (
            " If the difference is as large as it looks, no number of seeds would show it on so few test images; with"
            f" very many seeds it takes about {float(f'{comparison.images_needed:.2g}'):,.0f} of them."
        )
    # Where the half-width to be expected is the difference, every other interval reaches beyond 0.
    chance = f"it takes {comparison.seeds_needed} seeds for an even chance that the interval excludes 0"
    if abs(comparison.mean) < comparison.margin:
        return f" If the difference is as small as it looks, {chance}, and then it is not one that matters."
    if wins < LEAST_PROBABILITY:
        return (
            f" If the difference is as large as it looks, {chance}; but {ahead} wins only {100 * wins:.0f} % of the"
            f" paired runs, and at less than {100 * LEAST_PROBABILITY:.0f} % it is not called better."
        )
    return f" If the difference is as large as it looks, {chance}."


def _diverged(sides: dict[str, Group], seeds: list[int]) -> str:
    """A sentence for each side of which compared runs diverged."""
    sentences = ""
    for title, group in sides.items():
        diverged = sum(run.metrics["status"] == "DIVERGED" for run in group.runs if run.seed in seeds)
        if diverged:
            runs = f"{diverged} of the {len(seeds)} runs" if len(seeds) > 1 else "The run"
            sentences += f" {runs} of {title} diverged and {'count' if diverged > 1 else 'counts'} all the same."
    return sentences


def _correlation(a: np.ndarray, b: np.ndarray) -> float | None:
    """Pearson correlation over seeds; None where it is not defined."""
    if len(a) < 3 or min(np.ptp(a), np.ptp(b)) < 1e-12:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def _order_at_equal_epochs(results: StudyResults) -> str:
    """A sentence if the order of best search scores changes at the smaller search's total of epochs."""
    if not len(results.history):
        return ""
    totals = results.history.groupby("arch").size()
    if len(totals) != 2:
        return ""
    a, b = results.architectures
    cut = int(totals.min())
    whole, equal = ({arch: best_score_within(results, arch, epochs) for arch in (a, b)} for epochs in (None, cut))
    if None in whole.values() or None in equal.values():
        return ""
    whole_a, whole_b, equal_a, equal_b = (scores[arch] or 0.0 for scores in (whole, equal) for arch in (a, b))
    if np.sign(whole_a - whole_b) == np.sign(equal_a - equal_b):
        return ""
    title_a, title_b = results.architectures.values()
    return (
        f" The searches of {title_a} and {title_b} spent {totals[a]} and {totals[b]} epochs; after {cut} each, their"
        f" best validation scores stood otherwise: {100 * equal_a:.2f} and {100 * equal_b:.2f} %, in the end"
        f" {100 * whole_a:.2f} and {100 * whole_b:.2f} %."
    )


def best_score_within(results: StudyResults, arch: str, epochs: int | None) -> float | None:
    """Highest score that any trial of the architecture had within its first so many epochs, in order of arrival."""
    history = results.history[results.history["arch"] == arch].iloc[:epochs]
    kept = history.dropna(subset=["val_loss"]).sort_values(["val_loss", "epoch"]).groupby("trial_id").first()
    return float(kept["val_accuracy"].max()) if len(kept) else None
