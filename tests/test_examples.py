"""Each file of examples/ is a study that runs; here on few images, with one trial of one epoch."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file

from models.networks.registry import ARCHITECTURES
from tests.builders import ToyNet
from tests.in_process import run_here

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted(path.name for path in (ROOT / "examples").glob("*.toml"))
TINY = ["--trials", "1", "--max-epochs", "1", "--seeds", "1", "--confirm", "0", "--concurrency", "1"]
DIGITS = ["--dataset", "digits", "--train-size", "100"]


def _write_images(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for kind in ("cat", "dog"):
        (folder / kind).mkdir(parents=True)
        for number in range(12):
            pixels = rng.integers(0, 256, (40, 40, 3), np.uint8)
            Image.fromarray(pixels).save(folder / kind / f"{number}.png")


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = [*TINY, *DIGITS]
    if name == "torchvision_networks.toml":
        _write_images(tmp_path / "images")
        arguments = [*TINY, "--data-dir", "images"]
    if name == "fine_tuning.toml":
        save_file(ARCHITECTURES["alexnet"].build(10, {"dropout": 0.5}).state_dict(), tmp_path / "weights.safetensors")
    for documented in ("alexnet", "mobilenet"):  # the examples name them, and other tests train them
        toy = replace(ARCHITECTURES[documented], factory=ToyNet)
        monkeypatch.setitem(ARCHITECTURES, documented, toy)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    done = run_here(["--config", f"examples/{name}", *arguments, "--name", "tried"], tmp_path)
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "results" / "tried" / "report" / "summary.json").read_text())
    archs = json.loads((tmp_path / "results" / "tried" / "study.json").read_text())["config"]["archs"]
    assert {group.partition("-")[0] for group in summary["groups"]} == set(archs)


def test_every_kind_of_study_has_an_example() -> None:
    assert EXAMPLES == [
        "classic_recipe.toml",
        "fine_tuning.toml",
        "own_network.toml",
        "three_networks.toml",
        "torchvision_networks.toml",
    ]
