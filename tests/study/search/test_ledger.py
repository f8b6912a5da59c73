"""The ledger: what the journal keeps, and the tables made of it."""

import json
import math
import os
import time
import zlib
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from analysis.results.study_folder import HISTORY_COLUMNS, TRIAL_COLUMNS
from models.training.history import EpochResult
from study.search.ledger import Ledger
from study.search.trial import Trial
from tests.builders import epoch


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "tune" / "journal.jsonl"


def _filled(journal: Path) -> Ledger:
    ledger = Ledger(journal)
    ledger.ask("alexnet", 0, {"lr": 1e-3, "dropout": 0.5})
    ledger.ask("mobilenet", 0, {"lr": 1e-3, "dropout": 0.0})
    ledger.report("mobilenet-0", epoch(1, 0.9, 0.3))
    ledger.report("alexnet-0", epoch(1, 0.8, 0.4))
    ledger.end("mobilenet-0", "PRUNED")
    ledger.ask("alexnet", 1, {"lr": 0.1 + 0.2, "dropout": 1 / 3})
    ledger.report("alexnet-0", epoch(2, 0.7, 0.6))
    ledger.report("alexnet-0", epoch(3, 0.75, 0.9))
    ledger.end("alexnet-0", "STOPPED_EARLY")
    ledger.note_error("alexnet-1", "one line\nand another: ü")
    return ledger


def _view(ledger: Ledger) -> tuple[object, ...]:
    return repr(ledger.trials()), repr([(trial.trial_id, row) for trial, row in ledger.arrivals()])


def test_what_is_told_is_known(journal: Path) -> None:
    ledger = _filled(journal)
    assert [trial.trial_id for trial in ledger.trials()] == ["alexnet-0", "mobilenet-0", "alexnet-1"]
    assert [trial.trial_id for trial in ledger.trials("mobilenet")] == ["mobilenet-0"]
    assert ledger.trial("alexnet-0").status == "STOPPED_EARLY"
    assert ledger.trial("alexnet-1").status is None
    assert ledger.trial("alexnet-1").error == "one line\nand another: ü"
    arrived = [(trial.trial_id, row.epoch) for trial, row in ledger.arrivals()]
    assert arrived == [("mobilenet-0", 1), ("alexnet-0", 1), ("alexnet-0", 2), ("alexnet-0", 3)]


def test_what_trials_add_up_to(journal: Path) -> None:
    ledger = _filled(journal)
    ledger.report("alexnet-1", epoch(1, 0.5, 0.9))
    for told in (ledger, Ledger(journal)):
        tally = told.tally("alexnet")
        assert tally.states == {"STOPPED_EARLY": 1, None: 1}
        assert (tally.epochs, tally.seconds, tally.under_way) == (4, 1.0, 0.25)
        assert tally.score == 0.9
        assert told.tally("mobilenet").under_way == 0


def test_a_ledger_is_read_back_as_it_was(journal: Path) -> None:
    before = _filled(journal)
    before.report("alexnet-1", EpochResult(1, math.nan, math.inf, 0.1, 0.1 + 0.2))
    after = Ledger(journal)
    assert _view(after) == _view(before)
    assert after.trial("alexnet-1").values["lr"] == 0.1 + 0.2


def test_what_is_told_is_on_the_disk_and_epochs_share_a_flush(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, synced = 0.0, []
    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(len(Path(journal).read_bytes().splitlines())))
    ledger = Ledger(journal)
    ledger.ask("alexnet", 0, {"lr": 1e-3})
    for number in (1, 2, 3):
        ledger.report("alexnet-0", epoch(number))
    assert synced == [1], "the epochs arrive within a second of the last flush"
    assert len(journal.read_bytes().splitlines()) == 4, "and are in the file"
    now += 1
    ledger.report("alexnet-0", epoch(4))
    ledger.end("alexnet-0", "PRUNED")
    assert synced == [1, 5, 6]


def test_an_epoch_counts_once(journal: Path) -> None:
    ledger = _filled(journal)
    ledger.report("alexnet-1", epoch(1, math.nan, 0.2))
    size = journal.stat().st_size
    for known in (epoch(2, 0.7, 0.6), epoch(3, 0.75, 0.9)):
        assert ledger.report("alexnet-0", replace(known, seconds=9.0)) is False
    assert ledger.report("alexnet-1", epoch(1, math.nan, 0.2)) is False
    assert journal.stat().st_size == size
    assert ledger.report("alexnet-1", epoch(2)) is True


def test_what_was_trained_again_takes_the_place_of_what_it_was_before(journal: Path) -> None:
    ledger = _filled(journal)
    for number in (1, 2, 3):
        ledger.report("alexnet-1", epoch(number, 1 / number, 0.5))
    again = [epoch(1, 1.0, 0.5), epoch(2, 0.51, 0.5), epoch(3, 0.3, 0.7)]
    assert [ledger.report("alexnet-1", row) for row in again] == [False, True, True]
    for told in (ledger, Ledger(journal)):
        assert told.trial("alexnet-1").history == again
        arrived = [(trial.trial_id, row.epoch) for trial, row in told.arrivals()]
        assert arrived[-3:] == [("alexnet-1", 1), ("alexnet-1", 2), ("alexnet-1", 3)]
        assert len(arrived) == 7
        assert (told.tally("alexnet").epochs, told.tally("alexnet").score) == (6, 0.7)
        assert list(told.history_table()["val_loss"])[-3:] == [1.0, 0.51, 0.3]


def test_a_journal_cut_anywhere_is_the_journal_up_to_its_last_whole_line(journal: Path) -> None:
    _filled(journal)
    content = journal.read_bytes()
    for length in range(len(content)):
        journal.write_bytes(content[:length])
        ledger = Ledger(journal)
        whole = content[: content.rfind(b"\n", 0, length) + 1]
        assert journal.read_bytes() == whole
        assert len(ledger.trials()) == whole.count(b'"event": "ask"')
        assert len(ledger.arrivals()) == whole.count(b'"event": "epoch"')


def test_a_cut_journal_can_be_written_on(journal: Path) -> None:
    _filled(journal)
    journal.write_bytes(journal.read_bytes()[:-5])
    Ledger(journal).end("alexnet-1", "FAILED")
    assert Ledger(journal).trial("alexnet-1").status == "FAILED"


def _signed(event: dict[str, object]) -> bytes:
    return json.dumps({**event, "crc32": zlib.crc32(json.dumps(event).encode())}).encode()


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\x00\x00\x00",
        b"{",
        b"\xff\xfe",
        b"3",
        b"[]",
        b'{"event": "end", "trial_id": "alexnet-1", "status": "FAILED"}',
        b'{"event": "end", "trial_id": "alexnet-1", "status": "FAILED", "crc32": 1}',
        _signed({"event": "dance"}),
        _signed({"event": "end", "trial_id": "alexnet-0", "status": "GONE", "epochs": 1}),
        _signed({"event": "end", "trial_id": "alexnet-0", "status": "COMPLETE", "epochs": 2}),
        _signed({"event": "epoch", "trial_id": "alexnet-0", "epoch": 4}),
        _signed({"event": "epoch", "trial_id": "alexnet-0", **vars(epoch(4))}),
        _signed({"event": "ask", "arch": "alexnet"}),
        _signed({"event": "ask", "arch": "alexnet", "number": 0, "values": {"lr": 1e-3, "dropout": 0.0}}),
    ],
)
def test_a_line_that_does_not_belong_is_named_and_dropped(journal: Path, line: bytes) -> None:
    before = _filled(journal)
    whole = journal.read_bytes()
    lines = whole.splitlines()
    damaged = b"\n".join([*lines[:6], line, *lines[6:]]) + b"\n"
    journal.write_bytes(damaged)
    ledger = Ledger(journal)
    copy = journal.with_name("journal.jsonl.damaged-1")
    assert ledger.damage == (
        f"{journal} is damaged: line 7 dropped, the damaged file kept as {copy};"
        " trials that are trained again or go on: alexnet-1"
    )
    assert _view(ledger) == _view(before)
    assert journal.read_bytes() == whole
    assert copy.read_bytes() == damaged
    assert Ledger(journal).damage is None


def test_one_changed_digit_costs_the_rest_of_one_trial(journal: Path) -> None:
    _filled(journal)
    content = journal.read_bytes()
    assert content.count(b'"val_loss": 0.75') == 1
    journal.write_bytes(content.replace(b'"val_loss": 0.75', b'"val_loss": 0.25'))
    ledger = Ledger(journal)
    assert "lines 8, 9 dropped" in (ledger.damage or "")
    assert [row.epoch for row in ledger.trial("alexnet-0").history] == [1, 2]
    assert [trial.status for trial in ledger.trials()] == [None, "PRUNED", None]


def test_a_trial_whose_configuration_is_lost_was_not_asked_for(journal: Path) -> None:
    _filled(journal)
    for number in (1, 2):
        lines = journal.read_bytes().splitlines(keepends=True)
        journal.write_bytes(b"".join([b"\n", *lines[1:]]))
        ledger = Ledger(journal)
        assert "trials that are trained again or go on: " in (ledger.damage or "")
        assert journal.with_name(f"journal.jsonl.damaged-{number}").exists(), "an earlier copy stays"
    assert ledger.damage is not None and "lines 1, 2, 3 dropped" in ledger.damage
    assert [trial.trial_id for trial in ledger.trials()] == ["alexnet-1"]
    assert [ledger.next_number(arch) for arch in ("alexnet", "mobilenet")] == [0, 0]
    ledger.ask("alexnet", 0, {"lr": 2e-3, "dropout": 0.5})
    assert ledger.next_number("alexnet") == 2


def test_many_dropped_lines_are_not_all_listed(journal: Path) -> None:
    _filled(journal)
    journal.write_bytes(b"x\n" * 7 + journal.read_bytes())
    assert "lines 1, 2, 3, 4, 5 and 2 more dropped" in (Ledger(journal).damage or "")


@pytest.mark.parametrize("lost", range(6))
def test_a_trial_that_was_trained_again_never_skips_an_epoch(journal: Path, lost: int) -> None:
    ledger = Ledger(journal)
    ledger.ask("alexnet", 0, {"lr": 1e-3, "dropout": 0.5})
    for number in (1, 2, 3):
        ledger.report("alexnet-0", epoch(number, 1 / number))
    ledger.report("alexnet-0", epoch(2, 0.6))
    ledger.report("alexnet-0", epoch(3, 0.5))
    ledger.end("alexnet-0", "COMPLETE")
    lines = journal.read_bytes().splitlines(keepends=True)
    del lines[1 + lost]
    journal.write_bytes(b"".join(lines))
    trial = Ledger(journal).trial("alexnet-0")
    losses = [1.0, 0.6, 0.5]
    # The first attempt's epochs 2 and 3 and the line that takes them back are not needed.
    kept, status = {0: (0, None), 4: (1, None), 5: (2, None)}.get(lost, (3, "COMPLETE"))
    assert [row.val_loss for row in trial.history] == losses[:kept]
    assert trial.status == status


def test_no_journal_is_an_empty_ledger(journal: Path) -> None:
    ledger = Ledger(journal)
    assert ledger.trials() == []
    assert not journal.exists()
    assert list(ledger.trials_table().columns) == list(TRIAL_COLUMNS)
    assert list(ledger.history_table().columns) == list(HISTORY_COLUMNS)
    assert len(ledger.trials_table()) == len(ledger.history_table()) == 0


def test_the_table_of_trials(journal: Path) -> None:
    ledger = _filled(journal)
    ledger.report("alexnet-1", epoch(1, math.nan))
    ledger.end("alexnet-1", "DIVERGED")
    ledger.ask("mobilenet", 1, {"lr": 2e-3, "dropout": 0.1})
    table = ledger.trials_table()
    assert list(table.columns) == list(TRIAL_COLUMNS)
    assert table["trial_id"].tolist() == ["alexnet-0", "alexnet-1", "mobilenet-0"], "by network, ended ones alone"
    assert table["status"].tolist() == ["STOPPED_EARLY", "DIVERGED", "PRUNED"]
    assert table["is_baseline"].tolist() == [True, False, True]
    assert table.loc[0, ["epochs", "best_epoch", "val_accuracy", "val_loss", "seconds"]].tolist() == [
        *(3, 2, 0.6, 0.7, 0.75)
    ]
    assert table.loc[1, ["best_epoch", "val_accuracy", "val_loss"]].isna().all()
    assert "2.0" not in table.loc[[0]].to_csv(columns=["best_epoch"]), "a whole number, though one is missing"


def test_the_table_of_epochs(journal: Path) -> None:
    ledger = _filled(journal)
    ledger.report("alexnet-1", EpochResult(1, math.inf, math.nan, 0.1, 2.0))
    table = ledger.history_table()
    assert list(table.columns) == list(HISTORY_COLUMNS)
    assert table["trial_id"].tolist() == ["mobilenet-0", "alexnet-0", "alexnet-0", "alexnet-0", "alexnet-1"]
    assert table["arch"].tolist()[:2] == ["mobilenet", "alexnet"]
    assert table["val_loss"].tolist()[:4] == [0.9, 0.8, 0.7, 0.75]
    assert pd.isna(table["train_loss"].iloc[4])
    assert pd.isna(table["val_loss"].iloc[4])


def test_scores_are_those_of_the_weights_kept() -> None:
    losses, accuracies = (0.9, 0.7, 0.8, 0.7, 0.6), (0.1, 0.5, 0.9, 0.8, 0.4)
    rows = [epoch(number, *pair) for number, pair in enumerate(zip(losses, accuracies, strict=True), start=1)]
    assert Trial("alexnet", 3, {"lr": 1e-3, "dropout": 0.0}, history=rows).scores() == [0.1, 0.5, 0.5, 0.5, 0.4]


def test_a_journal_of_epochs_whose_validation_was_not_timed_is_whole(journal: Path) -> None:
    journal.parent.mkdir()
    ask = {
        "event": "ask",
        "arch": "alexnet",
        "number": 0,
        "lr": 0.001,
        "dropout": 0.5,
    }
    row = {"epoch": 1, "train_loss": 1.0, "val_loss": 1.0, "val_accuracy": 0.5, "seconds": 0.25}
    lines = [_signed(ask), _signed({"event": "epoch", "trial_id": "alexnet-0", **row})]
    journal.write_bytes(b"".join(line + b"\n" for line in lines))
    ledger = Ledger(journal)
    assert ledger.damage is None
    assert ledger.trial("alexnet-0").history == [epoch(1)]


def _older(journal: Path, *rows: bytes) -> Ledger:
    """A journal as older versions wrote it: one trial whose end does not name its epochs."""
    ask = {"event": "ask", "arch": "alexnet", "number": 0, "lr": 0.001, "dropout": 0.5}
    end = {"event": "end", "trial_id": "alexnet-0", "status": "COMPLETE"}
    journal.parent.mkdir(exist_ok=True)
    journal.write_bytes(b"".join(line + b"\n" for line in (_signed(ask), *rows, _signed(end))))
    return Ledger(journal)


def test_a_journal_of_an_older_version_is_read(journal: Path) -> None:
    first, second = (_signed({"event": "epoch", "trial_id": "alexnet-0", **vars(epoch(number))}) for number in (1, 2))
    trial = Trial("alexnet", 0, {"lr": 0.001, "dropout": 0.5}, "COMPLETE", history=[epoch(1), epoch(2)])
    assert _older(journal, first, second).trials() == [trial]
    assert _older(journal, b"x", first, second).trials() == [trial]
    for damaged in ((first, b"x"), (b"x", second), (b"x",)):
        assert _older(journal, *damaged).trial("alexnet-0").status is None
