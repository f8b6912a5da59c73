"""`fairverdict.run` does what the command does, in a process of its own: results, errors, interrupts, a notebook."""

import json
import os
import signal
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import nbformat
import psutil
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

import fairverdict
from models.networks.registry import ARCHITECTURES, Architecture, register
from tests.analysis.example_study import write_example
from tests.processes import Programs

ROOT = Path(__file__).parents[2]


class MyNet:
    """Stands for a network that a notebook defines."""


MyNet.__module__ = "__main__"


def _refusal(*config: Any, **settings: Any) -> str:
    with pytest.raises(ValueError) as raised:
        fairverdict.run(*config, **settings)
    return str(raised.value)


@pytest.mark.parametrize("settings", [{"archs": (MyNet,)}, {"archs": ["__main__:MyNet"]}, {"dataset": MyNet}])
def test_code_of_this_session_is_refused(settings: dict[str, Any]) -> None:
    assert _refusal(settings) == _refusal(**settings)
    assert _refusal(**settings) == (
        "MyNet is defined in this session, and a study runs in processes of its own: put it into a file such as"
        " my_code.py, and give its import path, such as 'my_code:MyNet'"
    )


def test_a_network_registered_in_this_session_is_refused() -> None:
    register(Architecture("mine", "Mine", MyNet))
    try:
        assert _refusal(archs=("alexnet", "mine")).startswith("mine is registered in this session, and a study")
    finally:
        del ARCHITECTURES["mine"]


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"dry_run": True}, "dry_run is no setting of a study: it starts no study: use the command line"),
        ({"version": True}, "version is no setting of a study: it belongs to the command line"),
        ({"quiet": True}, "quiet is no setting of a study: give progress=False"),
        ({"searches": 3}, "searches is no setting of a study: it makes several studies: use the command line"),
    ],
)
def test_flags_that_are_no_settings_are_refused(settings: dict[str, Any], line: str) -> None:
    assert _refusal(**settings).startswith(line)


def test_an_object_without_an_import_path_is_refused() -> None:
    assert "has no import path: write a function" in _refusal(archs=[partial(MyNet)])


def test_no_setting_of_a_file_is_taken_back() -> None:
    line = "baseline=False cannot take back a setting of mine.toml: write it there"
    assert _refusal("mine.toml", baseline=False) == line


def test_a_table_beside_a_file_is_refused() -> None:
    line = "recipe is a table of the study file mine.toml: write it there"
    assert _refusal("mine.toml", recipe={"optimizer": "sgd"}) == line


@pytest.mark.parametrize(
    ("config", "line"),
    [
        ({"trails": 8}, "there is no flag '--trails': did you mean --trials?"),
        ({"study": {"trials": -1}}, "--trials must be at least 1, not -1"),
        ({"preset": "quick", "recipe": {"optimizer": "sgdd"}}, "[recipe] optimizer: there is no value 'sgdd': did"),
        ("nowhere.toml", "--config 'nowhere.toml' cannot be read: No such file or directory"),
        ({"from_study": "nowhere"}, "--from: nowhere is not a study"),
    ],
)
def test_bad_input_is_the_line_of_the_command(
    config: Any, line: str, capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert _refusal(config).startswith(line)
    assert capfd.readouterr().err == "", "the line is raised, and not printed too"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("in_process")
def test_a_damaged_study_fails_with_the_line_of_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (write_example(tmp_path / "results" / "old", seeds=1, search=False).path / "study.json").write_text("[]")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(fairverdict.StudyFailed, match=r"^the study failed: results/old/study\.json is not"):
        fairverdict.run(resume=True, name="old", progress=False)
    assert capfd.readouterr() == ("", "")


# A network that trains while there is no folder `gate`. The driver, which measures a step, waits for no folder but
# `early`. The report has no figures.
MY_NETS = """
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from torch import nn

sys.modules["analysis.figures.catalogue"] = SimpleNamespace(Picture=Any, study_pictures=lambda *_: {})
PLACE = Path("PLACE")

class Net(nn.Module):
    def __init__(self, num_classes, dropout=0.1):
        super().__init__()
        self.layers = nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(192, 8), nn.Linear(8, num_classes))

    def forward(self, images):
        gate = PLACE / ("gate" if sys.argv[0].endswith("default_worker.py") else "early")
        if gate.exists():
            (PLACE / "waits").touch()
        while gate.exists():
            time.sleep(0.02)
        return self.layers(images)

class Other(Net):
    pass
"""
SETTINGS = """
settings = dict(
    dataset="digits", train_size=100, baseline=True, max_epochs=2, seeds=1, archs=("my_nets:Net", "my_nets:Other")
)
"""
IN_A_SESSION = f"""
import fairverdict
{SETTINGS}
fairverdict.run(name="mine", **settings)
"""
CELLS = (
    f"import fairverdict\n{SETTINGS}\nfairverdict.run(settings, name='mine')",
    "study = fairverdict.run(name='mine', resume=True, seeds=2)\nstudy",
)
# An environment variable of a notebook's kernel and of all its processes.
PLACE = "FAIRVERDICT_TEST_PLACE"


def _write_my_nets(folder: Path) -> None:
    (folder / "my_nets.py").write_text(MY_NETS.replace('PLACE")', f'{folder}")'))


@pytest.mark.slow
def test_a_session_that_is_killed_takes_its_study_along(programs: Programs, tmp_path: Path) -> None:
    _write_my_nets(tmp_path)
    (tmp_path / "early").mkdir()
    session = programs.start("-c", IN_A_SESSION, cwd=tmp_path)
    session.wait_for((tmp_path / "waits").exists)
    session.kill()
    session.wait_until_gone()


def _processes_of(place: Path) -> set[int]:
    found = set()
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(PLACE) == str(place) and process.status() != psutil.STATUS_ZOMBIE:
                found.add(process.pid)
    return found


@pytest.mark.slow
def test_a_notebook_interrupts_a_study_and_goes_on_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Show that each cell has one display, and that the second one ends with the verdict."""
    _write_my_nets(tmp_path)
    (tmp_path / "gate").mkdir()
    for name, value in (("PYTHONPATH", str(ROOT)), ("FORCE_COLOR", "1"), (PLACE, str(tmp_path))):
        monkeypatch.setenv(name, value)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    place = {"metadata": {"path": str(tmp_path)}}
    client = NotebookClient(notebook, timeout=1100, kernel_name="python3", resources=place)

    def interrupt() -> None:
        while not (tmp_path / "waits").exists():
            time.sleep(0.02)
        os.kill(kernel, signal.SIGINT)

    with client.setup_kernel():
        (kernel,) = _processes_of(tmp_path)
        Thread(target=interrupt, daemon=True).start()
        with pytest.raises(CellExecutionError) as raised:
            client.execute_cell(notebook.cells[0], 0)
        assert (raised.value.ename, raised.value.evalue) == (
            "KeyboardInterrupt",
            "interrupted; go on with: python -m study.run --resume --results-dir results --name mine",
        )
        assert _processes_of(tmp_path) == {kernel}, "nothing of Ray is left"
        (tmp_path / "gate").rmdir()
        client.execute_cell(notebook.cells[1], 1)
    begun, lines, study = (
        output for cell in notebook.cells for output in cell.outputs if output.get("name", output.get("ename")) is None
    )
    assert begun.data["text/plain"].startswith("Plan:\n")
    shown = lines.data["text/plain"].splitlines()
    assert lines.output_type == "display_data"
    assert "Final runs: done in" in lines.data["text/plain"] and "\x1b" not in lines.data["text/plain"]
    assert not any("so far" in line for line in shown), "the next line takes the place of progress"
    assert shown[-1] == f"Report: {tmp_path}/results/mine/report/report.html"
    assert study.data["text/html"].startswith("<p>mine: net and other on digits")
    done = fairverdict.Study.open(tmp_path / "results" / "mine")
    assert done.summary.groups["net-baseline"].seeds == [0, 1]
    resumed = json.loads((done.folder / "study.json").read_text())["resumed"]
    assert resumed[0]["command"].endswith("--results-dir=results --name=mine --resume --seeds=2")
