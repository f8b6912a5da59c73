"""The wheel holds everything that a study needs, and runs one where the checkout is not at hand."""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("models", "study", "analysis", "benchmarks")
# The wheel is run without the checkout.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}

pytestmark = pytest.mark.wheel


def _run(command: Sequence[str | Path], cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of the wheel, built from a copy because setuptools leaves files beside its source."""
    source = tmp_path_factory.mktemp("source")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    for file in (path for path in ROOT.iterdir() if path.is_file()):
        shutil.copy(file, source)
    command = [sys.executable, "-m", "uv", "build", "--wheel", "--no-build-isolation", "--python", sys.executable]
    _run([*command, "--out-dir", source / "dist"], source)
    (path,) = (source / "dist").glob("*.whl")
    return path


def test_every_file_of_the_packages_is_in_the_wheel(wheel: Path) -> None:
    assert wheel.name == "fairverdict-0.1.0-py3-none-any.whl"
    held = set(ZipFile(wheel).namelist())
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file()]
    needed = {str(path.relative_to(ROOT)) for path in files if path.suffix in (".py", ".j2", ".c", ".css", ".typed")}
    assert {"models/kernels/norm_relu_pool/norm_relu_pool.c", "analysis/report/templates/report.html.j2"} < needed
    assert needed <= held
    assert {name.partition("/")[0] for name in held} == {*PACKAGES, "fairverdict-0.1.0.dist-info"}


@pytest.mark.slow
def test_a_study_runs_from_the_wheel_in_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    environment, folder = tmp_path / "environment", tmp_path / "folder"
    folder.mkdir()
    uv = [sys.executable, "-m", "uv"]
    _run([*uv, "venv", "--python", sys.executable, environment], tmp_path)
    python, command = environment / "bin" / "python", environment / "bin" / "fairverdict"
    _run([*uv, "pip", "install", "--no-deps", "--python", python, wheel], tmp_path)
    site = Path(_run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], folder).strip())
    # The packages that the wheel depends on are those of this environment; its .pth files are not read from there.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    assert _run([python, "-c", "import study; print(study.__file__)"], folder) == f"{site / 'study' / '__init__.py'}\n"
    assert _run([command, "--version"], folder) == "fairverdict 0.1.0\n"

    arguments = ["--preset", "quick", "--trials", "1", "--max-epochs", "1", "--seeds", "1", "--name", "first"]
    arguments += ["--train-size", "100", "--concurrency", "1"]
    said = _run([command, "run", *arguments], folder)
    report = folder / "results" / "first" / "report" / "report.html"
    assert said.splitlines()[-1] == f"Report: {report}"
    report.unlink()
    _run([command, "report", report.parents[1]], folder)
    assert "<h1" in report.read_text()
