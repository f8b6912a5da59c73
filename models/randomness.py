"""Independent random streams, each named by what it is for, from one seed."""

import hashlib
from dataclasses import dataclass

import numpy as np


def stream(seed: int, *purpose: str | int) -> np.random.SeedSequence:
    """A SeedSequence that is independent of that of every other purpose (numpy's parallel random generation).

    Args:
        seed: non-negative; the one number that a whole study depends on.
        purpose: words and non-negative integers that name the stream, for example ("search", "alexnet", 3).
    """
    return np.random.SeedSequence(seed, spawn_key=tuple(_as_integer(part) for part in purpose))


def integer(sequence: np.random.SeedSequence, bits: int = 32) -> int:
    """A uniform integer in [0, 2**bits) for libraries that take no SeedSequence; bits is 32 or 64."""
    return int(sequence.generate_state(1, np.uint64 if bits == 64 else np.uint32)[0])


def _as_integer(part: str | int) -> int:
    if isinstance(part, int):
        return part
    return int.from_bytes(hashlib.sha256(part.encode()).digest()[:4], "big")


@dataclass(frozen=True)
class RunSeeds:
    """What one training run draws from: seeds of its data order, initial weights and dropout masks.

    They have 64 bits, of which torch's generator on a CPU uses 32.
    """

    order: int
    weights: int
    dropout: int

    @classmethod
    def of(cls, seed: int, *purpose: str | int) -> "RunSeeds":
        """The seeds of the run that `purpose` names."""
        return cls(*(integer(stream(seed, *purpose, part), bits=64) for part in ("order", "weights", "dropout")))
