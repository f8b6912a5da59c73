"""The notebook runs from top to bottom wherever it is opened, and is committed with what a real run shows."""

import json
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

from analysis.notebook import NOTEBOOK, main, run_notebook
from analysis.report.digest import describe_study
from analysis.results.load import load_results
from analysis.results.study_folder import StudyFolder
from analysis.verdict.summary import summarise
from tests.analysis.example_study import write_example
from tests.pace import within

EXAMPLE = Path(__file__).parents[1] / "example-study"
PATH_OF_A_MACHINE = re.compile(r"(?<![\w.])(/(work|tmp|root|home|Users|mnt|var|opt)\b|[A-Z]:\\)")
# Another test draws the figures, which takes most of the time.
EMPTY_FIGURES = """
from analysis.figures import catalogue
from matplotlib.figure import Figure

catalogue._both = lambda name, alt, *_: catalogue.Picture(name, alt, Figure())
"""


def outputs(notebook: nbformat.NotebookNode) -> list[Any]:
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def shown(notebook: nbformat.NotebookNode) -> str:
    """What the outputs say in text, whatever its form."""
    texts = []
    for output in outputs(notebook):
        texts += [output.get("text", ""), *output.get("traceback", [])]
        texts += [str(value) for kind, value in output.get("data", {}).items() if kind.startswith("text/")]
    return "\n".join(texts)


def check_run(notebook: nbformat.NotebookNode) -> None:
    """Every code cell has run, in order, without an error or a warning."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    for output in outputs(notebook):
        assert output.output_type != "error"
        assert output.get("name") != "stderr", output.text
    assert "Warning" not in shown(notebook)


@pytest.mark.slow
def test_it_tells_the_story_of_the_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDY", str(EXAMPLE))
    with within(60):
        notebook = run_notebook(NOTEBOOK, tmp_path)
    check_run(notebook)
    results = load_results(StudyFolder.open(EXAMPLE))
    assert describe_study(results) in shown(notebook)
    assert str(summarise(results).accuracies) in shown(notebook)
    assert sum("image/png" in output.get("data", {}) for output in outputs(notebook)) >= 12


@pytest.mark.slow
def test_without_a_name_it_opens_the_newest_study_even_an_unfinished_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STUDY", raising=False)
    older = write_example(tmp_path / "results" / "older", seeds=1, search=False)
    older.write_study(older.read_study() | {"created": "2000-01-01T00:00:00+00:00"})
    write_example(tmp_path / "results" / "newer", seeds=1, latency=False, skip=["mobilenet-tuned"])
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(EMPTY_FIGURES))
    nbformat.write(notebook, tmp_path / "notebook.ipynb")
    notebook = run_notebook(tmp_path / "notebook.ipynb", tmp_path)
    check_run(notebook)
    assert "<p>newer: " in shown(notebook)
    assert "There is no verdict" in shown(notebook)
    assert "MobileNet-like (tuned): no final run is there." in shown(notebook)


def test_the_command_line_refuses_what_is_no_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = NOTEBOOK.read_bytes()
    assert main([str(tmp_path)]) == 2
    assert "is not a study" in capsys.readouterr().err
    assert NOTEBOOK.read_bytes() == before


@pytest.mark.parametrize("output", [None, "elsewhere.ipynb"])
def test_it_is_saved_in_the_report_of_the_study_unless_told_otherwise(
    output: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("analysis.notebook.run_notebook", lambda *_: nbformat.v4.new_notebook())
    monkeypatch.setenv("STUDY", "another")
    study = write_example(tmp_path / "results" / "study", seeds=1, search=False).path
    monkeypatch.chdir(tmp_path)  # without a name it is the newest study in results
    before = NOTEBOOK.read_bytes()
    assert main([str(study), "--output", str(tmp_path / output)] if output else []) == 0
    path = Path((output and tmp_path / output) or "results/study/report/results.ipynb")
    assert capsys.readouterr().out.strip() == str(path)
    nbformat.validate(nbformat.read(path, as_version=4))
    assert NOTEBOOK.read_bytes() == before


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("analysis.notebook.find_spec", lambda _: None)
    assert main([]) == 2
    assert capsys.readouterr().err == (
        "error: the notebook needs ipykernel and nbclient: pip install ipykernel nbclient\n"
    )


def test_the_committed_notebook_shows_a_run_of_no_particular_machine() -> None:
    assert NOTEBOOK.stat().st_size < 2_000_000
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    check_run(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert any("image/png" in output.get("data", {}) for output in outputs(notebook))
    for output in outputs(notebook):
        output.get("data", {}).pop("image/png", None)
    assert not PATH_OF_A_MACHINE.search(json.dumps(notebook))
    assert not any("execution" in cell.metadata for cell in notebook.cells)


def test_the_example_is_small_and_of_no_particular_machine() -> None:
    files = [path for path in EXAMPLE.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 1_500_000
    for path in files:
        if path.suffix in (".json", ".csv", ".md", ".db"):
            assert not PATH_OF_A_MACHINE.search(path.read_bytes().decode(errors="replace")), path
