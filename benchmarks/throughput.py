"""How long is one training step, compared with a plain PyTorch loop and with the machine's limit?

    python -m benchmarks.throughput --data-dir PATH

trains each network at batch 128 with Adam. Each side has a process, and the sides take turns, round after round:

- "this project" is the project's training pass.
- "plain PyTorch" is a float32 loop as tutorials write it, with ImageFolder, ToTensor, Normalize and two loader workers
  (eight with a GPU).
- "the limit" is explained in benchmarks/limits.py.

The start and the end of an epoch are not counted, such as the start of loader workers. The first round warms up and is
not counted either. This project's process keeps freed memory as its workers do, and the other uses glibc's defaults.
Without a folder the images are scikit-learn's digits, written as JPEG.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.utils.data import DataLoader, Subset
from torchvision import transforms
from torchvision.datasets import ImageFolder

from analysis.paths import user_path
from benchmarks.limits import DEVICE, ON_GPU, seconds_at_limit
from benchmarks.plain import plain_network
from benchmarks.processes import ThisProcess, processes
from models.data import LabelledImages, Split, TrainingData
from models.networks.registry import ARCHITECTURES
from models.precision import resolve
from models.randomness import RunSeeds
from models.training.loop import TrainingRun
from models.training.recipe import BASELINE_LEARNING_RATE, BATCH_SIZE, TrainingConfig, baseline_values
from study.data import datasets

LOADER_WORKERS = 8 if ON_GPU else 2
# Each worker of the plain loop keeps two batches ready. One more batch is over when its clock begins.
UNCOUNTED_BATCHES = 2 * LOADER_WORKERS + 1
# CIFAR-10 has this number of training images without its validation split.
EPOCH_IMAGES = 45_000
STEPS = 80 if ON_GPU else 24


@dataclass(frozen=True)
class Setting:
    """Names the network and the data of a side.

    Attributes:
        folder: a folder with a folder of images for each class.
        images: number of images used, a multiple of the batch size.
        batch_size: number of images of a step.
        threads: number of torch's threads.
    """

    arch: str
    folder: Path
    images: int
    batch_size: int
    threads: int

    @property
    def steps(self) -> int:
        return self.images // self.batch_size


Round = Callable[[], float]
"""Trains one epoch and returns the seconds of one step."""


def project(setting: Setting) -> Round:
    torch.set_num_threads(setting.threads)
    images = _decoded(setting.folder, setting.images)
    split = Split(np.arange(setting.images), np.arange(10))
    values = baseline_values(ARCHITECTURES[setting.arch].baseline)
    config = TrainingConfig(values, 10_000, 10_000, batch_size=setting.batch_size)
    data = TrainingData.from_split(images, split, 10)
    run = TrainingRun(ARCHITECTURES[setting.arch], config, data, RunSeeds.of(0), DEVICE, resolve("auto", DEVICE))
    return lambda: run.train_epoch().seconds / setting.steps


def plain(setting: Setting) -> Round:
    torch.set_num_threads(setting.threads)
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))])
    folder = ImageFolder(setting.folder, transform)
    # There are more batches than are counted, so that the workers are busy as long as the clock runs.
    dataset = Subset(folder, _chosen(folder, setting.images + UNCOUNTED_BATCHES * setting.batch_size))
    # PyTorch forks workers on Linux by default. This process was spawned, so it would spawn them.
    loader = DataLoader(
        dataset,
        batch_size=setting.batch_size,
        shuffle=True,
        num_workers=LOADER_WORKERS,
        multiprocessing_context="fork",
    )
    architecture = ARCHITECTURES[setting.arch]
    model = plain_network(architecture, 10, float(architecture.baseline["dropout"])).train().to(DEVICE)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=BASELINE_LEARNING_RATE)

    def epoch() -> float:
        start = running_loss = 0.0
        for step, (inputs, labels) in enumerate(loader):
            if step == 1:
                start = time.perf_counter()
            optimizer.zero_grad()
            loss = criterion(model(inputs.to(DEVICE)), labels.to(DEVICE))
            loss.backward()
            optimizer.step()
            running_loss += loss.item()
            if step == setting.steps:
                return (time.perf_counter() - start) / setting.steps
        raise AssertionError("the data set is too small")

    return epoch


SIDES: dict[str, Callable[[Setting], Round]] = {"this project": project, "plain PyTorch": plain}


@cache
def _prepared(side: str, setting: Setting) -> Round:
    return SIDES[side](setting)


def _round(side: str, setting: Setting) -> float:
    """Trains one epoch in the process of a side; prepares it at the first call."""
    return _prepared(side, setting)()


def _chosen(folder: ImageFolder, images: int) -> list[int]:
    """Returns indices of images drawn from all classes; if there are too few images, some are drawn again."""
    order: list[int] = np.resize(np.random.default_rng(0).permutation(len(folder)), images).tolist()
    return order


@cache
def _decoded(path: Path, count: int) -> LabelledImages:
    folder = ImageFolder(path)
    pairs = [folder[index] for index in _chosen(folder, count)]
    images = np.stack([np.asarray(image, dtype=np.uint8) for image, _ in pairs])
    return LabelledImages(images, np.array([label for _, label in pairs]))


def measure(
    folder: Path, images: int, batch_size: int, threads: int, rounds: int, pools: Mapping[str, Executor]
) -> list[dict[str, Any]]:
    """Returns a row for each network, side and round with the seconds of one step. The limit counts as a side.

    An extra first round warms up. If `rounds` is 0, the extra round is the result.

    Args:
        folder: a folder with a folder of images for each class.
        images: number of images of an epoch, a multiple of the batch size.
        batch_size: number of images of a step.
        threads: number of torch's threads.
        rounds: number of rounds that count.
        pools: does the work of each side, by its name.
    """
    rows = []
    begun = time.perf_counter()
    for number in range(rounds + 1):
        for arch in ARCHITECTURES:
            setting = Setting(arch, folder, images, batch_size, threads)
            for side, pool in pools.items():
                limit = (seconds_at_limit, arch, threads, batch_size)
                seconds = pool.submit(*(limit if side == "the limit" else (_round, side, setting))).result()
                # A run that is cut off has printed its results so far.
                found = f"round {number}, {arch}, {side}: {1000 * seconds:.2f} ms a step"
                print(f"{time.perf_counter() - begun:.0f} s: {found}", file=sys.stderr, flush=True)
                if number > 0 or rounds == 0:
                    rows.append({"arch": arch, "side": side, "round": number, "seconds": seconds})
    return rows


@contextmanager
def _folder(data_dir: Path | None) -> Iterator[Path]:
    if data_dir:
        yield data_dir / "train"
        return
    with tempfile.TemporaryDirectory() as directory:
        train = datasets.load("digits", None).train
        for index, (image, label) in enumerate(zip(train.images, train.labels, strict=True)):
            path = Path(directory, str(label), f"{index}.jpg")
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(image).save(path)
        yield Path(directory)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data-dir", type=user_path, help="its train/ holds a folder of 32x32 images a class, of 10 classes"
    )
    parser.add_argument("--steps", type=int, default=STEPS, help="steps of an epoch, at most; a round is an epoch")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--quick", action="store_true", help="2 steps of 16 images, not warmed up, in one process")
    parser.add_argument("--json", type=user_path, help="write the rows there")
    options = parser.parse_args(arguments)
    batch_size = BATCH_SIZE
    if options.quick:
        options.steps, options.rounds, batch_size = 2, 0, 16
    if options.steps < 2:
        parser.error("--steps must be at least 2")
    with _folder(options.data_dir) as folder:
        steps = min(options.steps, len(ImageFolder(folder)) // batch_size)
        sides = (*SIDES, "the limit")
        one = nullcontext(dict.fromkeys(sides, ThisProcess()))
        with one if options.quick else processes(sides, keeps_memory="this project") as pools:
            rows = measure(folder, steps * batch_size, batch_size, options.threads, options.rounds, pools)
    _print(rows, batch_size, options.threads)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2))
    return 0


def _print(rows: Sequence[dict[str, Any]], batch_size: int, threads: int) -> None:
    table = Table(title=f"One training step of batch {batch_size}, {_place(threads)}; medians over rounds")
    for heading in (
        "network",
        "side",
        "ms a step",
        "images/s",
        f"s an epoch of {EPOCH_IMAGES:,}",
        "this project is faster by (range)",
    ):
        table.add_column(heading, justify="left" if heading in ("network", "side") else "right")
    for arch in ARCHITECTURES:
        times = {
            side: np.array([row["seconds"] for row in rows if (row["arch"], row["side"]) == (arch, side)])
            for side in (*SIDES, "the limit")
        }
        for side, seconds in times.items():
            ratios = seconds / times["this project"]
            middle = float(np.median(seconds))
            table.add_row(
                arch,
                side,
                f"{1000 * middle:.1f}",
                f"{batch_size / middle:.0f}",
                f"{EPOCH_IMAGES * middle / batch_size:.2f}",
                f"{np.median(ratios):.2f} ({ratios.min():.2f} to {ratios.max():.2f})",
            )
    Console(width=120).print(table)


def _place(threads: int) -> str:
    return torch.cuda.get_device_name(DEVICE) if ON_GPU else f"{threads} threads"


if __name__ == "__main__":
    raise SystemExit(main())
