"""The Pareto front allows for the uncertainty of accuracy."""

from pathlib import Path

from analysis.figures.pareto import pareto_front, shown_better
from analysis.results.load import load_results
from tests.analysis.example_study import write_example


def test_a_group_leaves_the_front_only_if_one_that_is_no_dearer_is_shown_better() -> None:
    costs = {"cheap": 1.0, "same": 1.0, "dear": 2.0}
    assert pareto_front(costs, set()) == ["cheap", "same", "dear"]
    assert pareto_front(costs, {("dear", "cheap")}) == ["cheap", "same", "dear"]
    assert pareto_front(costs, {("cheap", "dear")}) == ["cheap", "same"]
    assert pareto_front(costs, {("same", "cheap"), ("same", "dear")}) == ["same"]
    assert pareto_front({}, set()) == []


def test_groups_are_shown_better_by_their_comparison(tmp_path: Path) -> None:
    titles = {"a": "A", "b": "B", "c": "C"}
    study = {"titles": titles, "n_test": 3000, "search": False}
    results = load_results(write_example(tmp_path / "s", seeds=6, **study))  # type: ignore[arg-type]
    means = {name: group.correct().mean() for name, group in results.groups.items()}
    better = shown_better(results, list(results.groups))
    assert ("a-baseline", "c-baseline") in better
    assert all(means[one] > means[other] for one, other in better)
    few = load_results(write_example(tmp_path / "few", seeds=3, **study))  # type: ignore[arg-type]
    assert shown_better(few, list(few.groups)) == set(), "3 seeds show nothing"
