"""Whole studies in the test's own process, without Ray: for tests that are not about processes.

Such a study takes little processor time, because each process of Ray would import torch. Everything of a study runs
except what starts Ray, watches it and drives Ray Tune. Runs are made one after the other.
"""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout
from functools import partial
from importlib import import_module
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any, NamedTuple

import pytest
from ray.exceptions import RayTaskError

from analysis.retraining.turns import LEAST_ROUNDS
from models.data import TrainingData
from models.networks.registry import ARCHITECTURES, Architecture
from models.precision import training_device
from models.randomness import RunSeeds
from models.training.loop import TrainingRun
from study.cluster.capacity import machine_capacity
from study.cluster.failures import explain
from study.cluster.places.waiting import Demand, Waiting
from study.cluster.worker import WorkerSettings, train_with_checkpoints
from study.errors import UnfitNode
from study.run import main
from study.search.driver import SearchListener
from study.search.search import Search

# The module has the name that it has as a program: so a study that began in one of the two ways goes on in the other.
# Its networks are known while a study runs, and not to other tests.
_KNOWN = set(ARCHITECTURES)
with pytest.MonkeyPatch.context() as _patch:
    _patch.syspath_prepend(Path(__file__).parent / "programs")
    Here = import_module("own_networks").Here
_OWN = {name: ARCHITECTURES.pop(name) for name in ARCHITECTURES.keys() - _KNOWN}


def run_here(
    arguments: Sequence[str],
    cwd: Path,
    *,
    figures: bool = False,
    at_step: Callable[[], None] | None = None,
    streams: IO[str] | None = None,
) -> "subprocess.CompletedProcess[str]":
    """Run a study, for example of the networks of tests/programs/own_networks.py, to its end.

    Args:
        arguments: of `python -m study.run`.
        cwd: the current folder meanwhile.
        figures: True draws the report's figures, which takes most of its time.
        at_step: called before each training step of these networks; `interrupt_when` makes one.
        streams: takes standard output and error; None keeps them for what is returned.
    """
    out, err = StringIO(), StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(streams or out), redirect_stderr(streams or err):
        patch.chdir(cwd)
        patch.setenv("COLUMNS", "80")
        patch.setattr("sys.path", [*sys.path])
        for name, value in _REPLACED.items():
            patch.setattr(name, value)
        for name, own in _OWN.items():
            patch.setitem(ARCHITECTURES, name, own)
        patch.setattr(Here, "at_step", None if at_step is None else staticmethod(at_step))
        if not figures:
            patch.setattr("analysis.report.build.study_pictures", lambda *_: {})
        status = main([*arguments])
        _forget_modules(Path.cwd())
    return subprocess.CompletedProcess([*arguments], status, out.getvalue(), err.getvalue())


def _forget_modules(folder: Path) -> None:
    """Forget the user's modules, as the end of a process does."""
    for name, module in [*sys.modules.items()]:
        if (getattr(module, "__file__", None) or "").startswith(f"{folder}/"):
            del sys.modules[name]


def interrupt_when(condition: Callable[[], object]) -> Callable[[], None]:
    """Return a function for `at_step` that interrupts the study once the condition holds, as Ctrl-C does."""

    def look() -> None:
        if condition():
            signal.raise_signal(signal.SIGINT)

    return look


# The exceptions that a faulty network raises.
_FAULTS = (ArithmeticError, RuntimeError)


@contextmanager
def _working() -> Iterator[None]:
    """Do the work of a worker in this process."""
    Here.is_worker = True
    try:
        yield
    finally:
        Here.is_worker = False


@contextmanager
def _no_ray(address: str | None) -> Iterator[Any]:
    assert address is None
    yield machine_capacity()


def _search(
    search: Search,
    architectures: Mapping[str, Architecture],
    data: TrainingData,
    settings: WorkerSettings,
    placement: object,
    slots: object,
    state: object,
    listener: SearchListener,
    watch: Callable[[], None],
    look: object,
    discard: Callable[[str], None],
) -> None:
    """Do what the Tuner and its workers do, one trial after the other. A trial fails at its first failure."""
    while (trial := search.next_trial()) is not None:
        listener.on_change(search)
        listener.on_step(search)
        recipe = search.recipe(trial)
        seeds = RunSeeds.of(settings.seed, "search", trial.arch, trial.number)
        failed = False
        try:
            run = TrainingRun(
                architectures[trial.arch], recipe, data, seeds, training_device(), settings.precision, settings.kernels
            )
            results = train_with_checkpoints(run, settings.checkpoints, trial.trial_id)
            while (result := _next(results)) is not None:
                watch()
                stops = search.report(trial.trial_id, result)
                listener.on_change(search)
                listener.on_step(search)
                if stops:
                    break
        except _FAULTS as error:
            search.ledger.note_error(trial.trial_id, f"{explain(error)}\n")
            failed = True
        search.end(trial.trial_id, failed=failed)
        discard(trial.trial_id)
        listener.on_change(search)


def _next(results: Iterator[Any]) -> Any:
    with _working():
        return next(results, None)


class _Results:
    """Gives the results of a task one by one, as Ray's streaming generator does."""

    def __init__(self, results: Iterator[Any]) -> None:
        self._results = results

    def __next__(self) -> Any:
        try:
            return _next(self._results)
        except _FAULTS as error:
            raise RayTaskError("task", repr(error), error) from error
        except UnfitNode as error:
            raise RayTaskError("task", repr(error), error).as_instanceof_cause() from error

    def completed(self) -> "_Results":
        return self


class _Task(NamedTuple):
    function: Callable[..., Any]

    def options(self, **options: object) -> "_Task":
        return self

    def remote(self, *arguments: Any) -> Any:
        result = self.function(*arguments)
        return _Results(result) if isinstance(result, Iterator) else result


def _refuse(*arguments: object, **options: object) -> Any:
    raise AssertionError("a study in this process starts no Ray")


def _remote(function: Callable[..., Any] | None = None, **options: object) -> Any:
    return _Task if function is None else _Task(function)


_REPLACED: dict[str, Any] = {
    "study.workflow.ray_session": _no_ray,
    "study.workflow.lifeline": lambda *_: nullcontext(),
    "study.workflow.Waiting": partial(Waiting, ask=Demand),
    "study.stages.run_search": _search,
    "ray.init": _refuse,  # some of Ray's functions would start it
    "ray.nodes": list,
    "ray.put": lambda value: value,
    "ray.get": lambda value: value,
    "ray.wait": lambda references, **_: (references[:1], references[1:]),
    "ray.remote": _remote,
    "ray.get_runtime_context": lambda: SimpleNamespace(get_node_id=lambda: "here"),
    # No test looks at the times that are measured.
    "analysis.retraining.latency.THROUGHPUT_BATCH_SIZE": 1,
    "analysis.retraining.turns.CALLS_PER_ROUND": 5,
    "analysis.retraining.turns.MOST_ROUNDS": LEAST_ROUNDS,
}
