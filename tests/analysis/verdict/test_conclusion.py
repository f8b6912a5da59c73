"""Tests the sentences at the top of a report, for each way in which a study may end."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from analysis.results.load import Group, StudyResults, load_results
from analysis.verdict.summary import summarise
from tests.analysis.example_study import TITLES, write_example
from tests.analysis.example_study_json import with_config, with_leads

NONE = "No network is shown to be more accurate than every other"
GIVEN = " for these configurations"
THREE = {"one": "One", "two": "Two", "three": "Three"}
PRICE = (
    "AlexNet takes 1.9 times as long as MobileNet-like for one image on this study's CPU and has 460 times as many"
    " parameters."
)

Study = Callable[..., StudyResults]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Return a function that gives a study of six seeds, in which no run was cut short."""

    @cache
    def written(titles: tuple[tuple[str, str], ...], search: bool) -> StudyResults:
        path = tmp_path_factory.mktemp("conclusion") / "study"
        results = load_results(write_example(path, titles=dict(titles), search=search, seeds=6))
        return changed(results, list(results.groups), 2)

    return lambda titles=TITLES, search=True: written(tuple(titles.items()), search)


def changed(results: StudyResults, names: list[str], best_epoch: int) -> StudyResults:
    """Return the study with the best epoch of some groups' runs, and a configuration inside the search range."""
    groups = {name: _ending(group, best_epoch) if name in names else group for name, group in results.groups.items()}
    return replace(results, groups=groups)


def _ending(group: Group, best_epoch: int) -> Group:
    runs = tuple(replace(run, metrics=run.metrics | {"best_epoch": best_epoch}) for run in group.runs)
    return replace(group, runs=runs, config={"lr": 1e-3, "dropout": 0.3})


def with_seeds(results: StudyResults, count: int) -> StudyResults:
    groups = {name: replace(group, runs=group.runs[:count]) for name, group in results.groups.items()}
    return replace(results, groups=groups, study=with_config(results.study, seeds=count))


def accurate(results: StudyResults, n_images: int = 2000, **accuracies: float) -> StudyResults:
    """Return the study with runs of these accuracies, which differ in the images that they get wrong."""
    rng, labels = np.random.default_rng(0), np.arange(n_images) % 10
    difficulty, groups = rng.random(n_images), {}
    for name, group in results.groups.items():
        runs = []
        for run in group.runs:
            rank = np.argsort(np.argsort(difficulty + 0.1 * rng.random(n_images)))
            answers = np.where(rank < accuracies[group.arch] * n_images, labels, (labels + 1) % 10)
            runs.append(replace(run, labels=labels, logits=np.eye(10, dtype=np.float32)[answers]))
        groups[name] = replace(group, runs=tuple(runs))
    return replace(results, groups=groups)


def test_better(study: Study) -> None:
    summary = summarise(accurate(study(), alexnet=0.92, mobilenet=0.8))
    assert (summary.call, summary.label) == ("better", "better")
    assert summary.headline == "AlexNet is more accurate than MobileNet-like for these two configurations."
    assert summary.accuracies == (
        "Test accuracy: AlexNet 92 %, MobileNet-like 80 %. AlexNet is 12 percentage points ahead (95 % interval 11 to"
        " 13)."
    )
    assert summary.price == PRICE
    assert summary.doubt == []


def test_better_but_cut_short(study: Study) -> None:
    summary = summarise(accurate(changed(study(), ["mobilenet-tuned"], 8), alexnet=0.97, mobilenet=0.65))
    assert summary.label == "better, but training was cut short"
    assert summary.headline == "AlexNet is more accurate than MobileNet-like for these two configurations."
    assert summary.doubt == [
        "The cap of 8 epochs ended 6 of 12 (50 %) tuned runs while they could still improve (MobileNet-like: 6 of 6)."
        " Longer training may change the result."
    ]
    assert summary.caveats[0].text == summary.doubt[0]


def test_equivalent(study: Study) -> None:
    summary = summarise(with_leads(study(), {"alexnet-tuned": 1}, 5000))
    assert summary.label == "equivalent"
    assert summary.headline == "AlexNet and MobileNet-like are equivalent in accuracy for these two configurations."
    assert summary.accuracies == (
        "Test accuracy: AlexNet 90.02 %, MobileNet-like 90.00 %. AlexNet is 0.02 percentage points ahead (95 % interval"
        " \N{MINUS SIGN}0.07 to 0.11). The whole interval is within the margin of 0.5 percentage points."
    )
    assert summary.price == PRICE


def test_none_shown(study: Study) -> None:
    unmeasured = replace(study(), latency={})
    summary = summarise(accurate(unmeasured, 1000, alexnet=0.9, mobilenet=0.904))
    assert summary.label == "not shown"
    assert summary.headline == "No difference in accuracy is shown between AlexNet and MobileNet-like."
    assert summary.accuracies is not None
    assert summary.accuracies.startswith("Test accuracy: MobileNet-like 90.4 %, AlexNet 90.0 %. MobileNet-like is 0.4 ")
    assert summary.accuracies.endswith(", and the interval includes 0.")
    assert summary.price == "AlexNet has 460 times as many parameters as MobileNet-like."


def test_few_seeds(study: Study) -> None:
    cut = changed(with_seeds(study(), 3), ["mobilenet-tuned"], 8)
    summary = summarise(accurate(cut, alexnet=0.97, mobilenet=0.65))
    assert summary.label == "not shown, because there are too few seeds"
    assert (
        summary.headline
        == "No difference in accuracy is shown between AlexNet and MobileNet-like: 3 seeds cannot show one."
    )
    assert [doubt.partition(".")[0] for doubt in summary.doubt] == [
        "3 seeds are too few to show a difference",
        "The cap of 8 epochs ended 3 of 6 (50 %) tuned runs while they could still improve (MobileNet-like: 3 of 3)",
    ]


def test_one_seed_has_no_interval(study: Study) -> None:
    summary = summarise(accurate(with_seeds(study(), 1), alexnet=0.9, mobilenet=0.8))
    assert summary.accuracies == (
        "Test accuracy: AlexNet 90.0 %, MobileNet-like 80.0 %. AlexNet is 10.0 percentage points ahead."
    )


@pytest.mark.parametrize(
    ("third", "label", "headline", "ahead", "cost"),
    [
        (
            0.9,
            "better",
            "One is more accurate than each of the others for these configurations.",
            "One and Two. One is 4.9",
            "1.9",
        ),
        (0.948, "not shown", f"{NONE} on all planned seeds.", "One and Three. One is 0.2", "21"),
    ],
)
def test_three_networks(study: Study, third: float, label: str, headline: str, ahead: str, cost: str) -> None:
    summary = summarise(accurate(study(THREE), one=0.95, two=0.901, three=third))
    assert (summary.label, summary.headline, summary.verdict) == (label, headline, None)
    assert summary.accuracies is not None
    assert f" The two best are {ahead}" in summary.accuracies
    assert all(f"{title} 9" in summary.accuracies for title in THREE.values())
    assert summary.price is not None
    assert summary.price.startswith(f"One takes {cost} times as long as ")


def test_three_networks_that_are_equivalent(study: Study) -> None:
    summary = summarise(with_leads(study(THREE), {}, 5000))
    assert (summary.label, summary.headline) == (
        "equivalent",
        f"One, Two and Three are equivalent in accuracy{GIVEN}.",
    )


def test_baselines_only(study: Study) -> None:
    summary = summarise(accurate(study(search=False), alexnet=0.97, mobilenet=0.65))
    assert (summary.label, summary.headline) == (None, "There is no verdict: nothing was tuned.")
    assert summary.accuracies == (
        "Baseline test accuracy: AlexNet 97.0 % (95 % interval 96.4 to 97.5), MobileNet-like 65 % (95 % interval 63 to"
        " 67)."
    )
    assert summary.price == PRICE


def test_one_network(study: Study) -> None:
    summary = summarise(accurate(study({"alexnet": "AlexNet"}), alexnet=0.97))
    assert (summary.label, summary.headline) == (None, "There is no verdict with 1 network.")
    assert summary.accuracies == "Test accuracy: AlexNet 97.0 % (95 % interval 96.4 to 97.5)."
    assert summary.price is None


def test_nothing_learned(study: Study) -> None:
    answers = np.eye(10, dtype=np.float32)[np.zeros(1000, int)]
    groups = {
        name: replace(group, runs=tuple(replace(run, logits=answers) for run in group.runs))
        for name, group in with_leads(study(), {}).groups.items()
    }
    summary = summarise(replace(study(), groups=groups))
    assert summary.label == "not shown, but AlexNet and MobileNet-like may have learned nothing"
    assert summary.headline is not None
    assert summary.headline.endswith("neither is shown to beat the same answer for every image.")
    assert summary.doubt == [
        "AlexNet and MobileNet-like may have learned nothing. They are not shown to beat the same answer for every"
        " image, which is right for 10.0 % of the images."
    ]


def test_better_only_because_runs_failed(study: Study) -> None:
    results = accurate(study(), alexnet=0.92, mobilenet=0.8)
    group = results.groups["mobilenet-tuned"]
    guessing = tuple(replace(run, logits=run.logits * 0) for run in group.runs[:5])
    failing = replace(results, groups=results.groups | {group.name: replace(group, runs=(*guessing, *group.runs[5:]))})
    summary = summarise(failing)
    assert summary.label == "not shown, because some runs failed"
    assert summary.headline == (
        "No difference in accuracy is shown between AlexNet and MobileNet-like: without the failed runs AlexNet is not"
        " shown to be more accurate."
    )
    assert summary.accuracies is not None
    assert summary.accuracies.endswith(
        " 5 of 6 runs (95 % interval 36 to 100 %) of MobileNet-like failed. Without the failed runs 1 seed can be"
        " compared; 5 are needed."
    )
    assert summary.doubt[0] == (
        "Some tuned runs failed: 5 of 6 runs (95 % interval 36 to 100 %) of MobileNet-like. They diverged, or are not"
        " shown to beat guessing. They count with their best finite weights."
    )
    learned = summary.groups[group.name].learned
    assert summary.groups[group.name].failed_seeds == [0, 1, 2, 3, 4]
    assert learned is not None and learned.share == pytest.approx(1 / 6)
    assert summary.groups["alexnet-tuned"].failed_seeds == []


def test_without_a_run_there_is_nothing_to_say(study: Study) -> None:
    summary = summarise(replace(study(), groups={}))
    assert summary.headline == "There is no verdict: final runs of both tuned networks are needed."
    assert (summary.accuracies, summary.price, summary.doubt) == (None, None, [])


def test_accuracies_are_of_the_seeds_that_are_compared(study: Study) -> None:
    results = accurate(study(), alexnet=0.9, mobilenet=0.8)
    group, other = results.groups["alexnet-tuned"], results.groups["mobilenet-tuned"]
    wrong = replace(group.runs[5], logits=np.roll(group.runs[5].logits, 1, axis=1))
    groups: Mapping[str, Any] = {
        group.name: replace(group, runs=(*group.runs[:5], wrong)),
        other.name: replace(other, runs=other.runs[:5]),
    }
    summary = summarise(replace(results, groups=results.groups | groups))
    assert summary.accuracies is not None
    assert summary.accuracies.startswith("Test accuracy: AlexNet 90 %, MobileNet-like 80 %.")
    assert summary.label == "better, but some seeds are not there yet"
