"""Checks what a search hands on to the runs that follow it."""

from pathlib import Path

from study.search.ledger import Ledger
from study.search.search import Search
from study.search.trial import Status
from study.settings.config import StudyConfig
from study.settings.networks import baseline_of
from study.stages import outcomes_of
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
        (1, CONFIG.training({"lr": 2e-3, "dropout": 0.25})),
        (0, CONFIG.training({"lr": 1e-3, "dropout": 0.25})),
    ]
    assert not alexnet.has_failed
    assert mobilenet.has_failed and not mobilenet.leaders
