"""`import fairverdict` is quick, changes nothing, and names a user's file that hides one of its packages."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pace import slowness

ROOT = Path(__file__).parents[2]
IMPORT = """
import os, sys, threading, time
before, begun = dict(os.environ), time.process_time()
import fairverdict
print(time.process_time() - begun)
assert dict(os.environ) == before and threading.active_count() == 1
print(*sys.modules)
"""


def python(code: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_it_imports_no_library_and_takes_little_time(tmp_path: Path) -> None:
    seconds, modules = zip(*[python(IMPORT, tmp_path).stdout.splitlines() for _ in range(3)], strict=True)
    loaded = {name.partition(".")[0] for name in modules[0].split()}
    assert "fairverdict" in loaded
    assert not loaded & {"torch", "ray", "pandas", "matplotlib", "numpy", "IPython", "study", "analysis", "models"}
    assert min(map(float, seconds)) < 0.1 * slowness()


@pytest.mark.parametrize("name", ["models/__init__.py", "study.py", "analysis/__init__.py"])
def test_a_file_that_hides_a_package_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("raise SystemExit('the file of the user runs')\n")
    module = name.partition("/")[0].removesuffix(".py")
    error = python("import fairverdict", tmp_path).stderr.splitlines()[-1]
    assert error == (
        f"ImportError: {tmp_path / name} hides the module {module!r} of fairverdict: rename it, or start Python in"
        " another folder"
    )


def test_a_folder_of_files_that_are_no_modules_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "weights.safetensors").touch()
    done = python("import fairverdict; fairverdict.Study.open('results')", tmp_path)
    assert done.stderr.splitlines()[-1].startswith("ValueError: results is not a study")


def test_a_module_that_is_imported_later_is_named_too(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "models.py").write_text("weights = []\n")
    code = "import sys, fairverdict; sys.path.insert(0, 'mine'); import models; fairverdict.Study.open('results')"
    error = python(code, tmp_path).stderr.splitlines()[-1]
    assert error.startswith(f"ImportError: {tmp_path / 'mine' / 'models.py'} hides the module 'models'")
