"""`fairverdict.run` does what the command does, in a process of its own: results, errors, interrupts, a notebook."""

import json
import signal
from functools import partial
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

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


@pytest.mark.slow
def test_a_damaged_study_fails_with_the_line_of_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (write_example(tmp_path / "results" / "old", seeds=1, search=False).path / "study.json").write_text("[]")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(fairverdict.StudyFailed, match=r"^the study failed: results/old/study\.json is not"):
        fairverdict.run(resume=True, name="old", progress=False)


# The module of a network that trains while no folder `gate` is there. The driver measures a step in any case.
MY_NETS = """
import sys
import time
from pathlib import Path

from torch import nn

GATE = Path("GATE")

class Net(nn.Module):
    def __init__(self, num_classes, dropout=0.1):
        super().__init__()
        self.layers = nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(192, 8), nn.Linear(8, num_classes))

    def forward(self, images):
        while GATE.exists() and sys.argv[0].endswith("default_worker.py"):
            time.sleep(0.02)
        return self.layers(images)

class Other(Net):
    pass
"""
SETTINGS = """
settings = dict(
    dataset="digits", train_size=100, trials=2, max_epochs=2, seeds=1, confirm=0, archs=("my_nets:Net", "my_nets:Other")
)
"""
INTERRUPTED = f"""
import fairverdict
{SETTINGS}
try:
    fairverdict.run(name="mine", **settings)
except KeyboardInterrupt as error:
    print("raised", error, flush=True)
input()
print(fairverdict.run(name="mine", resume=True, progress=False, seeds=2).summary.groups["net-baseline"].seeds)
"""


def _write_my_nets(folder: Path) -> Path:
    gate = folder / "gate"
    gate.mkdir()
    (folder / "my_nets.py").write_text(MY_NETS.replace('GATE")', f'{gate}")'))
    return gate


@pytest.mark.slow
def test_an_interrupt_ends_the_study_in_order_and_it_goes_on(programs: Programs, tmp_path: Path) -> None:
    gate = _write_my_nets(tmp_path)
    session = programs.start("-c", INTERRUPTED, cwd=tmp_path)
    for line in session.stdout:
        if line.startswith("Search"):
            break
    session.process.send_signal(signal.SIGINT)
    raised = next(line for line in session.stdout if line.startswith("raised"))
    line = "raised interrupted; go on with: python -m study.run --resume --results-dir results --name mine\n"
    assert raised == line
    assert len(session.processes()) == 1, "nothing of Ray is left"
    gate.rmdir()
    done = session.finish("\n")
    assert (done.returncode, done.stdout) == (0, "[0, 1]\n"), done.stderr
    study = json.loads((tmp_path / "results" / "mine" / "study.json").read_text())
    assert study["resumed"][0]["command"].endswith("--results-dir=results --name=mine --resume --quiet --seeds=2")


@pytest.mark.slow
def test_a_session_that_is_killed_takes_its_study_along(programs: Programs, tmp_path: Path) -> None:
    _write_my_nets(tmp_path)
    session = programs.start("-c", INTERRUPTED, cwd=tmp_path)
    for line in session.stdout:
        if line.startswith("Search"):
            break
    session.kill()
    session.wait_until_gone()
    log = (tmp_path / "results" / "mine" / "study.log").read_text()
    assert log.splitlines()[-1].endswith("go on with: python -m study.run --resume --results-dir results --name mine")


@pytest.mark.slow
def test_a_notebook_has_one_display_and_the_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write_my_nets(tmp_path).rmdir()
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("FORCE_COLOR", "1")
    cell = f"import fairverdict\n{SETTINGS}\nfairverdict.run(settings, name='mine')"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
    place = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=1100, kernel_name="python3", resources=place).execute()
    lines, study = (output for output in notebook.cells[0].outputs if output.get("name") != "stderr")
    shown = lines.data["text/plain"].splitlines()
    assert lines.output_type == "display_data" and shown[0] == "Plan:"
    assert "Search: done in" in lines.data["text/plain"] and "\x1b" not in lines.data["text/plain"]
    assert not any("so far" in line for line in shown), "the next line takes the place of progress"
    assert shown[-1] == f"Report: {tmp_path}/results/mine/report/report.html"
    assert study.data["text/html"].startswith("<p>mine: net and other on digits")
