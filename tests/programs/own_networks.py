"""A user's file: adds networks of a few thousand weights, some of which have a fault, and runs a study of them.

A fault that the driver's check of networks would find shows in workers alone.

The report has no figures, which take most of its time.

If the environment variable GATE names a folder, each training step waits for a file in it and removes that file. So a
test decides how far a study comes. When the folder is gone, training goes on freely.
"""

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from models.networks.registry import Architecture, register
from study.run import main

GATE = "FAIRVERDICT_TEST_GATE"


def this_process() -> tuple[int, str]:
    """Return what names this process. The simulated machines of a cluster each number their processes from 1."""
    return os.getpid(), os.path.realpath("/proc/self/ns/pid")


# Ray's workers get this with the networks.
DRIVER = this_process()


class Here:
    """Holds the settings of tests/in_process.py, which trains in the driver's process.

    Attributes:
        is_worker: True while a trial or a run is made.
        at_step: called before each training step of a trial or a run.
    """

    is_worker = False
    at_step: Callable[[], None] | None = None


def is_driver() -> bool:
    """Return whether this is the driver at its own work, such as measuring a step."""
    return this_process() == DRIVER and not Here.is_worker


def wait_at_gate() -> None:
    """Wait for a file in the folder that GATE names, and remove it. The driver, which measures a step, never waits."""
    if is_driver():
        return
    if Here.at_step is not None:
        Here.at_step()
    gate = Path(os.environ[GATE]) if GATE in os.environ else None
    while gate is not None and gate.is_dir():
        with suppress(FileNotFoundError):
            for ticket in gate.iterdir():
                ticket.unlink()
                return
        time.sleep(0.01)


class Tiny(nn.Module):
    """A network of one hidden layer on 8x8 pixels."""

    def __init__(self, num_classes: int, dropout: float, width: int = 8) -> None:
        super().__init__()
        hidden = nn.Linear(3 * 8 * 8, width)
        self.layers = nn.Sequential(
            nn.AvgPool2d(4), nn.Flatten(), hidden, nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, num_classes)
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.training:
            wait_at_gate()
        logits: torch.Tensor = self.layers(images)
        return logits


class Blind(Tiny):
    """Sees no image, so it learns nothing but how frequent each class is."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(images * 0)


class Broken(Tiny):
    """Raises when it is trained."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.training and not is_driver():
            raise ArithmeticError("this network cannot count")
        return super().forward(images)


class Greedy(Tiny):
    """Asks for more memory than any machine has."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.training and not is_driver():
            torch.empty(10**15)
        return super().forward(images)


class Diverging(Tiny):
    """Has logits that are not numbers."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(images) * (1.0 if is_driver() else float("nan"))


class Misshapen(Tiny):
    """Takes two of the three channels."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(images[:, :2])


register(Architecture("tiny", "Tiny", Tiny, baseline={"dropout": 0.1}))
register(Architecture("small", "Small", partial(Tiny, width=16), baseline={"dropout": 0.0}))
register(Architecture("twin", "Twin", Tiny, baseline={"dropout": 0.1}))
register(Architecture("blind", "Blind", Blind, baseline={"dropout": 0.1}))
register(Architecture("broken", "Broken", Broken, baseline={"dropout": 0.1}))
register(Architecture("greedy", "Greedy", Greedy, baseline={"dropout": 0.1}))
register(Architecture("misshapen", "Misshapen", Misshapen, baseline={"dropout": 0.1}))
register(Architecture("diverging", "Diverging", Diverging, baseline={"dropout": 0.1}))

if __name__ == "__main__":
    catalogue: Any = SimpleNamespace(Picture=Any, study_pictures=lambda *_: {})
    sys.modules["analysis.figures.catalogue"] = catalogue
    sys.exit(main())
