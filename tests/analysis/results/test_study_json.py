"""A study.json that is not one is named, with what is wrong with it."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from analysis.report.__main__ import main
from analysis.results.files import DamagedFile
from analysis.results.study_folder import StudyFolder
from analysis.results.study_json import check_study
from tests.analysis.example_study import write_example


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = write_example(tmp_path_factory.mktemp("studies") / "s", trials=3, seeds=1)
    check_study(folder)
    return folder.read_study()


def paths(value: Any, shape: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every key of nested objects, with the keys that lead to it."""
    if not isinstance(value, dict):
        return []
    return [path for key, inner in value.items() for path in [(*shape, key), *paths(inner, (*shape, key))]]


# Read with a default, or not by the report.
OPTIONAL = {
    "format",
    "preset",
    "dataset",
    "data_dir",
    "train_size",
    "archs",
    "git_commit",
    "c_compiler",
    "lr",
    "dropout",
}


def test_whatever_is_missing_is_named(study: dict[str, Any], tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    needed = [path for path in paths(study) if path[0] != "environment" or path[-1] not in ("torch", "ray")]
    needed = [path for path in needed if path[-1] not in OPTIONAL or path[:-1] == ("search", "space")]
    needed = [path for path in needed if path[:1] != ("architectures",) or len(path) != 2]
    assert len(needed) > 30
    for path in needed:
        changed = copy.deepcopy(study)
        inner = changed
        for key in path[:-1]:
            inner = inner[key]
        del inner[path[-1]]
        folder.write_study(changed)
        with pytest.raises(DamagedFile, match=rf"study\.json .*{path[-1]} is missing"):
            check_study(folder)


@pytest.mark.parametrize(
    "content", ["[]", "1", "null", '"text"', "{}", '{"architectures": 3}', '{"name": [], "data": 1}']
)
def test_the_report_ends_in_one_line(content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "study.json").write_text(content)
    assert main([str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {tmp_path / 'study.json'} is not") and error.count("\n") == 1


def test_wrong_types_are_named(study: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text(json.dumps(study | {"data": study["data"] | {"classes": "abc"}}))
    with pytest.raises(DamagedFile, match=r"data\.classes is not what it should be"):
        check_study(StudyFolder(tmp_path))
    (tmp_path / "study.json").write_text(json.dumps(study | {"search": []}))
    with pytest.raises(DamagedFile, match="search is not an object"):
        check_study(StudyFolder(tmp_path))
