"""Checks what a search hands on to the runs that follow it, and how the final runs follow one look after the other."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from analysis.results.study_folder import StudyFolder
from analysis.results.study_json import read_study
from study import stages
from study.search.ledger import Ledger
from study.search.search import Search
from study.search.trial import Status
from study.settings.config import StudyConfig
from study.settings.networks import baseline_of
from study.stages import Stages, outcomes_of
from tests.analysis.example_study import write_example
from tests.builders import epoch

CONFIG = StudyConfig(trials=2, max_epochs=9, archs=("alexnet", "mobilenet"))


def test_outcomes_name_the_leaders_best_first_and_a_network_whose_every_trial_failed(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "journal.jsonl")
    rows: list[tuple[str, int, float, Status]] = [
        ("alexnet", 0, 0.5, "COMPLETE"),
        ("alexnet", 1, 0.9, "STOPPED_EARLY"),
        ("mobilenet", 0, 0.5, "FAILED"),
        ("mobilenet", 1, 0.9, "FAILED"),
    ]
    for arch, number, score, status in rows:
        trial = ledger.ask(arch, number, {"lr": 1e-3 * (number + 1), "dropout": 0.25})
        ledger.report(trial.trial_id, epoch(1, 1.0, score))
        ledger.end(trial.trial_id, status)
    search = Search(CONFIG, {arch: baseline_of(CONFIG, arch) for arch in CONFIG.archs}, ledger)
    alexnet, mobilenet = outcomes_of(search, CONFIG)
    assert alexnet.baseline == baseline_of(CONFIG, "alexnet")
    assert list(alexnet.leaders.items()) == [
        (1, (CONFIG.training({"lr": 2e-3, "dropout": 0.25}), 0.9)),
        (0, (CONFIG.training({"lr": 1e-3, "dropout": 0.25}), 0.5)),
    ]
    assert set(alexnet.space) == {"lr", "dropout"}
    assert not alexnet.has_failed
    assert mobilenet.has_failed and not mobilenet.leaders


@dataclass
class Counted:
    """Has what `Stages.final_runs` uses. It notes the look that study.json records whenever runs are made."""

    folder: StudyFolder
    config: StudyConfig
    fails_at: int | None = None
    made: list[tuple[int, int]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    @property
    def progress(self) -> SimpleNamespace:
        return SimpleNamespace(say=self.said.append)

    def runs(self, stage: str, plans: list[int]) -> list[str]:
        assert stage == "Final runs"
        self.made.append((read_study(self.folder).planned_seeds, len(plans)))
        return ["a run failed"] if len(plans) == self.fails_at else []

    def final_runs(self) -> list[str]:
        return Stages.final_runs(self, lambda seeds: list(range(seeds)))


def test_looks_follow_until_the_study_stops_or_a_run_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_example(tmp_path / "study", seeds=2)
    fixed = Counted(folder, replace(CONFIG, seeds=2))
    assert fixed.final_runs() == [] and fixed.made == [(2, 2)] and not fixed.said

    study = folder.read_study()
    plan = [{"seeds": 5, "alpha": 0.01}, {"seeds": 10, "alpha": 0.02}, {"seeds": 20, "alpha": 0.03}]
    auto = study["config"] | {"seeds": "auto"}
    folder.write_study(study | {"config": auto, "looks": {"plan": plan, "reached": 5}})
    monkeypatch.setattr(stages, "next_look", lambda folder: {5: 10, 10: None}[read_study(folder).planned_seeds])
    cut = Counted(folder, replace(CONFIG, seeds="auto"), fails_at=10)
    assert cut.final_runs() == ["a run failed"]
    assert cut.made == [(5, 5), (10, 10)]
    assert cut.said == ["5 seeds do not decide: going on to 10 seeds"]
    resumed = Counted(folder, replace(CONFIG, seeds="auto"))
    assert resumed.final_runs() == []
    assert resumed.made == [(10, 10)], "the first look is not taken again"
    assert resumed.said == ["The final runs end at 10 seeds"]
