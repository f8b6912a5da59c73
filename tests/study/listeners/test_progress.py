"""What a person sees: plain lines without a terminal, a table with one, and a time left that makes sense."""

import io
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest

from analysis.results.study_folder import StudyFolder
from study.listeners.progress import PLAIN_LINE_EVERY_SECONDS, Progress
from study.listeners.screen import Screen
from study.listeners.search_recorder import SearchRecorder
from study.listeners.work import Row, Unit
from study.search.ledger import Ledger
from study.search.search import Search
from study.settings.config import StudyConfig
from study.settings.networks import baseline_of
from tests.builders import epoch

SO_FAR = ("0 s", "60 s", "2 min", "3 min")


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


class File(io.StringIO):
    """Text in memory that may say it is a terminal."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._is_terminal = terminal

    def isatty(self) -> bool:
        return self._is_terminal


class Shown:
    """Keeps what is printed."""

    def __init__(self, *, terminal: bool = False) -> None:
        self._file = File(terminal=terminal)
        self.screen = Screen(file=self._file, force_terminal=terminal, width=100, height=40, color_system=None)

    @property
    def text(self) -> str:
        return self._file.getvalue()

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()


def _rows(done: int, seconds: float, planned: int = 4) -> list[Row]:
    return [Row("AlexNet", planned, {"complete": done}, 0.5 if done else None, epochs=3 * done, seconds=seconds)]


def test_plain_lines(clock: Clock) -> None:
    shown = Shown()
    with Progress(shown.screen) as progress:
        row = Row("AlexNet", 6, {"running": 1, "complete": 2, "pruned": 1, "failed": 0}, 0.912, epochs=17, seconds=0.0)
        other = Row("MobileNet-like, tuned", 6)
        progress.begin("Search", [row, other])
        progress.say("A [bold]word[/bold] of 12 \\ " + "x" * 200)
        clock.now += 125
        progress.finish([row])
    assert shown.lines == [
        "Search, 0 s so far: AlexNet 3/6 (1 running, 2 complete, 1 pruned), best val. accuracy 91.2%, 17 epochs;"
        " MobileNet-like, tuned 0/6, 0 epochs",
        "A [bold]word[/bold] of 12 \\ " + "x" * 200,
        "Search: AlexNet 3/6 (1 running, 2 complete, 1 pruned), best val. accuracy 91.2%, 17 epochs",
        "Search: done in 2 min",
    ]


def test_of_many_rows_a_plain_line_tells_those_that_run(clock: Clock) -> None:
    shown = Shown()
    with Progress(shown.screen) as progress:
        rows = [Row(name, 2, {"complete": done, "running": runs}) for name, done, runs in (("A", 2, 0), ("B", 1, 1))]
        progress.begin("Final runs", [*rows, Row("C", 2)])
        clock.now += 20
        progress.finish(rows)
    assert shown.lines == [
        "Final runs, 0 s so far: 3/6 done; B 1/2 (1 complete, 1 running), 0 epochs",
        "Final runs: A 2/2 (2 complete), 0 epochs",
        "Final runs: B 1/2 (1 complete, 1 running), 0 epochs",
        "Final runs: done in 20 s",
    ]


def test_no_terminal_codes_without_a_terminal(clock: Clock) -> None:
    shown = Shown()
    with Progress(shown.screen) as progress:
        progress.begin("Search", _rows(0, 0))
        for done in range(1, 5):
            clock.now += 60
            progress.update(_rows(done, 50.0 * done))
        progress.finish(_rows(4, 200))
        progress.say("bye")
    assert re.fullmatch(r"[\x20-\x7e\n]+", shown.text)


def test_plain_lines_are_seconds_apart(clock: Clock) -> None:
    shown = Shown()
    with Progress(shown.screen) as progress:
        progress.begin("Search", _rows(0, 0))
        for _ in range(100):
            clock.now += PLAIN_LINE_EVERY_SECONDS / 20
            progress.update(_rows(1, 1))
    assert 4 <= len(shown.lines) <= 6


def test_a_line_comes_each_minute_though_nothing_changes(clock: Clock) -> None:
    shown = Shown()
    with Progress(shown.screen) as progress:
        progress.beat()  # before any stage
        progress.begin("Search", _rows(0, 0))
        for _ in range(190):
            clock.now += 1
            progress.beat()
        progress.finish(_rows(4, 1))
        clock.now += 90
        progress.beat()  # after it
    assert shown.lines[:4] == [f"Search, {so_far} so far: AlexNet 0/4, 0 epochs" for so_far in SO_FAR]
    assert shown.lines[-1].startswith("Search: done in")


@pytest.mark.parametrize(
    ("done", "elapsed", "seconds", "left"),
    [
        (0, 100, 50, None),
        (1, 100, 80, "about 5 min"),
        (2, 100, 80, "about 2 min"),
        (3, 30, 80, "about 27 s"),
        (4, 100, 80, "a few seconds"),
        (2, 40_000, 80, "about 11.1 h"),
        (2, 100, 0, None),
    ],
)
def test_time_left(clock: Clock, done: int, elapsed: float, seconds: float, left: str | None) -> None:
    """Work left over the pace so far, but at least as long as one unit."""
    shown = Shown()
    with Progress(shown.screen) as progress:
        progress.begin("Search", _rows(0, 0))
        clock.now += elapsed
        progress.update(_rows(done, seconds))
    found = re.match(r"Search, .* so far(?:, (.*) left)?: ", shown.lines[-1])
    assert found is not None
    assert found[1] == left


def test_time_left_counts_both_networks_by_what_each_has_cost(clock: Clock) -> None:
    """1 of 2 dear ones is left (80 s of work) and 1 of 2 cheap ones (20 s); the dear one takes 80 s by itself."""
    shown = Shown()
    with Progress(shown.screen) as progress:
        progress.begin("Search", [Row("A", 2), Row("B", 2)])
        clock.now += 50
        progress.update([Row("A", 2, {"complete": 1}, seconds=80), Row("B", 2, {"complete": 1}, seconds=20)])
    assert shown.lines[-1].startswith("Search, 50 s so far, about 80 s left: ")


def _unit(arch: str, epoch: int, seconds: float, max_epochs: int = 10) -> Unit:
    return Unit(f"{arch}-1", arch, {"lr": 1e-3, "dropout": 0.25}, epoch, max_epochs, seconds, 1.25, 0.5, 1234.5)


def test_time_left_counts_what_the_running_have_done(clock: Clock) -> None:
    """Four runs take 20 s each. After 30 s at a pace of 2, two runs are done and two are half done."""
    shown = Shown()
    with Progress(shown.screen) as progress:
        progress.begin("Search", [Row("A", 4), Row("B", 2)])
        clock.now += 30
        half = Row("A", 4, {"complete": 2, "running": 2}, seconds=60, running=[_unit("a", 5, 10)] * 2)
        progress.update([half, Row("B", 2, {"complete": 2}, seconds=0)])
    assert shown.lines[-1].startswith("Search, 30 s so far, about 10 s left: ")


def test_a_unit_that_takes_longer_than_the_others_has_time_left_until_its_cap(clock: Clock) -> None:
    """Its 6 epochs took 60 s, where the other took 10 s: half of the 4 epochs left are 20 s, for it runs alone."""
    shown = Shown()
    with Progress(shown.screen) as progress:
        progress.begin("Search", [Row("A", 2)])
        clock.now += 35
        progress.update([Row("A", 2, {"complete": 1, "running": 1}, seconds=70, running=[_unit("a", 6, 60)])])
    assert shown.lines[-1].startswith("Search, 35 s so far, about 20 s left: ")


def test_the_search_tells_what_its_running_trials_have_done(clock: Clock, tmp_path: Path) -> None:
    """Of two trials of four epochs of 40 s each one is done, and half of the other."""
    shown, ledger = Shown(), Ledger(tmp_path / "journal.jsonl")
    with Progress(shown.screen) as progress:
        config = StudyConfig(trials=2, max_epochs=4, archs=("alexnet",))
        search = Search(config, {"alexnet": baseline_of(config, "alexnet")}, ledger)
        recorder = SearchRecorder(StudyFolder(tmp_path), progress, {"alexnet": "AlexNet"}, config, "digits", images=80)
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
    assert shown.lines[-1].startswith("Search, 4 min so far, about 80 s left: AlexNet 1/2 (1 running, 1 complete)")


def test_time_left_of_a_resumed_stage_is_at_the_pace_since(clock: Clock) -> None:
    """5 of 10 were done before, 1 since then in 20 s."""
    shown = Shown()
    with Progress(shown.screen) as progress:
        progress.begin("Search", _rows(5, 50, planned=10))
        assert shown.lines[-1].startswith("Search, 0 s so far: "), "no pace yet"
        clock.now += 20
        progress.update(_rows(6, 60, planned=10))
    assert shown.lines[-1].startswith("Search, 20 s so far, about 80 s left: ")


def test_a_terminal_shows_a_live_table() -> None:
    shown = Shown(terminal=True)
    with Progress(shown.screen) as progress:
        rows = [Row("AlexNet", 6, {"running": 1, "pruned": 2}, 0.912, epochs=17, running=[_unit("alexnet", 5, 10)])]
        rows.append(Row("Other", 6, {"failed": 1}))
        progress.begin("Search", rows)
        progress.end(replace(_unit("other", 3, 1), end="it failed: a reason"))
        progress.update(rows)
        time.sleep(0.6)  # the table is drawn four times a second
        drawn = shown.text
        progress.finish(rows)
        progress.say("bye")
    assert re.search(r"running +lr +dropout +epoch +loss +accuracy +images/s", drawn)
    assert re.search(r"alexnet-1 +0\.001 +0\.25 +5/10 +1\.250 +50\.0% +1,23[45]", drawn)
    assert re.search(r"ended last +epochs +because", drawn)
    assert re.search(r"other-1 +3 +it failed: a reason", drawn)
    last = shown.text[shown.text.index("Search: done in ") :]
    assert "\x1b" in shown.text
    assert re.search(r"best val\..*\n.*done +running +pruned +failed +accuracy +epochs", last)
    assert re.search(r"AlexNet +2/6 +1 +2 +0 +91\.2% +17", last)
    assert re.search(r"Other +1/6 +0 +0 +1 +0", last)
    assert "bye" in last


def test_columns_stay_while_a_stage_goes_on(clock: Clock, tmp_path: Path) -> None:
    """A trial that is the first to be pruned adds no column."""
    shown, config = Shown(terminal=True), StudyConfig(trials=2, max_epochs=4, archs=("alexnet",))
    search = Search(config, {"alexnet": baseline_of(config, "alexnet")}, Ledger(tmp_path / "journal.jsonl"))
    with Progress(shown.screen) as progress:
        recorder = SearchRecorder(StudyFolder(tmp_path), progress, {"alexnet": "AlexNet"}, config, "digits", images=80)
        recorder.begin(search)
        recorder.finish(search)
    assert re.search(r"done +running +complete +early +pruned +accuracy +epochs", shown.text)


def test_the_terminal_is_given_back_after_an_error() -> None:
    shown = Shown(terminal=True)
    with pytest.raises(ZeroDivisionError), Progress(shown.screen) as progress:
        progress.begin("Search", _rows(1, 1))
        _ = 1 / 0
    assert shown.text.rindex("\x1b[?25h") > shown.text.rindex("\x1b[?25l"), "the cursor is shown again"


@pytest.mark.parametrize("path", ["/data/:warning:/a", "/data/[red]/a"])
def test_paths_are_printed_as_they_are(path: str) -> None:
    shown = Shown()
    with Progress(shown.screen) as progress:
        progress.say(path)
    assert shown.lines == [path]


def test_a_quiet_study_shows_nothing_and_logs_all(tmp_path: Path) -> None:
    shown = Shown()
    shown.screen.study_log.open(tmp_path / "study.log")
    with Progress(shown.screen, quiet=True) as progress:
        progress.say("a line")
        progress.begin("Search", _rows(1, 10))
        progress.finish(_rows(1, 10))
        shown.screen.print("the verdict")
    shown.screen.study_log.close()
    assert shown.lines == ["the verdict"]
    lines = (tmp_path / "study.log").read_text().splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", line) for line in lines)
    assert [line[20:].split(",")[0].split(": ")[0] for line in lines] == [
        *("a line", "Search", "Search", "Search", "the verdict"),
    ]
