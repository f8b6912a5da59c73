"""Where does the time of a training step on a CPU go?

    python -m benchmarks.operations

trains epochs of each network at batch 128 on random images, and times every operation of torch and every call of this
project's own C. The operations of Winograd's convolution count as a convolution. The rest of an epoch is Python, the
launching of operations and this timing. Ten images are validated. torch's profiler is not used: under it every large
tensor faults its pages again, which shifts the shares.
"""

import argparse
import multiprocessing
import os
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from typing import Any
from unittest import mock

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch.utils._python_dispatch import TorchDispatchMode

from models.data import LabelledImages, Split, TrainingData
from models.kernels import winograd
from models.kernels.norm_relu_pool import cpu as norm_relu_pool_cpu
from models.networks.registry import ARCHITECTURES
from models.precision import resolve
from models.randomness import RunSeeds
from models.training.loop import TrainingRun
from models.training.recipe import BATCH_SIZE, TrainingConfig, baseline_values
from study.cluster.environment import ALLOCATION

CPU = torch.device("cpu")
# Marks the code of this project.
OURS = "norm_relu_pool"
CONVOLUTION = "convolution"
# An operation is of the first kind of which its name contains a part.
KINDS = {
    "convolutions": (CONVOLUTION, "conv2d"),
    "other products": ("mm", "linear"),
    "batch normalisation, ReLU and pool in one": (OURS,),
    "batch normalisation": ("batch_norm",),
    "ReLU": ("relu", "threshold"),
    "pools": ("pool", "mean"),
    "Adam": ("adam",),
    "dropout": ("dropout", "bernoulli"),
    "images into a batch": ("index", "sub", "div.Tensor"),
}
OTHER, REST = "casts, copies and others", "between operations"


class OperationTimes(TorchDispatchMode):
    """Sums the seconds of operations by their kind while the context is entered."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: dict[str, float] = defaultdict(float)
        self._whole: str | None = None

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return self.watch(operation, self._whole or operation.name())(*args, **(kwargs or {}))

    def watch_whole(self, work: Callable[..., Any], name: str) -> Callable[..., Any]:
        """Wraps a function so that the operations that it runs count for the kind of that name."""

        def named(*args: Any, **kwargs: Any) -> Any:
            self._whole = name
            try:
                return work(*args, **kwargs)
            finally:
                self._whole = None

        return named

    def watch(self, work: Callable[..., Any], name: str) -> Callable[..., Any]:
        """Wraps a function so that its seconds count for the kind of that name."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            result = work(*args, **kwargs)
            self.seconds[_kind(name)] += time.perf_counter() - start
            return result

        return timed


def _kind(name: str) -> str:
    return next((kind for kind, parts in KINDS.items() if any(part in name for part in parts)), OTHER)


def measure(arch: str, threads: int, steps: int, rounds: int) -> dict[str, float]:
    """Measures the milliseconds of a step by kind, in the round with the median time, after a warm-up round."""
    torch.set_num_threads(threads)
    rng = np.random.default_rng(0)
    n = steps * BATCH_SIZE
    images = LabelledImages(rng.integers(0, 256, (n, 32, 32, 3), np.uint8), rng.integers(0, 10, n))
    config = TrainingConfig(baseline_values(ARCHITECTURES[arch].baseline), 10_000, 10_000)
    data = TrainingData.from_split(images, Split(np.arange(n), np.arange(10)), 10)
    run = TrainingRun(ARCHITECTURES[arch], config, data, RunSeeds.of(0), CPU, resolve("auto", CPU))
    run.train_epoch()
    found, call = [], norm_relu_pool_cpu.run_c
    passes = {name: getattr(winograd.Convolution, name) for name in ("forward", "backward")}
    for _ in range(rounds):
        with ExitStack() as patches:
            times = patches.enter_context(OperationTimes())
            patches.enter_context(mock.patch.object(norm_relu_pool_cpu, "run_c", times.watch(call, OURS)))
            for name, work in passes.items():
                watched = staticmethod(times.watch_whole(work, CONVOLUTION))
                patches.enter_context(mock.patch.object(winograd.Convolution, name, watched))
            start = time.perf_counter()
            run.train_epoch()
            seconds = time.perf_counter() - start
        parts = {**times.seconds, REST: seconds - sum(times.seconds.values())}
        found.append({kind: 1000 * part / steps for kind, part in parts.items()})
    return sorted(found, key=lambda parts: sum(parts.values()))[len(found) // 2]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=12, help="in a round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args(arguments)
    for arch in ARCHITECTURES:
        # The process keeps its memory, as workers do.
        os.environ.update(ALLOCATION)
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            parts = pool.submit(measure, arch, options.threads, options.steps, options.rounds).result()
        whole = sum(parts.values())
        table = Table(title=f"{arch}: one step of {whole:.1f} ms, {options.threads} threads", title_justify="left")
        table.add_column("operations")
        table.add_column("ms", justify="right")
        table.add_column("%", justify="right")
        for kind, milliseconds in sorted(parts.items(), key=lambda item: -item[1]):
            table.add_row(kind, f"{milliseconds:.2f}", f"{100 * milliseconds / whole:.1f}")
        Console(width=120).print(table)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
