"""Keeps a tracker up to date with a study's folder, in a process that can neither stop nor slow the study."""

import os
import shlex
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from analysis.command import typed_command
from analysis.results.files import DamagedFile
from analysis.results.study_folder import StudyFolder
from study.cluster.reaper import MARK
from study.errors import one_line
from study.track.runs import runs_of
from study.track.tracker import RUNNING, TITLES, Run, Tracker, open_tracker

# The folder is looked at this often, because the search writes its tables at most every 5 s.
LOOK_EVERY_SECONDS = 5.0
# A study waits at most this long at its end for a tracker to take the rest.
WAIT_AT_END_SECONDS = 15.0
_LONGEST_REASON = 200
_END = "end"


class Feed:
    """Gives a tracker what it lacks of the runs of one study."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._given: dict[str, str] = {}

    def give(self, runs: Sequence[Run]) -> None:
        """Bring the tracker up to these runs. A run that it has been given as it is costs nothing."""
        for run in runs:
            digest = run.digest()
            if self._given.get(run.key) == digest:
                continue
            held = self._tracker.begin(run)
            if held is not None:
                if held < len(run.epochs):
                    self._tracker.epoch(run, held + 1)
                if run.status != RUNNING:
                    self._tracker.end(run)
            self._given[run.key] = digest


@contextmanager
def live(folder: Path, names: Sequence[str], warn: Callable[[str], None]) -> Iterator[None]:
    """Keep trackers up to date with a study until the block ends, each in a process of its own.

    Args:
        folder: the study's folder.
        names: trackers, as TITLES names them.
        warn: prints a line. It is called once for a tracker that is away or fails, and this tracker gets no more.
    """
    children = []
    for name in names:
        try:
            children.append(_Child(folder, name, warn))
        except OSError as error:
            warn(_behind(folder, name, reason_of(error)))
    try:
        yield
    finally:
        for child in children:
            child.say_end()
        deadline = time.monotonic() + WAIT_AT_END_SECONDS
        for child in children:
            child.wait_until(deadline)


def _behind(folder: Path, name: str, reason: str) -> str:
    command = shlex.join([*typed_command("study.track").split(), str(folder), "--to", name])
    return f"{TITLES[name]} is behind ({reason}). The study goes on; give {TITLES[name]} the rest afterwards: {command}"


class _Child:
    def __init__(self, folder: Path, name: str, warn: Callable[[str], None]) -> None:
        self._folder, self._name, self._warn = folder, name, warn
        self._is_told = False
        # Its own process session: Ctrl-C does not reach it, and it ends when its input ends. The session's mark would
        # make it end with Ray, before the report.
        environment = {key: value for key, value in os.environ.items() if key != MARK}
        # It imports from where this process does, and not from the current folder before that (-P).
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "study.track", str(folder), "--to", name, "--follow"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env=environment,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def say_end(self) -> None:
        """Say that the study has ended, for now or for good."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended before; `wait_until` looks at how
            self._process.stdin.write(f"{_END}\n")
            self._process.stdin.close()

    def wait_until(self, deadline: float) -> None:
        """Wait for its end, and kill it at the deadline."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, deadline - time.monotonic()))
        with suppress(ProcessLookupError):  # also what the tracker's package started
            os.killpg(self._process.pid, signal.SIGKILL)
        status = self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()
        if status:
            self._tell("it takes too long" if status == -signal.SIGKILL else f"it ended with status {status}")

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._tell(line.strip())

    def _tell(self, reason: str) -> None:
        if not self._is_told:
            self._is_told = True
            self._warn(_behind(self._folder, self._name, reason))


def follow(folder: StudyFolder, name: str) -> int:
    """Keep a tracker up to date until standard input says that the study has ended. Print one line if it fails.

    If standard input ends without a word, the driver was killed, and this process ends at once.
    """
    os.nice(10)  # it gives way to training
    lines = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # the tracker's package prints, too
    has_ended = threading.Event()
    worker = threading.Thread(target=_follow, args=(folder, name, has_ended, lines), daemon=True)
    worker.start()
    if sys.stdin.readline().strip() != _END:
        os._exit(1)
    has_ended.set()
    worker.join()
    return 0


def _follow(folder: StudyFolder, name: str, has_ended: threading.Event, lines: IO[str]) -> None:
    try:
        _keep_up(folder, name, has_ended)
    except Exception as error:  # whatever a tracker's package raises, the study goes on
        lines.write(reason_of(error) + "\n")
        os._exit(0)


def _keep_up(folder: StudyFolder, name: str, has_ended: threading.Event) -> None:
    """Give the tracker what has changed, every few seconds and at the end."""
    tracker = open_tracker(name, folder)
    feed, seen, is_last = Feed(tracker), None, False
    while not is_last:
        is_last = has_ended.wait(LOOK_EVERY_SECONDS)
        look = _look(folder)
        if look == seen and not is_last:
            continue
        try:
            runs = runs_of(folder, is_live=not is_last)
        except (DamagedFile, FileNotFoundError):  # the study is just removing a run
            if is_last:
                raise
            continue
        feed.give(runs)
        seen = look
    tracker.close()


def reason_of(error: Exception) -> str:
    """Return in one short line why a tracker failed."""
    return textwrap.shorten(one_line(error), _LONGEST_REASON, placeholder=" ...")


def _look(folder: StudyFolder) -> tuple[object, ...]:
    """Return a value that changes when a file changes that `runs_of` reads."""
    names = ("study.json", "trials.csv", "history.csv", "report/summary.json", "report/report.html")
    stats = [path.stat() for name in names if (path := folder.path / name).exists()]
    return folder.final.numbers(), [(stat.st_mtime_ns, stat.st_size) for stat in stats]
