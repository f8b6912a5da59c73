"""A folder of two classes."""

from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest


@pytest.fixture
def root(put: Callable[..., Path], tmp_path: Path) -> Path:
    """Two classes with two pictures each in train and in test."""
    names = product(("train", "test"), ("cat", "dog"), (0, 1))
    for seed, (part, kind, number) in enumerate(names):
        put(f"{part}/{kind}/{number}.png", seed)
    return tmp_path / "pets"
