"""Each limit of a verdict has a grade, which may depend on who won."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from analysis.results.load import StudyResults, load_results
from analysis.verdict.caveats.sentences import caveats
from analysis.verdict.comparisons import TUNED_FAMILY
from analysis.verdict.summary import summarise
from analysis.verdict.summary_json import Grade
from tests.analysis.example_study import write_example
from tests.analysis.example_study_json import with_config, with_leads

OVERTURNS, WEAKENS, INFORMS = Grade


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyResults:
    """Return a study of six seeds whose runs all stopped early."""
    results = load_results(write_example(tmp_path_factory.mktemp("sentences") / "study", seeds=6))
    return ending_at(with_leads(results, {}), {name: [2] * 6 for name in results.groups})


def ending_at(results: StudyResults, best_epochs: Mapping[str, list[int]]) -> StudyResults:
    """Return the study with these best epochs of a group's runs; the cap is 8 and the patience 5."""
    groups = dict(results.groups)
    for name, epochs in best_epochs.items():
        pairs = zip(groups[name].runs, epochs, strict=True)
        runs = tuple(replace(run, metrics=run.metrics | {"best_epoch": epoch}) for run, epoch in pairs)
        groups[name] = replace(groups[name], runs=runs)
    return replace(results, groups=groups)


def tuned_at(results: StudyResults, arch: str, lr: float) -> StudyResults:
    group = results.groups[f"{arch}-tuned"]
    changed = replace(group, config=group.config | {"lr": lr, "dropout": 0.3})
    return replace(results, groups=results.groups | {group.name: changed})


def grade(results: StudyResults, part: str, winner: str | None = None) -> Grade | None:
    """Return the grade of the only limit that holds these words; None if there is none."""
    found = [limit.grade for limit in caveats(results, winner) if part in limit.text]
    assert len(found) <= 1
    return found[0] if found else None


@pytest.mark.parametrize(
    ("capped", "winner", "expected"),
    [
        ({"mobilenet-tuned": 6}, "alexnet", OVERTURNS),
        ({"mobilenet-tuned": 6}, "mobilenet", WEAKENS),
        ({"mobilenet-tuned": 6}, None, OVERTURNS),
        ({"mobilenet-tuned": 3}, "alexnet", OVERTURNS),
        ({"mobilenet-tuned": 2}, "alexnet", WEAKENS),
        ({"alexnet-baseline": 6}, "alexnet", None),
    ],
)
def test_a_cap_is_grave_if_the_other_network_might_catch_up(
    study: StudyResults, capped: dict[str, int], winner: str | None, expected: Grade | None
) -> None:
    cut = ending_at(study, {name: [8] * count + [2] * (6 - count) for name, count in capped.items()})
    assert grade(cut, "tuned runs while they could still improve", winner) == expected
    is_baseline = "alexnet-baseline" in capped
    assert grade(cut, "6 of 12 (50 %) baseline runs", winner) == (WEAKENS if is_baseline else None)
    assert grade(cut, "ended no final run") is None
    assert grade(study, "ended no final run") == INFORMS


@pytest.mark.parametrize(("winner", "expected"), [("alexnet", OVERTURNS), ("mobilenet", WEAKENS), (None, OVERTURNS)])
def test_an_edge_is_grave_if_the_other_network_might_catch_up(
    study: StudyResults, winner: str | None, expected: Grade
) -> None:
    inside = tuned_at(tuned_at(study, "alexnet", 1e-3), "mobilenet", 1e-3)
    assert grade(inside, "outside the search range", winner) is None
    assert grade(tuned_at(inside, "mobilenet", 1e-2), "outside the search range", winner) == expected


def test_seeds_that_are_few_or_missing_are_grave_if_networks_are_compared(study: StudyResults) -> None:
    few = replace(study, study=with_config(study.study, seeds=4))
    assert grade(few, "4 seeds are too few") == OVERTURNS
    assert grade(study, "too few") is None
    alone = replace(few, study=with_config(few.study, baseline=True))
    assert grade(alone, "too few") is None
    more = replace(study, study=with_config(study.study, seeds=7))
    assert grade(more, "Some planned seeds") == OVERTURNS
    assert grade(replace(more, study=with_config(more.study, baseline=True)), "Some planned seeds") == WEAKENS
    baseline = study.groups["alexnet-baseline"]
    short = replace(study, groups=study.groups | {baseline.name: replace(baseline, runs=baseline.runs[1:])})
    assert grade(short, "Some planned seeds") == WEAKENS, "these seeds do not decide"


@pytest.mark.parametrize(("variant", "expected"), [("tuned", OVERTURNS), ("baseline", WEAKENS)])
def test_a_network_that_learned_nothing_is_grave_if_it_decides(
    study: StudyResults, variant: str, expected: Grade
) -> None:
    group = study.groups[f"mobilenet-{variant}"]
    runs = tuple(replace(run, logits=run.logits[:, ::-1] * 0) for run in group.runs)
    changed = replace(study, groups=study.groups | {group.name: replace(group, runs=runs)})
    assert grade(changed, "may have learned nothing. It is", "alexnet") == expected


def test_runs_that_failed_weaken_a_result(study: StudyResults) -> None:
    group = study.groups["alexnet-tuned"]
    runs = (replace(group.runs[0], metrics=group.runs[0].metrics | {"status": "DIVERGED"}), *group.runs[1:])
    changed = replace(study, groups=study.groups | {group.name: replace(group, runs=runs)})
    assert grade(changed, "Some tuned runs failed: 1 of 6 runs (95 % interval 0 to 64 %) of AlexNet.") == WEAKENS
    assert grade(study, "failed") is None
    assert grade(study, "cannot rule out that up to 39 %") == WEAKENS
    assert grade(changed, "cannot rule out") is None


def test_a_small_test_set_weakens_only_what_may_be_equivalent(study: StudyResults) -> None:
    small = with_leads(study, {}, 600)
    assert grade(small, "can be called equivalent") == WEAKENS
    assert grade(small, "can be called equivalent", "alexnet") == INFORMS


def test_what_the_check_of_a_network_noticed_is_for_information(study: StudyResults) -> None:
    arch, network = next(iter(study.study.architectures.items()))
    noted = network.model_copy(update={"notes": ["shrinks its feature maps to 1x1 early"]})
    described = study.study.model_copy(update={"architectures": study.study.architectures | {arch: noted}})
    (note,) = [caveat for caveat in caveats(replace(study, study=described), None) if "shrinks" in caveat.text]
    assert note.text == f"{network.title} shrinks its feature maps to 1x1 early."
    assert note.grade == Grade.FOR_INFORMATION


def test_the_gravest_come_first(study: StudyResults) -> None:
    limits = caveats(ending_at(study, {"mobilenet-tuned": [8] * 6}), "alexnet")
    grades = [limit.grade for limit in limits]
    assert grades == sorted(grades, key=list(Grade).index)
    assert set(grades) == set(Grade)
    assert [limit.label for limit in limits if limit.grade == OVERTURNS] == ["but training was cut short"]
    assert not any(limit.label for limit in limits if limit.grade != OVERTURNS)


@pytest.mark.parametrize(
    ("call", "interval", "expected"),
    [
        ("better", (0.002, 0.08), "begins at 0.2 points, and less than 0.5 does not matter"),
        ("better", (-0.08, -0.004), "begins at 0.4 points"),
        ("better", (0.006, 0.08), None),
        ("not shown", (-0.002, 0.08), None),
    ],
)
def test_a_difference_that_may_be_too_small_weakens_the_result(
    study: StudyResults, call: str, interval: tuple[float, float], expected: str | None
) -> None:
    row = next(row for row in summarise(study).comparisons if row.family == TUNED_FAMILY)
    difference = row.difference.model_copy(update={"ci95": interval})
    changed = row.model_copy(update={"call": call, "difference": difference})
    found = [limit for limit in caveats(study, "alexnet", changed) if "too small to matter" in limit.text]
    assert [limit.grade for limit in found] == [WEAKENS] * (expected is not None)
    assert all(str(expected) in limit.text for limit in found)


def test_a_small_margin_is_not_rounded_away(study: StudyResults) -> None:
    row = next(row for row in summarise(study).comparisons if row.family == TUNED_FAMILY)
    difference = row.difference.model_copy(update={"ci95": (0.0004, 0.002)})
    changed = row.model_copy(update={"call": "better", "difference": difference, "margin": 0.0008})
    (found,) = [limit for limit in caveats(study, "alexnet", changed) if "too small to matter" in limit.text]
    assert "begins at 0.04 points, and less than 0.08 does not matter" in found.text


@pytest.mark.parametrize(("steps", "is_capped"), [(11 * 8 + 1, True), (11 * 8, False), (11 * 7, False)])
def test_within_the_steps_of_grace_only_the_cap_ends_a_run(study: StudyResults, steps: int, is_capped: bool) -> None:
    """An epoch has 11 steps, the cap is 8 epochs, and the best epoch was the first.

    If patience may end a run from epoch 8 on, the run would have ended there without the cap too.
    """
    images = study.study.data.model_copy(update={"n_train": 1173})
    search = study.study.search.model_copy(update={"batch_size": 96, "validation_fraction": 0.1})
    told = with_config(study.study, grace_steps=steps).model_copy(update={"data": images, "search": search})
    early = {name: [1] * 6 for name in study.groups}
    limits = [limit.text for limit in caveats(replace(ending_at(study, early), study=told), None)]
    assert any("while they could still improve" in text for text in limits) == is_capped
    assert any("ended no final run that could still improve" in text for text in limits) != is_capped


def test_a_margin_of_a_single_image_is_said(study: StudyResults) -> None:
    told = with_config(study.study, margin=None, margin_of_errors=None)
    perfect = replace(study, study=told, trials=study.trials.assign(val_accuracy=1.0), confirmations=())
    assert grade(with_leads(perfect, {}, 600), "because the margin is a single test image") == WEAKENS
