"""What a person sees: plain lines without a terminal, a table with one, and a time left that makes sense."""

import io
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from analysis.results.study_folder import StudyFolder
from study.listeners.progress import PLAIN_LINE_EVERY_SECONDS, Progress, Row
from study.listeners.search_recorder import SearchRecorder
from study.search.ledger import Ledger
from study.search.search import Search
from study.settings.config import StudyConfig
from tests.builders import epoch


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


class Screen:
    """A console that keeps what is printed."""

    def __init__(self, *, terminal: bool = False) -> None:
        self._file = io.StringIO()
        self.console = Console(file=self._file, force_terminal=terminal, width=100, color_system=None)

    @property
    def text(self) -> str:
        return self._file.getvalue()

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()


def _rows(done: int, seconds: float, planned: int = 4) -> list[Row]:
    return [Row("AlexNet", planned, {"complete": done}, 0.5 if done else None, epochs=3 * done, seconds=seconds)]


def test_plain_lines(clock: Clock) -> None:
    screen = Screen()
    with Progress(screen.console) as progress:
        row = Row("AlexNet", 6, {"running": 1, "complete": 2, "pruned": 1, "failed": 0}, 0.912, epochs=17, seconds=0.0)
        other = Row("MobileNet-like, tuned", 6, score="mean")
        progress.begin("Search", [row, other])
        progress.say("A [bold]word[/bold] of 12 \\ " + "x" * 200)
        clock.now += 125
        progress.finish([row])
    assert screen.lines == [
        "Search: AlexNet 3/6 (1 running, 2 complete, 1 pruned), best 91.2%, 17 epochs;"
        " MobileNet-like, tuned 0/6, 0 epochs",
        "A [bold]word[/bold] of 12 \\ " + "x" * 200,
        "Search: AlexNet 3/6 (1 running, 2 complete, 1 pruned), best 91.2%, 17 epochs",
        "Search: done in 2 min",
    ]


def test_of_many_rows_a_plain_line_tells_those_that_run(clock: Clock) -> None:
    screen = Screen()
    with Progress(screen.console) as progress:
        rows = [Row(name, 2, {"complete": done, "running": runs}) for name, done, runs in (("A", 2, 0), ("B", 1, 1))]
        progress.begin("Final runs", [*rows, Row("C", 2)])
        clock.now += 20
        progress.finish(rows)
    assert screen.lines == [
        "Final runs: 3/6 done; B 1/2 (1 complete, 1 running), 0 epochs",
        "Final runs: A 2/2 (2 complete), 0 epochs",
        "Final runs: B 1/2 (1 complete, 1 running), 0 epochs",
        "Final runs: done in 20 s",
    ]


def test_no_terminal_codes_without_a_terminal(clock: Clock) -> None:
    screen = Screen()
    with Progress(screen.console) as progress:
        progress.begin("Search", _rows(0, 0))
        for done in range(1, 5):
            clock.now += 60
            progress.update(_rows(done, 50.0 * done))
        progress.finish(_rows(4, 200))
        progress.say("bye")
    assert re.fullmatch(r"[\x20-\x7e\n]+", screen.text)


def test_plain_lines_are_seconds_apart(clock: Clock) -> None:
    screen = Screen()
    with Progress(screen.console) as progress:
        progress.begin("Search", _rows(0, 0))
        for _ in range(100):
            clock.now += PLAIN_LINE_EVERY_SECONDS / 20
            progress.update(_rows(1, 1))
    assert 4 <= len(screen.lines) <= 6


@pytest.mark.parametrize(
    ("done", "elapsed", "seconds", "left"),
    [
        (0, 100, 50, None),
        (1, 100, 80, "5 min"),
        (2, 100, 80, "2 min"),
        (3, 30, 80, "10 s"),
        (4, 100, 80, "0 s"),
        (2, 40_000, 80, "11.1 h"),
        (2, 100, 0, None),
    ],
)
def test_time_left(clock: Clock, done: int, elapsed: float, seconds: float, left: str | None) -> None:
    """Work left over the pace so far."""
    screen = Screen()
    with Progress(screen.console) as progress:
        progress.begin("Search", _rows(0, 0))
        clock.now += elapsed
        progress.update(_rows(done, seconds))
    found = re.match(r"Search(?:, about (.*) left)?: ", screen.lines[-1])
    assert found is not None
    assert found[1] == left


def test_time_left_counts_both_networks_by_what_each_has_cost(clock: Clock) -> None:
    """1 of 2 dear ones is left (90 s of work) and 1 of 2 cheap ones (10 s), after 50 s at a pace of 2."""
    screen = Screen()
    with Progress(screen.console) as progress:
        progress.begin("Search", [Row("A", 2), Row("B", 2)])
        clock.now += 50
        progress.update([Row("A", 2, {"complete": 1}, seconds=90), Row("B", 2, {"complete": 1}, seconds=10)])
    assert screen.lines[-1].startswith("Search, about 50 s left: ")


def test_time_left_counts_what_the_running_have_done(clock: Clock) -> None:
    """Of 4 of 20 s each 2 are done and 2 half done, after 30 s at a pace of 2; one that takes longer owes nothing."""
    screen = Screen()
    with Progress(screen.console) as progress:
        progress.begin("Search", [Row("A", 4), Row("B", 2)])
        clock.now += 30
        half = Row("A", 4, {"complete": 2, "running": 2}, seconds=60, under_way=20)
        longer = Row("B", 2, {"complete": 1, "running": 1}, seconds=0, under_way=0)
        progress.update([half, longer])
        assert screen.lines[-1].startswith("Search, about 10 s left: ")
        clock.now += 30
        late = Row("B", 2, {"complete": 1, "running": 1}, seconds=60, under_way=50)
        progress.update([half, late])
    assert screen.lines[-1].startswith("Search, about 10 s left: ")


def test_the_search_tells_what_its_running_trials_have_done(clock: Clock, tmp_path: Path) -> None:
    """Of two trials of four epochs of 40 s each one is done, and half of the other."""
    screen, ledger = Screen(), Ledger(tmp_path / "journal.jsonl")
    with Progress(screen.console) as progress:
        recorder = SearchRecorder(StudyFolder(tmp_path), progress, {"alexnet": "AlexNet"}, planned=2)
        config = StudyConfig(trials=2, max_epochs=4, archs=("alexnet",))
        search = Search(config, {"alexnet": config.baseline_training("alexnet")}, ledger)
        recorder.begin(search)
        for epochs in (4, 2):
            trial = search.next_trial()
            assert trial
            for number in range(1, epochs + 1):
                clock.now += 40
                search.report(trial.trial_id, replace(epoch(number, 1 / number), seconds=40.0))
            if epochs == 4:
                search.end(trial.trial_id)
        recorder.on_change(search)
    assert screen.lines[-1].startswith("Search, about 80 s left: AlexNet 1/2 (1 complete, 1 running)")


def test_time_left_of_a_resumed_stage_is_at_the_pace_since(clock: Clock) -> None:
    """5 of 10 were done before, 1 since then in 20 s."""
    screen = Screen()
    with Progress(screen.console) as progress:
        progress.begin("Search", _rows(5, 50, planned=10))
        assert screen.lines[-1].startswith("Search: "), "no pace yet"
        clock.now += 20
        progress.update(_rows(6, 60, planned=10))
    assert screen.lines[-1].startswith("Search, about 80 s left: ")


def test_a_terminal_shows_a_live_table() -> None:
    screen = Screen(terminal=True)
    with Progress(screen.console) as progress:
        rows = [Row("AlexNet", 6, {"running": 1, "pruned": 2}, 0.912, epochs=17), Row("Other", 6, {"failed": 1})]
        progress.begin("Search", rows)
        progress.update(rows)
        progress.finish(rows)
        progress.say("bye")
    last = screen.text[screen.text.index("Search: done in 0 s") :]
    assert "\x1b" in screen.text
    assert re.search(r"done +running +pruned +failed +best +epochs", last)
    assert re.search(r"AlexNet +2/6 +1 +2 +0 +91\.2% +17", last)
    assert re.search(r"Other +1/6 +0 +0 +1 +0", last)
    assert "bye" in last


def test_the_terminal_is_given_back_after_an_error() -> None:
    screen = Screen(terminal=True)
    with pytest.raises(ZeroDivisionError), Progress(screen.console) as progress:
        progress.begin("Search", _rows(1, 1))
        _ = 1 / 0
    assert screen.text.rindex("\x1b[?25h") > screen.text.rindex("\x1b[?25l"), "the cursor is shown again"


@pytest.mark.parametrize("path", ["/data/:warning:/a", "/data/[red]/a"])
def test_paths_are_printed_as_they_are(path: str) -> None:
    screen = Screen()
    with Progress(screen.console) as progress:
        progress.say(path)
    assert screen.lines == [path]
