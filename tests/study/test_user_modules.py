"""Networks of a user's module, and of an installed package, by import path: from the command to the report.

In tests/test_wheel.py, a worker of Ray imports such a module.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import ray
from PIL import Image

from analysis.report.__main__ import main as report
from study.predict.__main__ import main as predict
from study.run import main
from tests.analysis.pages import leave_out_figures
from tests.in_process import run_here
from tests.pace import within
from tests.processes import BUDGET, Programs
from tests.study.conftest import Finished

MODULE = """
import numpy as np
import torch
from torch import nn

from my_blocks import hidden

class Net(nn.Module):
    '''Draws its first bias from numpy.'''

    def __init__(self, num_classes, dropout=0.1):
        super().__init__()
        self.layers = nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), hidden(192, 8), nn.Linear(8, num_classes))
        with torch.no_grad():
            self.layers[2][0].bias += torch.from_numpy(np.random.normal(size=8))

    def forward(self, images):
        return self.layers(images)

def softmax(num_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(3072, num_classes), nn.Softmax(1))

def raising(num_classes):
    raise ValueError('there are too many classes')

def on_gpu(num_classes):
    raise RuntimeError('Found no NVIDIA driver on your system.')
"""
BLOCKS = """
from torch import nn

def hidden(inputs, outputs):
    return nn.Sequential(nn.Linear(inputs, outputs), nn.ReLU())
"""
NETWORKS = ("mynets:Net", "torchvision.models:squeezenet1_1")


def write_modules(folder: Path) -> None:
    (folder / "mynets.py").write_text(MODULE)
    (folder / "my_blocks.py").write_text(BLOCKS)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change into a folder with the modules."""
    write_modules(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("network", "line"),
    [
        ("mynets:softmax", "the network 'softmax' returns probabilities: leave the softmax out"),
        ("mynets:nowhere", "the network 'nowhere': mynets has no function or class 'nowhere'"),
        ("mynets:raising", "the network 'raising' cannot be built with num_classes=10: ValueError: there are too many"),
        ("mynets:on_gpu", "the network 'on_gpu' cannot be built with num_classes=10: RuntimeError: Found no NVIDIA"),
        ("yournets:Net", "the network 'net': yournets cannot be imported (ModuleNotFoundError: No module named"),
    ],
)
def test_a_fault_is_one_line_before_ray_starts(
    here: Path, network: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*BUDGET, "--archs", network, "mobilenet", "--name", "refused"]) == 2
    (printed,) = capsys.readouterr().err.splitlines()
    assert printed.startswith(f"error: {line}")
    assert not ray.is_initialized() and not (here / "results").exists()


@pytest.mark.slow
def test_a_fault_is_named_within_10_seconds(programs: Programs, tmp_path: Path) -> None:
    write_modules(tmp_path)
    with within(10):
        done = programs.start("-m", "study.run", *BUDGET, "--archs", "mynets:softmax", cwd=tmp_path).finish()
    assert done.returncode == 2
    assert done.stderr.startswith("error: the network 'softmax' returns probabilities")


@pytest.fixture(scope="module")
def study(shared: Callable[..., Finished]) -> Finished:
    """Return a study of a network of a user's module and one of torchvision's."""

    def make(programs: Programs, cwd: Path) -> subprocess.CompletedProcess[str]:
        write_modules(cwd)
        words = [*BUDGET, "--trials", "1", "--max-epochs", "1", "--seeds", "1", "--archs", *NETWORKS]
        return run_here([*words, "--name", "of_modules"], cwd)

    return shared("of_modules", make)


@pytest.mark.slow
def test_a_study_tells_where_its_networks_come_from(study: Finished) -> None:
    trials = pd.read_csv(study.folder / "trials.csv").set_index("arch")
    assert list(trials.index) == ["net", "squeezenet1_1"]
    assert (trials["status"] == "COMPLETE").all()
    networks = json.loads((study.folder / "study.json").read_text())["architectures"]
    assert [network["factory"] for network in networks.values()] == list(NETWORKS)
    own, squeezenet = networks.values()
    assert own["notes"] == ["ignores its dropout, so dropout is not searched"]
    assert (own["arguments"], own["hyperparameters"], own["baseline"]) == ({}, [], {"lr": 0.001})
    assert list(own["fingerprint"]["definitions"]) == ["my_blocks.hidden", "mynets.Net"]
    assert own["fingerprint"]["package"] is None
    assert squeezenet["fingerprint"]["package"].startswith("torchvision ")
    assert "The network 'net' ignores its dropout, so dropout is not searched" in study.done.stdout


@pytest.mark.slow
def test_the_report_needs_none_of_the_user_s_code(
    study: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = study.folder / "report" / "report.html"
    page.unlink()
    monkeypatch.chdir(tmp_path)
    leave_out_figures(monkeypatch)
    assert report([str(study.folder)]) == 0
    assert "net" in page.read_text() and "mynets" not in sys.modules


@pytest.mark.slow
def test_predictions_need_the_module_s_folder(
    study: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tmp_path / "image.png"
    Image.new("RGB", (40, 40), "red").save(image)
    words = [str(study.folder), str(image), "--run", "net-tuned/seed-0"]
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(study.folder.parents[1])
    assert predict(words) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[1].startswith(str(image))
    assert "has changed" not in err
    del sys.modules["mynets"], sys.modules["my_blocks"]
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert predict(words) == 2
    out, err = capsys.readouterr()
    (line,) = err.splitlines()
    assert out == "" and line.startswith("error: the network 'net': mynets cannot be imported")
    assert line.endswith("start the command in the folder that holds it, or install it")


@pytest.mark.slow
def test_a_resumed_study_names_the_function_that_changed(study: Finished, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(study.folder.parents[1], home)
    blocks = home / "my_blocks.py"
    words = ["--resume", "--name", "of_modules", "--seeds", "2"]
    blocks.write_text(BLOCKS.replace("nn.ReLU()", "nn.ReLU(inplace=False)"))
    done = run_here(words, home)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "was begun with another network 'net': the source of my_blocks.hidden differs. Put the old code back" in line
    blocks.write_text(BLOCKS)
    done = run_here(words, home)
    assert done.returncode == 0, done.stderr
    assert len(list((home / "results" / "of_modules" / "final").glob("net-*/seed-1"))) == 1
