"""Independent random streams from one seed, each named by its purpose."""

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch


def stream(seed: int, *purpose: str | int) -> np.random.SeedSequence:
    """Return a SeedSequence that is independent of the sequence of every other purpose.

    Args:
        seed: at least 0; the one number that a whole study depends on.
        purpose: words and non-negative integers that name the stream, for example ("search", "alexnet", 3).
    """
    return np.random.SeedSequence(seed, spawn_key=tuple(_as_integer(part) for part in purpose))


def integer(sequence: np.random.SeedSequence, bits: int = 32) -> int:
    """Return a uniform integer in [0, 2**bits) for libraries that take no SeedSequence; bits is 32 or 64."""
    return int(sequence.generate_state(1, np.uint64 if bits == 64 else np.uint32)[0])


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed the global generators of torch, numpy and random inside the block; restore their states after it."""
    of_numpy, of_python = np.random.get_state(), random.getstate()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        np.random.seed([seed % 2**32, seed >> 32])
        random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(of_numpy)
            random.setstate(of_python)


def _as_integer(part: str | int) -> int:
    if isinstance(part, int):
        return part
    return int.from_bytes(hashlib.sha256(part.encode()).digest()[:4], "big")


@dataclass(frozen=True)
class RunSeeds:
    """Holds the seeds of one training run: of its data order, its initial weights and its dropout masks.

    A seed has 64 bits; torch's generator on a CPU uses 32 of them.
    """

    order: int
    weights: int
    dropout: int

    @classmethod
    def of(cls, seed: int, *purpose: str | int) -> "RunSeeds":
        """Return the seeds of the run that `purpose` names."""
        return cls(*(integer(stream(seed, *purpose, part), bits=64) for part in ("order", "weights", "dropout")))
