"""Caveats are counted as they are said."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.results.load import Group
from analysis.results.run_folders import FinalRun
from analysis.results.study_json import Choices, Data, Range, Search, Session, Study
from analysis.verdict.caveats.counts import (
    FEW_IMAGES,
    AtEdge,
    BelowBaseline,
    CapShare,
    at_edges,
    beats_constant,
    capped_runs,
    constant_share,
    deciding_groups,
    has_added_seeds,
    other_groups,
    rare_answers,
    score_error,
    slow_calls,
    small_classes,
    trials_below_baseline,
    unseen_mishaps,
)

SPACE = {"lr": Range(low=1e-4, high=1e-2, log=True), "dropout": Range(low=0.0, high=0.7, log=False)}


def group(
    variant: str = "tuned",
    lr: float = 1e-3,
    dropout: float = 0.3,
    runs: tuple[tuple[str, int], ...] = (),
    same_as: str | None = None,
) -> dict[str, Group]:
    """One group with a run for each status and best epoch."""
    made = []
    for seed, (status, best_epoch) in enumerate(runs):
        metrics: dict[str, Any] = {"status": status, "best_epoch": best_epoch}
        made.append(FinalRun(f"a-{variant}", seed, metrics, pd.DataFrame(), np.empty(0), np.empty(0)))
    return {
        f"a-{variant}": Group(f"a-{variant}", "A", "a", variant, {"lr": lr, "dropout": dropout}, tuple(made), same_as)
    }


def test_a_run_is_capped_whose_best_epoch_lies_within_the_patience_of_the_cap() -> None:
    runs = (("COMPLETE", 50), ("COMPLETE", 46), ("COMPLETE", 45), ("STOPPED_EARLY", 12), ("DIVERGED", 49))
    assert capped_runs(group(runs=runs).values(), max_epochs=50, patience=5) == [CapShare("a", 5, 2)]
    assert capped_runs([], 50, 5) == []


def test_tuned_groups_decide_and_their_runs_count_once() -> None:
    tuned, baseline, same = group(), group("baseline"), group(same_as="a-baseline")
    assert deciding_groups(baseline | tuned) == [*tuned.values()]
    assert other_groups(baseline | tuned) == [*baseline.values()]
    assert deciding_groups(baseline) == [*baseline.values()]
    assert other_groups(baseline) == []
    assert deciding_groups(baseline | same) == [*same.values()]
    assert other_groups(baseline | same) == [], "these runs are the tuned ones"


@pytest.mark.parametrize(
    ("right", "is_said"),
    [
        ((50, 50, 50), True),
        ((40, 41, 42), True),
        ((50, 51, 100), True),  # on average better, but not shown to be
        ((80, 81, 82), False),
        ((50,), True),
        ((51,), False),
    ],
)
def test_what_one_answer_for_every_image_beats_is_said(right: tuple[int, ...], is_said: bool) -> None:
    labels = np.repeat([0, 1, 2], (50, 30, 20))
    made = []
    for seed, count in enumerate(right):
        answers = np.where(np.arange(100) < count, labels, (labels + 1) % 3)
        made.append(FinalRun("a-tuned", seed, {}, pd.DataFrame(), np.eye(3)[answers], labels))
    tuned = Group("a-tuned", "A", "a", "tuned", {}, tuple(made))
    assert beats_constant(tuned) != is_said
    assert constant_share(tuned) == 0.5


@pytest.mark.parametrize(
    ("lr", "dropout", "found"),
    [
        (1e-3, 0.3, []),
        # 5 % of the two decades from 1e-4 to 1e-2 are 0.1 of a decade.
        (10**-3.91, 0.3, [("lr", "low")]),
        (10**-3.89, 0.3, []),
        (10**-2.09, 0.3, [("lr", "high")]),
        (10**-2.11, 0.3, []),
        (0.02, 0.3, [("lr", "high")]),
        (0.0, 0.3, [("lr", "low")]),
        (1e-3, 0.67, [("dropout", "high")]),
        (1e-3, 0.66, []),
        (1e-3, 0.01, []),
        (1e-3, 0.0, []),
        (1e-2, 0.7, [("lr", "high"), ("dropout", "high")]),
    ],
)
def test_edges_of_the_range_on_its_own_scale(lr: float, dropout: float, found: list[tuple[str, str]]) -> None:
    assert [(edge.name, edge.edge) for edge in at_edges(group(lr=lr, dropout=dropout), {"a": SPACE})] == found


def test_an_edge_names_its_value_and_limit() -> None:
    assert at_edges(group(lr=9e-3), {"a": SPACE}) == [AtEdge("a", "lr", 9e-3, "high", 1e-2)]
    assert at_edges(group("baseline", lr=9e-3), {"a": SPACE}) == [], "nothing was chosen for a baseline"
    positive = {"lr": SPACE["lr"], "dropout": Range(low=0.1, high=0.7, log=False)}
    assert at_edges(group(dropout=0.1), {"a": positive}) == [AtEdge("a", "dropout", 0.1, "low", 0.1)]


def test_only_numeric_ranges_have_edges() -> None:
    made = group()
    config = {"width": 64, "pool": "max"}
    made = {name: replace(one, config=config) for name, one in made.items()}
    one = Range(low=64, high=64, log=True)
    assert at_edges(made, {"a": {"width": one}}) == [], "nor has a range of one value"
    space = {"width": Range(low=16, high=64, log=True), "pool": Choices(choices=["max", "mean"])}
    assert at_edges(made, {"a": space | SPACE, "b": {}}) == [AtEdge("a", "width", 64, "high", 64)]


def test_trials_below_the_baseline_trial() -> None:
    trials = pd.DataFrame(
        {
            "arch": ["a"] * 5 + ["b"] * 2 + ["c"],
            "val_accuracy": [0.5, 0.4, 0.5, 0.6, np.nan, np.nan, 0.9, 0.7],
            "is_baseline": [True, False, False, False, False, True, False, True],
        }
    )
    assert trials_below_baseline(trials, ["a", "b", "c", "d"]) == [BelowBaseline("a", 3, 1), BelowBaseline("c", 0, 0)]
    assert trials_below_baseline(pd.DataFrame(), ["a"]) == []


def test_classes_of_few_test_images() -> None:
    labels = np.repeat([0, 1, 2], [50, FEW_IMAGES - 1, FEW_IMAGES])
    run = FinalRun("a-tuned", 0, {}, pd.DataFrame(), np.empty(0), labels)
    groups = {"a-tuned": Group("a-tuned", "A", "a", "tuned", {}, (run,), None)}
    assert small_classes(groups, ["cat", "dog", "emu"]) == {"dog": FEW_IMAGES - 1}
    assert small_classes({}, ["cat", "dog", "emu"]) == {}


def test_classes_that_are_seldom_an_answer() -> None:
    def answering(*counts: int) -> FinalRun:
        logits = np.eye(3)[np.repeat([0, 1, 2], counts)]
        return FinalRun("a-tuned", 0, {}, pd.DataFrame(), logits, np.zeros(100, int))

    often, seldom, never = answering(80, 10, 10), answering(81, 10, 9), answering(50, 50, 0)
    for runs, found in (((often, often), []), ((often, seldom), ["A"]), ((never,), ["A"])):
        groups = {"a-tuned": Group("a-tuned", "A", "a", "tuned", {}, runs)}
        assert rare_answers(groups, 3) == found
    assert rare_answers({"a-tuned": replace(groups["a-tuned"], same_as="a-baseline")}, 3) == []


def test_calls_that_something_held_up() -> None:
    latency = {arch: {"latency_ms": {"p50": 2.0, "p99": p99}} for arch, p99 in (("a", 5.9), ("b", 8.0))}
    assert slow_calls(latency) == {"b": 4.0}
    assert slow_calls({}) == {}


def test_a_score_is_as_sure_as_its_images_allow() -> None:
    search, data = Search.model_construct(validation_fraction=0.1), Data.model_construct(n_train=1000)
    assert score_error(Study.model_construct(search=search, data=data)) == (100, 0.05)


def test_what_so_many_runs_may_all_have_been_spared() -> None:
    assert unseen_mishaps(5) == pytest.approx(0.4507, abs=1e-4)
    assert (1 - unseen_mishaps(10)) ** 10 == pytest.approx(0.05)


def test_seeds_that_a_resumed_session_added() -> None:
    none, ten = (Session(created="", command="", environment={}, added_seeds=added) for added in (0, 10))
    assert not has_added_seeds([])
    assert not has_added_seeds([none])
    assert has_added_seeds([ten, none])
