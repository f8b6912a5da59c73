"""The wheel holds everything that a study needs, and runs one where the checkout is not at hand."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import Image

from tests.in_process import run_here

ROOT = Path(__file__).parent.parent
PACKAGES = ("models", "study", "analysis", "benchmarks", "fairverdict")
SUFFIXES = (".py", ".j2", ".c", ".css", ".js", ".bib", ".ipynb", ".typed")
# The wheel is run without the checkout.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}

# The environment variable of a command that draws figures.
DRAWS = "FAIRVERDICT_TEST_DRAWS"
MY_NETS = """
import sys

from torch import nn

def Net(num_classes):
    return nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(192, num_classes))

class Broken(nn.Linear):
    def __init__(self, num_classes):
        super().__init__(3072, num_classes)

    def forward(self, images):
        if self.training and sys.argv[0].endswith("default_worker.py"):
            raise ArithmeticError("this network cannot count")
        return super().forward(images.flatten(1))
"""
# Python runs this line when it starts. Drawing the figures of every command would take half of the time.
NO_FIGURES = (
    f"import os, sys, types; os.environ.get({DRAWS!r}) or sys.modules.update({{'analysis.figures.catalogue':"
    " types.SimpleNamespace(Picture=object, study_pictures=lambda *_: {})})\n"
)

pytestmark = pytest.mark.wheel


def _run(command: Sequence[str | Path], cwd: Path, **variables: str) -> str:
    done = subprocess.run(
        command, cwd=cwd, env=ENVIRONMENT | variables, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _copy_source(source: Path) -> None:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    for file in (path for path in ROOT.iterdir() if path.is_file()):
        shutil.copy(file, source)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of the wheel, built from a copy because setuptools leaves files beside its source."""
    source = tmp_path_factory.mktemp("source")
    _copy_source(source)
    command = [sys.executable, "-m", "uv", "build", "--wheel", "--no-build-isolation", "--python", sys.executable]
    _run([*command, "--out-dir", source / "dist"], source)
    (path,) = (source / "dist").glob("*.whl")
    return path


def test_every_file_of_the_packages_is_in_the_wheel(wheel: Path) -> None:
    assert wheel.name == "fairverdict-0.1.0-py3-none-any.whl"
    held = set(ZipFile(wheel).namelist())
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file()]
    needed = {str(path.relative_to(ROOT)) for path in files if path.suffix in SUFFIXES}
    assert {"models/kernels/norm_relu_pool/norm_relu_pool.c", "analysis/results.ipynb", "fairverdict/py.typed"} < needed
    assert needed <= held
    assert {name.partition("/")[0] for name in held} == {*PACKAGES, "fairverdict-0.1.0.dist-info"}


def _share_packages(python: Path) -> Path:
    """Let a new environment import the packages of this one. Return the folder of its own packages."""
    site = Path(_run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], python.parent).strip())
    # The .pth files of this environment are not read from there.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return site


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the programs of a new environment that has the wheel and shares the other packages."""
    place = tmp_path_factory.mktemp("environment")
    uv = [sys.executable, "-m", "uv"]
    _run([*uv, "venv", "--python", sys.executable, place / "venv"], place)
    programs = place / "venv" / "bin"
    _run([*uv, "pip", "install", "--no-deps", "--python", programs / "python", wheel], place)
    site = _share_packages(programs / "python")
    (site / "figures.pth").write_text(NO_FIGURES)
    found = _run([programs / "python", "-c", "import fairverdict; print(fairverdict.__file__)"], place)
    assert found == f"{site / 'fairverdict' / '__init__.py'}\n"
    return programs


def test_a_folder_that_is_no_package_hides_nothing_of_a_checkout(tmp_path: Path) -> None:
    """The checkout's own folder has the name of a package, too."""
    (checkout := tmp_path / "fairverdict").mkdir()
    _copy_source(checkout)
    (tmp_path / "models").mkdir()
    uv = [sys.executable, "-m", "uv"]
    _run([*uv, "venv", "--python", sys.executable, tmp_path / "venv"], tmp_path)
    python = tmp_path / "venv" / "bin" / "python"
    (settings,) = re.findall(r"^EDITABLE := (.*)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    _share_packages(python)
    command = [*uv, "pip", "install", "--no-deps", "--no-build-isolation", "--python", python, *settings.split()]
    _run([*command, checkout], tmp_path)
    found = _run([python, "-c", "import fairverdict, models; print(fairverdict.run, models.__file__)"], tmp_path)
    assert found.startswith("<function run") and found.endswith(f"{checkout / 'models' / '__init__.py'}\n")


@pytest.mark.slow
def test_every_command_runs_from_the_wheel_in_a_repository_of_the_user(environment: Path, tmp_path: Path) -> None:
    """Add modules of the names of the packages to the repository. They hide nothing from the commands."""
    command, folder = environment / "fairverdict", tmp_path / "folder"
    folder.mkdir()
    (folder / "my_nets.py").write_text(MY_NETS)
    hidden = [folder / name for name in ("analysis/__init__.py", "models/__init__.py", "study.py")]
    for path in hidden:
        path.parent.mkdir(exist_ok=True)
        path.write_text("raise SystemExit('the file of the user runs')\n")
    (folder / "models" / "weights.bin").touch()
    git = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org"]
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "Begin"]):
        _run([*git, *words], folder)
    assert _run([command, "--version"], folder) == "fairverdict 0.1.0\n"

    arguments = ["--dataset", "digits", "--train-size", "100", "--trials", "1", "--max-epochs", "1", "--seeds", "2"]
    archs = ["--archs", "mobilenet", "my_nets:Net", "my_nets:Broken"]
    started = [command, "run", *arguments, *archs, "--concurrency", "2", "--name", "first"]
    done = subprocess.run(started, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    study = folder / "results" / "first"
    assert done.stdout.splitlines()[-1] == f"Report: {study / 'report' / 'report.html'}"
    assert done.stderr.splitlines() == [
        "the trial broken-0 failed: ArithmeticError: this network cannot count",
        "broken has no result: all its trials failed. results/first/tune/journal.jsonl says why; begin anew",
    ]
    assert json.loads((study / "study.json").read_text())["environment"]["git_commit"] is None
    (study / "report" / "report.html").unlink()
    assert _run([command, "report", "results/first"], folder) == "results/first/report/report.html\n"
    assert "<h1" in (study / "report" / "report.html").read_text()
    assert "  finished  " in _run([command, "list"], folder)
    shutil.copytree(study, folder / "copies" / "second")
    compared = _run([command, "compare", study, "copies/second"], folder)
    assert compared.splitlines()[-1].endswith("comparison.html")
    Image.new("RGB", (40, 40)).save(folder / "photo.png")
    predicted = _run([command, "predict", study, "photo.png", "--run", "net-baseline/seed-0"], folder)
    assert predicted.splitlines()[-1].startswith("photo.png  ")
    assert _run([command, "notebook"], folder, **{DRAWS: "1"}) == "results/first/report/results.ipynb\n"
    assert "image/png" in (study / "report" / "results.ipynb").read_text()

    face = [environment / "python", "-c", "import fairverdict; print(*fairverdict.Study.open().groups)"]
    done = subprocess.run(face, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    line = f"ImportError: {hidden[0]} hides the module 'analysis' of fairverdict: rename it"
    assert done.stderr.splitlines()[-1].startswith(line)
    for path in hidden:
        path.unlink()
    groups = "mobilenet-baseline mobilenet-tuned net-baseline net-tuned\n"
    assert _run(face, folder) == groups, "a folder that is no package hides nothing"

    alone = run_here([*arguments, "--baseline", "--archs", "mobilenet", "my_nets:Net", "--name", "alone"], folder)
    assert alone.returncode == 0, alone.stderr
    for group, seed in product(("mobilenet-baseline", "net-baseline"), range(2)):
        of_both = [
            np.load(one / "final" / group / f"seed-{seed}" / "predictions.npz")["logits"]
            for one in (study, folder / "results" / "alone")
        ]
        assert np.array_equal(*of_both), "two runs at a time come to what one at a time comes to"
