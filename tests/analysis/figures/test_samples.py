"""The images that a report shows are chosen by rule."""

import numpy as np
import pandas as pd
import pytest

from analysis.figures.samples import KINDS, choose_positions, judged_networks
from analysis.results.load import Group
from analysis.results.run_folders import FinalRun

LABELS = np.array([0, 0, 1, 1, 2, 2])


def group(arch: str, variant: str, answers: dict[int, tuple[list[int], list[float]]]) -> Group:
    """A group that gives, by seed, to each image this class with so large a logit over 0 for the others."""
    runs = []
    for seed, (said, margins) in answers.items():
        logits = np.zeros((len(LABELS), 3), np.float32)
        logits[np.arange(len(LABELS)), said] = margins
        runs.append(FinalRun(f"{arch}-{variant}", seed, {}, pd.DataFrame(), logits, LABELS))
    return Group(f"{arch}-{variant}", arch, arch, variant, {}, tuple(runs))


def named(*groups: Group) -> dict[str, Group]:
    return {one.name: one for one in groups}


A = group("a", "tuned", {0: ([0, 0, 1, 1, 2, 0], [3, 3, 3, 3, 3, 2])})
B = group("b", "tuned", {0: ([0, 0, 1, 0, 1, 0], [3, 3, 3, 5, 4, 1])})


def test_right_images_go_through_the_classes() -> None:
    chosen = choose_positions(named(A, B))
    assert list(chosen) == list(KINDS)
    assert chosen["right"].tolist() == [0, 2, 1]


def test_wrong_images_come_by_the_confidence_of_the_wrong_answer() -> None:
    assert choose_positions(named(A, B))["confidently wrong"].tolist() == [3, 4, 5]


def test_disagreements_come_by_the_confidence_of_the_least_sure_network() -> None:
    # Position 5 is no disagreement: both are wrong in the same way. 3 and 4 tie at a margin of 3, in order.
    assert choose_positions(named(A, B))["disagreement"].tolist() == [3, 4]


def test_one_network_never_disagrees() -> None:
    chosen = choose_positions(named(A))
    assert chosen["disagreement"].size == 0
    assert chosen["confidently wrong"].tolist() == [5]


def test_at_most_so_many_of_a_kind() -> None:
    assert [len(positions) for positions in choose_positions(named(A, B), per_kind=1).values()] == [1, 1, 1]


def test_the_tuned_network_speaks_for_its_architecture_else_the_baseline() -> None:
    baseline_a, baseline_b = group("a", "baseline", {}), group("b", "baseline", {})
    assert judged_networks(named(baseline_a, A, baseline_b)) == {"a": A, "b": baseline_b}


def test_the_lowest_common_seed_is_judged() -> None:
    wrong = ([1, 1, 0, 0, 0, 1], [1.0] * 6)
    right = (LABELS.tolist(), [1.0] * 6)
    a = group("a", "tuned", {0: wrong, 2: right, 3: wrong})
    b = group("b", "tuned", {2: right, 3: wrong})
    chosen = choose_positions(named(a, b))
    assert chosen["right"].tolist() == [0, 2, 4, 1, 3, 5]
    assert chosen["confidently wrong"].size == 0


@pytest.mark.parametrize("groups", [{}, named(A, group("b", "tuned", {7: (LABELS.tolist(), [1.0] * 6)}))])
def test_nothing_is_chosen_without_a_common_seed(groups: dict[str, Group]) -> None:
    assert all(positions.size == 0 and positions.dtype == np.int64 for positions in choose_positions(groups).values())


def test_different_test_images_are_refused() -> None:
    run = B.runs[0]
    other = Group(
        "b-tuned", "b", "b", "tuned", {}, (FinalRun("b-tuned", 0, {}, run.history, run.logits, LABELS[::-1]),)
    )
    with pytest.raises(ValueError, match="different test images"):
        choose_positions(named(A, other))
