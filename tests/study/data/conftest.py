"""A cache of its own for each test, and folders of pictures that differ."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def picture(seed: int, size: int = 96) -> Image.Image:
    """A smooth picture with contrast, unlike the pictures of other seeds."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)


@pytest.fixture
def put(tmp_path: Path) -> Callable[..., Path]:
    """Writes pictures: put("train/cat/1.png", seed)."""

    def write(name: str, seed: int, quality: int | None = None, size: int = 96) -> Path:
        path = tmp_path / "pets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        options = {} if quality is None else {"quality": quality}
        picture(seed, size).save(path, **options)
        return path

    return write
