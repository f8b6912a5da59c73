"""Processes for the tasks of a benchmark, or this process for a short form."""

import multiprocessing
import os
import pickle
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from study.cluster.environment import ALLOCATION


class ThisProcess(Executor):
    """Does each task at once in this process, so that no process has to start and import torch.

    A task gets copies of its arguments, as another process would.
    """

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        threads = torch.get_num_threads()
        try:
            fn, args, kwargs = pickle.loads(pickle.dumps((fn, args, kwargs)))
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        finally:
            torch.set_num_threads(threads)
        return future


def workers(processes: int) -> Executor:
    """Returns what does tasks in this number of fresh processes, or in this process if it is 1."""
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(processes, mp_context=spawn) if processes > 1 else ThisProcess()


@contextmanager
def processes(names: Iterable[str], keeps_memory: str) -> Iterator[dict[str, Executor]]:
    """Yields a fresh process for each name.

    Args:
        names: names of the processes.
        keeps_memory: this process has glibc's settings of a study's workers; the others have glibc's defaults.
    """
    with ExitStack() as stack:
        spawn = multiprocessing.get_context("spawn")
        pools = {name: stack.enter_context(ProcessPoolExecutor(1, mp_context=spawn)) for name in names}
        started = []
        for name, pool in pools.items():
            with _without(() if name == keeps_memory else ALLOCATION):
                started.append(pool.submit(abs, 0))  # starts its process
        wait(started)
        yield {**pools}


@contextmanager
def _without(names: Iterable[str]) -> Iterator[None]:
    """Runs the block without these environment variables."""
    before = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(before)
