"""The search without Ray: a small loop reports made-up learning curves, one epoch of each running trial in turn."""

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from models.training.history import EpochResult
from models.training.recipe import TrainingConfig
from study.search.search import Search
from study.search.trial import Trial
from study.settings.config import StudyConfig
from study.settings.search_space import RUNGS, SEARCH_SPACE, STARTUP_TRIALS, Rungs
from tests.builders import epoch
from tests.study.search.played import ARCHS, EARLY, STARTUP, Curve, flat, make_config, open_search, play, varied


@pytest.fixture(autouse=True)
def quick_and_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


def _statuses(search: Search, arch: str | None = None) -> dict[str, str | None]:
    return {trial.trial_id: trial.status for trial in search.ledger.trials(arch)}


# --- which trial comes next


@pytest.mark.parametrize("concurrency", [1, 2, 3, 5])
def test_every_architecture_gets_the_same_number_of_trials(tmp_path: Path, concurrency: int) -> None:
    search = open_search(tmp_path, make_config(trials=7))
    assert not search.is_done()
    play(search, varied, concurrency)
    assert search.is_done()
    assert search.next_trial() is None
    assert all([trial.number for trial in search.ledger.trials(arch)] == list(range(7)) for arch in ARCHS)


def test_trial_0_is_the_documented_baseline(tmp_path: Path) -> None:
    config = make_config(trials=3)
    search = open_search(tmp_path, config)
    play(search, varied)
    for arch, dropout in (("alexnet", 0.5), ("mobilenet", 0.0)):
        first, *others = search.ledger.trials(arch)
        assert search.recipe(first) == TrainingConfig(
            {"lr": 1e-3, "dropout": dropout}, max_epochs=9, patience=5, batch_size=128, grace_steps=60
        )
        assert all(SEARCH_SPACE.holds(name, value) for trial in others for name, value in trial.values.items())
        assert others[0].values != others[1].values


def test_the_learning_rates_given_first_follow_the_baseline_of_every_network_as_far_as_its_trials_reach(
    tmp_path: Path,
) -> None:
    search = open_search(tmp_path, make_config(trials=4, first_lrs=(3e-3, 2e-4)))
    play(search, varied)
    for arch, dropout in (("alexnet", 0.5), ("mobilenet", 0.0)):
        *given, last = [trial.values for trial in search.ledger.trials(arch)]
        assert given == [{"lr": lr, "dropout": dropout} for lr in (1e-3, 3e-3, 2e-4)]
        assert last["lr"] not in (1e-3, 3e-3, 2e-4)
    few = open_search(tmp_path / "few", make_config(trials=2, first_lrs=(3e-3, 2e-4)))
    play(few, varied)
    assert [trial.values["lr"] for trial in few.ledger.trials("alexnet")] == [1e-3, 3e-3]


def test_one_at_a_time_the_architectures_take_turns_however_long_they_take(tmp_path: Path) -> None:
    def slow_mobilenet(trial: Trial, number: int) -> EpochResult:
        return replace(epoch(number, 1 / number, 0.5), seconds=9.0 if trial.arch == "mobilenet" else 1.0)

    order: list[str] = []
    play(open_search(tmp_path, make_config(trials=3)), slow_mobilenet, order=order)
    assert order == ["alexnet-0", "mobilenet-0", "alexnet-1", "mobilenet-1", "alexnet-2", "mobilenet-2"]


def test_both_run_side_by_side_though_one_ends_its_trials_sooner(tmp_path: Path) -> None:
    search = open_search(tmp_path, make_config(trials=6))
    running = [search.next_trial() for _ in range(2)]
    assert [trial.arch for trial in running if trial] == ["alexnet", "mobilenet"]
    for number in range(3):
        search.end(f"mobilenet-{number}", failed=True)
        trial = search.next_trial()
        assert trial is not None
        assert trial.trial_id == f"mobilenet-{number + 1}"


def test_the_network_with_most_training_left_goes_first_so_that_no_long_trial_runs_alone_at_the_end(
    tmp_path: Path,
) -> None:
    seconds = {"alexnet": 10.0, "mobilenet": 1.0}
    search = open_search(tmp_path, make_config(trials=4, max_epochs=1))
    begun = [search.next_trial(), search.next_trial()]
    for ended in ("alexnet-0", "mobilenet-0", "alexnet-1", "alexnet-2", "alexnet-3", "mobilenet-1"):
        search.report(ended, replace(epoch(1, 1.0, 0.5), seconds=seconds[ended.partition("-")[0]]))
        search.end(ended)
        begun.append(search.next_trial())
    assert [trial.trial_id for trial in begun if trial] == [
        *("alexnet-0", "mobilenet-0", "alexnet-1", "alexnet-2", "alexnet-3"),
        *("mobilenet-1", "mobilenet-2", "mobilenet-3"),
    ]


# --- rungs


def _decisions(search: Search, arch: str, scores: Mapping[int, float], number: int = 2) -> dict[int, bool]:
    """Whether each trial is stopped at epoch `number`, asked in the order of the mapping."""
    return {
        trial: [search.report(f"{arch}-{trial}", epoch(past, 1 / past, score)) for past in range(1, number + 1)][-1]
        for trial, score in scores.items()
    }


def _begun(path: Path, config: StudyConfig) -> Search:
    search = open_search(path, config)
    while search.next_trial() is not None:
        pass
    return search


# By hand: a trial goes on if it is at least the 2/3 quantile of those that came to the rung before it.
SCORES = {0: 0.50, 1: 0.40, 2: 0.60, 3: 0.53, 4: 0.55, 5: 0.55}
STOPPED = {0: False, 1: True, 2: False, 3: True, 4: False, 5: False}


def test_decisions_at_the_first_rung(tmp_path: Path) -> None:
    search = _begun(tmp_path, make_config(trials=6))
    assert _decisions(search, "alexnet", SCORES) == STOPPED


def test_what_falls_short_by_no_more_than_the_tolerance_goes_on(tmp_path: Path) -> None:
    config = make_config(trials=6, archs=("alexnet",))
    search = open_search(tmp_path, config, replace(EARLY, tolerance=0.02))
    while search.next_trial() is not None:
        pass
    # The 2/3 quantiles of those before are 0.5, 0.495, 0.533, 0.52 and 0.52: trials 1 and 3 lie within 0.02 of theirs.
    scores = {0: 0.5, 1: 0.485, 2: 0.6, 3: 0.52, 4: 0.495, 5: 0.6}
    assert _decisions(search, "alexnet", scores) == dict.fromkeys(scores, False) | {4: True}


@pytest.mark.parametrize(
    ("rungs", "cap", "steps_per_epoch", "expected"),
    [
        (EARLY, 30, math.inf, [2, 6, 18]),
        (RUNGS, 50, 352, [8, 16, 32]),
        (RUNGS, 12, 36, [5, 10]),
        (RUNGS, 6, 100, [3]),
        (RUNGS, 2, 100, [1]),
        (RUNGS, 50, 5, [12, 24, 48]),
        (RUNGS, 12, 5, []),
        (RUNGS, 8, 5, []),
    ],
)
def test_where_the_rungs_lie(
    tmp_path: Path, rungs: Rungs, cap: int, steps_per_epoch: float, expected: list[int]
) -> None:
    config = make_config(trials=2, max_epochs=cap, archs=("alexnet",))
    search = open_search(tmp_path, config, rungs, steps_per_epoch)
    while search.next_trial() is not None:
        pass
    for number in range(1, cap + 1):
        assert not search.report("alexnet-0", epoch(number, 1 / number, 0.5))
    stops = [search.report("alexnet-1", epoch(number, 1 / number, 0.4)) for number in range(1, cap)]
    assert [number for number, stop in enumerate(stops, start=1) if stop] == expected


def test_each_architecture_has_rungs_of_its_own(tmp_path: Path) -> None:
    search = _begun(tmp_path, make_config(trials=6))
    _decisions(search, "alexnet", dict.fromkeys(SCORES, 0.99))
    assert _decisions(search, "mobilenet", SCORES) == STOPPED


def test_the_score_is_that_of_the_weights_the_trial_would_keep(tmp_path: Path) -> None:
    search = _begun(tmp_path, make_config(trials=2, archs=("alexnet",)))
    _decisions(search, "alexnet", {0: 0.5})
    search.report("alexnet-1", epoch(1, 0.1, 0.6))
    assert not search.report("alexnet-1", epoch(2, 0.2, 0.1)), "the weights of epoch 1 are kept, and are good"


def test_what_ends_by_itself_at_a_rung_is_not_pruned(tmp_path: Path) -> None:
    config = make_config(trials=5, max_epochs=2)
    search = open_search(tmp_path, config)
    play(search, lambda trial, number: epoch(number, 1 / number, 0.9 - 0.1 * trial.number))
    assert set(_statuses(search).values()) == {"COMPLETE"}


def test_at_the_cap_no_trial_is_stopped(tmp_path: Path) -> None:
    search = _begun(tmp_path, make_config(trials=6, max_epochs=2))
    assert not any(_decisions(search, "alexnet", SCORES).values())


def test_a_known_epoch_changes_nothing(tmp_path: Path) -> None:
    search = _begun(tmp_path, make_config(trials=6))
    _decisions(search, "alexnet", SCORES)
    before = search.ledger.arrivals()
    assert not any(_decisions(search, "alexnet", SCORES).values())
    assert search.ledger.arrivals() == before


def test_a_trial_that_is_trained_again_otherwise_ends_as_its_last_attempt_does(tmp_path: Path) -> None:
    """Its first attempt, of which only the first epoch was saved, had come further."""
    search = _begun(tmp_path, make_config(trials=2, max_epochs=30))
    for number in range(1, 21):
        search.report("alexnet-1", epoch(number, 1 / number, 0.6))
    losses = [1.0, 0.4, *(0.5 + number / 100 for number in range(5))]
    for number, loss in enumerate(losses, start=1):
        assert not search.report("alexnet-1", epoch(number, loss, 0.6))
    again = open_search(tmp_path, make_config(trials=2, max_epochs=30))
    search.end("alexnet-1")
    for told in (search, again):
        assert told.ledger.trial("alexnet-1").status == "STOPPED_EARLY"
        assert [row.val_loss for row in told.ledger.trial("alexnet-1").history] == losses


def test_a_trial_that_passed_a_rung_is_not_stopped_there_when_it_was_trained_again(tmp_path: Path) -> None:
    config = make_config(trials=4, archs=("alexnet",))
    search = _begun(tmp_path, config)
    for trial, score in ((0, 0.5), (1, 0.6)):
        for number in (1, 2, 3):
            assert not search.report(f"alexnet-{trial}", epoch(number, 1 / number, score))
    for number in (1, 2, 3):
        assert not search.report("alexnet-0", epoch(number, 0.9 / number, 0.5))
    again = open_search(tmp_path, config)
    assert [trial.status for trial in again.ledger.trials()] == [None] * 4


def test_a_cap_below_the_first_rung(tmp_path: Path) -> None:
    search = open_search(tmp_path, make_config(trials=3, max_epochs=1))
    play(search, varied)
    assert set(_statuses(search, "mobilenet").values()) == {"COMPLETE"}


# --- how trials end, and what Optuna is told


@pytest.mark.parametrize(("steps_per_epoch", "epochs"), [(4, 15), (11, 6), (352, 6)])
def test_patience_ends_no_trial_before_60_optimizer_steps(tmp_path: Path, steps_per_epoch: int, epochs: int) -> None:
    config = make_config(trials=1, max_epochs=20, archs=("mobilenet",))
    search = open_search(tmp_path, config, RUNGS, steps_per_epoch)
    play(search, lambda trial, number: epoch(number, 2 + number, 0.1), steps_per_epoch=steps_per_epoch)
    (trial,) = search.ledger.trials()
    assert (trial.status, len(trial.history)) == ("STOPPED_EARLY", epochs)


def test_with_as_many_steps_as_cifar_10_has_every_trial_is_the_same_as_without_steps_of_grace(tmp_path: Path) -> None:
    trials = []
    for grace_steps in (0, 60):
        config = replace(make_config(trials=7, max_epochs=50), grace_steps=grace_steps)
        search = open_search(tmp_path / str(grace_steps), config, RUNGS, steps_per_epoch=352)
        play(search, varied, steps_per_epoch=352)
        trials.append([(one.trial_id, one.values, one.status, one.scores()) for one in search.ledger.trials()])
    assert trials[0] == trials[1]
    assert "STOPPED_EARLY" in {status for _, _, status, _ in trials[0]}


def test_every_way_to_end(tmp_path: Path) -> None:
    curves: dict[int, Curve] = {
        0: flat(0.8),
        1: flat(0.3),
        2: lambda trial, number: epoch(number, 1 + number, 0.9),
        3: lambda trial, number: epoch(number, float("nan") if number == 2 else 1 / number, 0.9),
        4: flat(0.9),
    }
    config = make_config(trials=5, archs=("mobilenet",))
    search = open_search(tmp_path, config)
    play(search, lambda trial, number: curves[trial.number](trial, number), failing=["mobilenet-4"])
    assert list(_statuses(search).values()) == ["COMPLETE", "PRUNED", "STOPPED_EARLY", "DIVERGED", "FAILED"]
    assert [len(trial.history) for trial in search.ledger.trials()] == [9, 2, 6, 2, 1]
    told = search.samplers["mobilenet"].study.trials
    pruned, complete = TrialState.PRUNED, TrialState.COMPLETE
    assert [trial.state for trial in told] == [complete, pruned, complete, pruned, TrialState.FAIL]
    assert [told[0].value, told[2].value] == [0.8, 0.9]
    assert told[1].intermediate_values == {1: 0.3, 2: 0.3}
    assert told[3].intermediate_values == {}
    assert [trial.params for trial in told] == [trial.values for trial in search.ledger.trials()]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_diverged_in_the_first_epoch(tmp_path: Path, bad: float) -> None:
    search = open_search(tmp_path, make_config(trials=2, archs=("alexnet",)))
    play(search, lambda trial, number: epoch(number, bad))
    assert set(_statuses(search).values()) == {"DIVERGED"}
    assert [trial.state for trial in search.samplers["alexnet"].study.trials] == [TrialState.PRUNED] * 2
    assert search.leaders("alexnet") == []


def test_a_trial_that_failed_before_its_first_epoch(tmp_path: Path) -> None:
    search = _begun(tmp_path, make_config(trials=1, archs=("alexnet",)))
    search.end("alexnet-0", failed=True)
    assert search.is_done()
    assert search.leaders("alexnet") == []


def test_a_trial_that_failed_after_its_last_epoch(tmp_path: Path) -> None:
    search = _begun(tmp_path, make_config(trials=1, max_epochs=1, archs=("alexnet",)))
    search.report("alexnet-0", epoch(1))
    search.end("alexnet-0", failed=True)
    assert search.ledger.trial("alexnet-0").status == "FAILED"


# --- killed, and gone on with


def _whole_journal(path: Path, config: StudyConfig, startup_trials: int = STARTUP) -> bytes:
    path.mkdir()
    play(open_search(path, config, startup_trials=startup_trials), varied, failing=["mobilenet-3"])
    return (path / "journal.jsonl").read_bytes()


def _events(journal: bytes) -> list[dict[str, Any]]:
    """Return the events of a journal without the times on the clock."""
    events = [json.loads(line) for line in journal.splitlines()]
    return [{key: value for key, value in event.items() if key not in ("time", "crc32")} for event in events]


def _go_on(
    path: Path, config: StudyConfig, journal: bytes, concurrency: int = 1, startup_trials: int = STARTUP
) -> Search:
    (path / "journal.jsonl").write_bytes(journal)
    search = open_search(path, config, startup_trials=startup_trials)
    play(search, varied, concurrency, failing=["mobilenet-3"])
    return search


@pytest.mark.parametrize("cut", [0, 1, 25], ids=["between lines", "mid-line", "before the line break"])
def test_killed_at_any_event_the_search_ends_as_it_would_have(tmp_path: Path, cut: int) -> None:
    config = make_config(trials=5, max_epochs=8)
    whole = _whole_journal(tmp_path / "undisturbed", config)
    lines = whole.splitlines(keepends=True)
    assert set(_statuses(open_search(tmp_path / "undisturbed", config)).values()) == {
        "COMPLETE",
        "PRUNED",
        "STOPPED_EARLY",
        "DIVERGED",
        "FAILED",
    }
    for count in range(len(lines)):
        partial = {0: b"", 1: lines[count][:-1], 25: lines[count][:25]}[cut]
        _go_on(tmp_path, config, b"".join(lines[:count]) + partial)
        assert _events((tmp_path / "journal.jsonl").read_bytes()) == _events(whole), f"killed after {count} events"


@pytest.mark.slow
def test_killed_where_a_model_proposes(tmp_path: Path) -> None:
    """Once a trial has ended suggestions depend on all earlier results."""
    config = make_config(trials=7, max_epochs=3)
    whole = _whole_journal(tmp_path / "undisturbed", config, STARTUP_TRIALS)
    lines = whole.splitlines(keepends=True)
    for count in range(len(lines) - 30, len(lines), 3):
        _go_on(tmp_path, config, b"".join(lines[:count]), startup_trials=STARTUP_TRIALS)
        assert _events((tmp_path / "journal.jsonl").read_bytes()) == _events(whole), f"killed after {count} events"


def test_killed_with_several_running(tmp_path: Path) -> None:
    config = make_config(trials=4, max_epochs=7)
    play(open_search(tmp_path, config), varied, concurrency=3, failing=["mobilenet-3"])
    lines = (tmp_path / "journal.jsonl").read_bytes().splitlines(keepends=True)
    for count in range(0, len(lines), 2):
        search = _go_on(tmp_path, config, b"".join(lines[:count]), concurrency=3)
        assert search.is_done()
        assert (tmp_path / "journal.jsonl").read_bytes().startswith(b"".join(lines[:count]))
        for trial in search.ledger.trials():
            assert [row.epoch for row in trial.history] == list(range(1, len(trial.history) + 1))
            assert trial.number > 0 or (trial.values["lr"], trial.is_baseline) == (1e-3, True)


def test_killed_between_a_trials_last_epoch_and_its_end(tmp_path: Path) -> None:
    config = make_config(trials=2, max_epochs=2)
    search = _begun(tmp_path, config)
    for trial_id in ("alexnet-0", "mobilenet-1"):
        for number in (1, 2):
            search.report(trial_id, epoch(number, 1 / number))
    again = open_search(tmp_path, config)
    assert [trial.trial_id for _ in range(2) if (trial := again.next_trial())] == ["mobilenet-0", "alexnet-1"]
    assert again.ledger.trial("alexnet-0").status == "COMPLETE"


def test_interrupted_trials_come_first_and_count_as_running(tmp_path: Path) -> None:
    config = make_config(trials=3)
    search = open_search(tmp_path, config)
    begun = [search.next_trial() for _ in range(3)]
    assert [trial.trial_id for trial in begun if trial] == ["alexnet-0", "mobilenet-0", "alexnet-1"]
    again = open_search(tmp_path, config)
    assert [trial.trial_id for _ in range(4) if (trial := again.next_trial())] == [
        *("alexnet-0", "mobilenet-0", "alexnet-1"),
        "mobilenet-1",
    ]


def test_a_search_that_is_done_stays_as_it_is(tmp_path: Path) -> None:
    config = make_config(trials=3)
    play(open_search(tmp_path, config), varied)
    before = (tmp_path / "journal.jsonl").read_bytes()
    again = open_search(tmp_path, config)
    assert again.is_done()
    assert again.next_trial() is None
    assert (tmp_path / "journal.jsonl").read_bytes() == before


# --- the tuned configuration


@pytest.mark.parametrize(
    ("rows", "best"),
    [
        ([(0.5, 0.7, "COMPLETE"), (0.6, 0.9, "COMPLETE"), (0.4, 0.5, "COMPLETE")], 1),
        ([(0.5, 0.7, "COMPLETE"), (0.5, 0.6, "STOPPED_EARLY")], 1),
        ([(0.5, 0.7, "STOPPED_EARLY"), (0.5, 0.7, "COMPLETE")], 0),
        ([(0.5, 0.7, "COMPLETE"), (0.9, 0.1, "PRUNED"), (0.9, 0.1, "DIVERGED")], 0),
        ([(0.5, 0.7, "PRUNED"), (0.6, 0.7, "DIVERGED")], 1),
        ([(0.9, float("nan"), "DIVERGED"), (0.2, 0.7, "PRUNED")], 1),
        ([(0.9, float("nan"), "DIVERGED")], None),
        ([(0.9, 0.1, None), (0.2, 0.7, "COMPLETE")], 1),
        ([(0.9, 0.1, None), (0.2, 0.7, "PRUNED")], 1),
        ([], None),
    ],
)
def test_the_best_trial(tmp_path: Path, rows: list[tuple[float, float, str | None]], best: int | None) -> None:
    search = open_search(tmp_path, make_config(trials=len(rows) + 1, archs=("alexnet",)))
    for number, (accuracy, loss, status) in enumerate(rows):
        trial = search.ledger.ask("alexnet", number, {"lr": 1e-3, "dropout": 0.1 * number})
        search.ledger.report(trial.trial_id, epoch(1, loss, accuracy))
        if status is not None:
            search.ledger.end(trial.trial_id, status)  # type: ignore[arg-type]
    leaders = search.leaders("alexnet")
    assert (leaders[0].number if leaders else None) == best


def test_the_best_trial_is_chosen_by_its_score_at_its_lowest_loss(tmp_path: Path) -> None:
    search = open_search(tmp_path, make_config(trials=2, max_epochs=3, archs=("alexnet",)))
    curves = {
        0: [(0.5, 0.6), (0.9, 0.95), (0.9, 0.95)],
        1: [(0.9, 0.50), (0.8, 0.60), (0.5, 0.70)],
    }
    play(search, lambda trial, number: epoch(number, *curves[trial.number][number - 1]))
    assert [trial.number for trial in search.leaders("alexnet")] == [1, 0]


def test_time_goes_forward_in_the_ledger(tmp_path: Path) -> None:
    """The arrivals, in order, are what the rungs were fed."""
    search = open_search(tmp_path, make_config())
    play(search, varied, concurrency=2)
    seen: dict[str, list[int]] = {}
    for trial, row in search.ledger.arrivals():
        seen.setdefault(trial.trial_id, []).append(row.epoch)
    assert all(later == earlier + 1 for epochs in seen.values() for earlier, later in pairwise([0, *epochs]))
