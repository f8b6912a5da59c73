"""Plays the study's own search with many trials at a time, without Ray: what the driver's own parts cost.

The searcher, the rungs, the journal on disk, the tables and the lines of the screen are the study's. Learning curves
are replayed, and epochs take no time, so each figure is the most that this driver could do. Ray Tune's own share comes
on top; `benchmarks.scale` without `--at-a-time` has it.
"""

import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import optuna

from analysis.results.study_folder import StudyFolder
from benchmarks.replayed_training import result
from models.training.history import EpochResult
from study.listeners.progress import Progress
from study.listeners.screen import Screen
from study.listeners.search_recorder import SearchRecorder
from study.search.ledger import Ledger
from study.search.search import Search
from study.search.trial import Trial
from study.settings.config import StudyConfig
from study.settings.networks import baseline_of

MAX_EPOCHS = 18
# Ray Tune's loop comes round at least this often.
STEP_SECONDS = 0.1


class _Clock:
    """Counts the calls of a part of the driver, and their seconds of processor time."""

    def __init__(self) -> None:
        self.calls, self.seconds = 0, 0.0

    def __enter__(self) -> None:
        self._begun = time.process_time()

    def __exit__(self, *_: object) -> None:
        self.calls += 1
        self.seconds += time.process_time() - self._begun

    @property
    def rate(self) -> float:
        return self.calls / self.seconds


def play(at_a_time: int, trials: int) -> dict[str, Any]:
    """Plays a search.

    Args:
        at_a_time: trials that run at a time.
        trials: trials of both networks together, even, more than `at_a_time`.

    Returns:
        The row: trials, at_a_time, proposals_per_second (once all places are taken), epochs_per_second,
        driver_cpu_seconds_per_trial, peak_memory_mb. Rates are of processor time.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    config = StudyConfig(dataset="digits", trials=trials // 2, max_epochs=MAX_EPOCHS)
    baselines = {arch: baseline_of(config, arch) for arch in config.archs}
    begun = time.process_time()
    proposals, reports, ends = _Clock(), _Clock(), _Clock()
    with tempfile.TemporaryDirectory() as directory, Progress(Screen(quiet=True)) as progress:
        folder = StudyFolder(Path(directory) / "many")
        search = Search(config, baselines, Ledger(folder.journal))
        recorder = SearchRecorder(folder, progress, {arch: arch for arch in config.archs}, config, "replayed", images=1)
        recorder.begin(search)
        running: list[tuple[Trial, np.random.Generator]] = []
        next_step = 0.0
        while len(running) < at_a_time:
            running.append(_begin(search, recorder, _Clock()))
        while running:
            for place in list(running):
                trial, rng = place
                lr, dropout = (float(trial.values[name]) for name in ("lr", "dropout"))
                row = EpochResult(**result(lr, dropout, len(trial.history) + 1, rng))
                with reports:
                    stops = search.report(trial.trial_id, row)
                    recorder.on_change(search)
                    if time.monotonic() >= next_step:
                        recorder.on_step(search)
                        next_step = time.monotonic() + STEP_SECONDS
                if stops or search.is_over(trial):  # in a study, the worker knows that a trial is over
                    with ends:
                        search.end(trial.trial_id)
                        recorder.on_change(search)
                    running.remove(place)
                    if len(search.ledger.trials()) < trials:
                        running.append(_begin(search, recorder, proposals))
        recorder.finish(search)
    return {
        "trials": trials,
        "at_a_time": at_a_time,
        "proposals_per_second": proposals.rate,
        "epochs_per_second": reports.calls / (reports.seconds + ends.seconds),
        "driver_cpu_seconds_per_trial": (time.process_time() - begun) / trials,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _begin(search: Search, recorder: SearchRecorder, clock: _Clock) -> tuple[Trial, np.random.Generator]:
    """Ask for the next trial. Return it with the source of its noise."""
    with clock:
        trial = search.next_trial()
        recorder.on_change(search)
    assert trial is not None
    return trial, np.random.default_rng([trial.number, int(float(trial.values["lr"]) * 1e9)])
