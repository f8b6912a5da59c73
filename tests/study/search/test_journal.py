"""A damaged journal: whatever is damaged, the rest is kept, and the search ends with every trial."""

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from study.search.ledger import Ledger
from tests.builders import epoch
from tests.study.search.played import ARCHS, make_config, open_search, play, varied

TRIALS = 5
CONFIG = make_config(trials=TRIALS, max_epochs=8)
FAILING = ["mobilenet-3"]


@pytest.fixture(autouse=True, scope="module")
def quick_and_quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)


@cache
def _whole() -> bytes:
    """The journal of a search in which three trials run at a time."""
    with TemporaryDirectory() as path:
        play(open_search(Path(path), CONFIG), varied, concurrency=3, failing=FAILING)
        return (Path(path) / "journal.jsonl").read_bytes()


def _trials_of(line: bytes) -> set[str]:
    """The trial that an intact line belongs to."""
    if found := re.search(rb'"arch": "(\w+)", "number": (\d+)', line):
        return {f"{found[1].decode()}-{found[2].decode()}"}
    found = re.search(rb'"trial_id": "([\w-]+)"', line)
    assert found
    return {found[1].decode()}


def _view(ledger: Ledger, trials: set[str]) -> str:
    told = [trial for trial in ledger.trials() if trial.trial_id in trials]
    return repr([told, [(trial.trial_id, row) for trial, row in ledger.arrivals() if trial.trial_id in trials]])


def _check(before: bytes, damaged: bytes, touched: set[str]) -> None:
    """Open the damaged journal, compare it with the one before, and drive the search to its end."""
    with TemporaryDirectory() as directory:
        path = Path(directory)
        journal = path / "journal.jsonl"
        (path / "before.jsonl").write_bytes(before)
        intact = Ledger(path / "before.jsonl")
        kept = {trial.trial_id for trial in intact.trials()} - touched
        journal.write_bytes(damaged)
        ledger, again = Ledger(journal), Ledger(journal)
        known = {trial.trial_id for trial in ledger.trials()}
        assert _view(ledger, kept) == _view(intact, kept)
        assert again.damage is None
        assert _view(again, known) == _view(ledger, known)
        if ledger.damage:
            assert (path / "journal.jsonl.damaged-1").read_bytes() == damaged
        ended = {trial.trial_id: repr(trial) for trial in ledger.trials() if trial.status}
        search = open_search(path, CONFIG)
        play(search, varied, concurrency=3, failing=FAILING)
        for done in (search.ledger, Ledger(journal)):
            assert done.damage is None
            for arch in ARCHS:
                assert sorted(trial.number for trial in done.trials(arch)) == list(range(TRIALS))
            for trial in done.trials():
                assert trial.status is not None
                assert [row.epoch for row in trial.history] == list(range(1, len(trial.history) + 1))
                assert ended.get(trial.trial_id) in (None, repr(trial)), "what had ended stays as it is"
        assert search.is_done()


def _cut(lines: list[bytes], data: st.DataObject) -> list[bytes]:
    """The journal of a driver that was killed at some event."""
    return lines[: data.draw(st.integers(1, len(lines)), "lines")]


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_a_damaged_byte_costs_only_the_trials_of_its_line(data: st.DataObject) -> None:
    lines = _cut(_whole().splitlines(keepends=True), data)
    before = b"".join(lines)
    position = data.draw(st.integers(0, len(before) - 1), "position")
    mask = data.draw(st.one_of(st.sampled_from([1 << bit for bit in range(8)]), st.integers(1, 255)), "mask")
    damaged = before[:position] + bytes([before[position] ^ mask]) + before[position + 1 :]
    number = before[:position].count(b"\n")
    # A line end that is damaged joins two lines.
    hit = lines[number : number + 2] if before[position] == ord("\n") else [lines[number]]
    _check(before, damaged, set().union(*map(_trials_of, hit)))


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_lost_lines_cost_only_their_trials(data: st.DataObject) -> None:
    lines = _cut(_whole().splitlines(keepends=True), data)
    first = data.draw(st.integers(0, len(lines) - 1), "first")
    count = data.draw(st.integers(1, 4), "count")
    lost = lines[first : first + count]
    _check(b"".join(lines), b"".join([*lines[:first], *lines[first + count :]]), set().union(*map(_trials_of, lost)))


@settings(deadline=None, max_examples=20)
@given(st.data())
def test_a_zeroed_block_costs_only_its_trials(data: st.DataObject) -> None:
    before = _whole()
    first = data.draw(st.integers(0, len(before) - 1), "first")
    last = min(len(before), first + data.draw(st.integers(1, 4096), "size"))
    lines = before.splitlines(keepends=True)
    hit = lines[before[:first].count(b"\n") : before[:last].count(b"\n") + 1]
    damaged = before[:first] + bytes(last - first) + before[last:]
    _check(before, damaged, set().union(*map(_trials_of, hit)))


@pytest.mark.parametrize("damage", [lambda line: line.replace(b"1", b"2", 1), lambda line: b""])
def test_damage_near_the_start_keeps_the_trials_behind_it(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    journal = tmp_path / "journal.jsonl"
    ledger = Ledger(journal)
    for number in range(20):
        trial = ledger.ask("alexnet", number, {"lr": 1e-3, "dropout": number / 40})
        ledger.report(trial.trial_id, epoch(1))
        ledger.end(trial.trial_id, "PRUNED")
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([lines[0], damage(lines[1]), *lines[2:]]))
    found = Ledger(journal)
    assert found.damage is not None and found.damage.endswith("go on: alexnet-0")
    assert [trial.status for trial in found.trials()] == [None, *["PRUNED"] * 19]
    assert (found.trials()[0].values, found.trials()[0].history) == ({"lr": 1e-3, "dropout": 0.0}, [])
