"""Studies that choose their number of seeds by looks: when they stop, and the level of what they report."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.report.digest import comparison_digest
from analysis.report.exports.methods import methods
from analysis.report.tables import comparisons_table
from analysis.results.files import DamagedFile
from analysis.results.load import StudyResults, load_results
from analysis.results.study_json import Look, Looks, Study, read_study
from analysis.statistics.calls import LOOKS
from analysis.statistics.comparison import compare
from analysis.verdict.looks.next_look import next_look
from analysis.verdict.summary import summarise
from tests.analysis.example_study import write_example
from tests.analysis.example_study_json import with_config, with_leads

PLAN = [{"seeds": seeds, "alpha": alpha} for seeds, alpha in LOOKS.items()]
TITLES = {"one": "One", "two": "Two", "three": "Three"}


def with_looks(results: StudyResults, reached: int) -> StudyResults:
    """Return the study as one of `--seeds auto` that has come to this look."""
    looks = Looks(plan=[Look(**look) for look in PLAN], reached=reached)
    study = with_config(results.study, seeds="auto").model_copy(update={"looks": looks})
    return replace(results, study=study)


def with_wins(results: StudyResults, wins: list[int]) -> StudyResults:
    """Let the first network win on so many of 1,000 images, in each run."""
    return with_leads(results, {"alexnet-tuned": wins})


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> StudyResults:
    return load_results(write_example(tmp_path_factory.mktemp("looks") / "study", seeds=5))


def test_each_number_of_seeds_has_the_error_of_its_look(five: StudyResults) -> None:
    study = with_looks(five, 10).study
    errors = {n: study.alpha(n) for n in (1, 5, 6, 10, 11, 20, 21)}
    assert errors == {1: 0.01, 5: 0.01, 6: 0.02, 10: 0.02, 11: 0.03, 20: 0.03, 21: 0.03}
    assert (study.planned_seeds, five.study.planned_seeds) == (10, 5)
    assert five.study.alpha(5) is None


def test_a_study_stops_once_it_is_decided_or_at_the_last_look(five: StudyResults) -> None:
    better, close = with_leads(five, {"alexnet-tuned": 50}), with_leads(five, {"alexnet-tuned": 3})
    equivalent = with_leads(five, {}, 5000)
    assert [next_look(with_looks(one, 5)) for one in (better, equivalent, close)] == [None, None, 10]
    assert [next_look(with_looks(close, reached)) for reached in (10, 20)] == [20, None]
    assert next_look(close) is None, "the number of seeds was fixed"


def test_a_study_stops_if_there_is_no_pair_to_compare(five: StudyResults) -> None:
    groups = {name: group for name, group in five.groups.items() if group.arch == "alexnet"}
    assert next_look(with_looks(replace(five, groups=groups), 5)) is None


def test_every_pair_of_several_networks_has_to_be_decided(tmp_path: Path) -> None:
    results = load_results(write_example(tmp_path / "study", titles=TITLES, seeds=5))
    one_ahead = with_looks(with_leads(results, {"one-tuned": 50}), 5)
    assert next_look(one_ahead) == 10, "two and three are not told apart"
    assert next_look(with_looks(with_leads(results, {"one-tuned": 80, "two-tuned": 40}), 5)) is None
    assert "once the call of every pair" in comparison_digest(one_ahead, summarise(one_ahead)).pairs[-1]


def test_a_look_has_its_own_level(five: StudyResults) -> None:
    weak = with_wins(five, [12, 21, 2, 17, 6])
    fixed, look = summarise(weak), summarise(with_looks(weak, 5))
    assert fixed.verdict is not None and look.verdict is not None
    a, b = (weak.groups[name].correct() for name in ("alexnet-tuned", "mobilenet-tuned"))
    at_99 = compare(a, b, margin=look.verdict.margin, confidence=0.99)
    assert 0.01 < at_99.p_value < 0.05
    assert (fixed.verdict.call, look.verdict.call) == ("better", "not shown")
    assert look.verdict.difference.ci95 == at_99.ci95
    assert "(99 % interval" in str(look.accuracies) and "(95 % interval" in str(fixed.accuracies)
    assert next_look(with_looks(weak, 5)) == 10


def test_the_looks_are_in_the_summary_and_in_the_methods_of_such_a_study_alone(five: StudyResults) -> None:
    led = with_leads(five, {"alexnet-tuned": 50})
    study = with_looks(led, 5)
    summary = summarise(study)
    made = summary.as_json()["verdict"]
    assert made["looks"] == {"plan": PLAN, "reached": 5} and made["confidence"] == 0.99
    assert (made["planned_seeds"], made["call"]) == (5, "better")
    said = "the study looks at 5, 10 and 20 seeds and stops once the call is better or equivalent"
    assert said in made["text"] and said in methods(study, summary)
    assert "This is the look at 5 seeds, so intervals of a difference are 99 % intervals" in made["text"]
    assert comparisons_table(study, summary).columns[3].title.replace("\N{NO-BREAK SPACE}", " ") == "99 % interval"
    assert summary.files is not None and "99 % interval" in summary.files.text
    usual = summarise(led)
    assert not {"looks", "confidence"} & usual.as_json()["verdict"].keys()
    assert "look" not in methods(led, usual)


def test_a_look_that_is_not_whole_says_so(five: StudyResults) -> None:
    summary = summarise(with_looks(with_leads(five, {"alexnet-tuned": 50}), 10))
    assert summary.verdict is not None and "So far 5 of the 10 planned seeds are there." in summary.verdict.text
    assert summary.label == "better, but some seeds are not there yet"
    assert summary.verdict.confidence == 0.99


def test_equivalent_is_tested_at_the_error_of_the_look(five: StudyResults) -> None:
    alike = with_leads(five, {}, 700)
    rows = [summarise(one).comparisons[0] for one in (alike, with_looks(alike, 5))]
    assert [row.call for row in rows] == ["equivalent", "not shown"]
    assert rows[0].equivalence_holm_p == rows[1].equivalence_holm_p
    assert 0.01 < (rows[0].equivalence_holm_p or 0) < 0.05


@pytest.mark.parametrize("changed", [{"config": {"seeds": "auto"}}, {"looks": {"plan": PLAN, "reached": 5}}])
def test_a_plan_belongs_to_seeds_that_are_chosen(tmp_path: Path, changed: dict[str, Any]) -> None:
    folder = write_example(tmp_path / "study", seeds=2)
    study = folder.read_study()
    folder.write_study(study | changed | {"config": study["config"] | changed.get("config", {})})
    with pytest.raises(DamagedFile, match="looks is not what it should be"):
        read_study(folder)
    both = study | {"looks": {"plan": PLAN, "reached": 5}, "config": study["config"] | {"seeds": "auto"}}
    assert Study.model_validate(both).planned_seeds == 5


@pytest.mark.parametrize("confidence", [0.95, 0.97, 0.98, 0.99])
def test_the_interval_excludes_0_exactly_if_p_is_below_the_error(confidence: float) -> None:
    rng = np.random.default_rng(0)
    shown = []
    for lead in (0.0, 0.002, 0.004, 0.008, 0.02):
        for noise in (0.0, 0.01):
            for _ in range(10):
                b = np.ones((6, 1000), bool)
                a = b.copy()
                b[:, : round(1000 * lead)] = False
                for row in range(6):
                    a[row, 900 : 900 + rng.integers(0, 1 + round(1000 * noise))] = False
                found = compare(a, b, margin=0.0, confidence=confidence)
                excludes = found.ci95[0] > 0 or found.ci95[1] < 0
                assert excludes == (found.p_value < 1 - confidence), (lead, noise)
                shown.append(excludes)
    assert any(shown) and not all(shown)
