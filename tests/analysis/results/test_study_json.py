"""A study.json that is not one is named, with what is wrong with it."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from analysis.report.__main__ import main
from analysis.results.files import DamagedFile
from analysis.results.study_folder import StudyFolder
from analysis.results.study_json import Study, checked_study, read_study
from analysis.verdict.summary_json import Summary
from tests.analysis.example_study import write_example

DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = write_example(tmp_path_factory.mktemp("studies") / "s", trials=3, seeds=1)
    read_study(folder)
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
    needed = [path for path in needed if path[-1] not in OPTIONAL]
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
            read_study(folder)


@pytest.mark.parametrize(
    "content", ["[]", "1", "null", '"text"', "{}", '{"architectures": 3}', '{"name": [], "data": 1}']
)
def test_the_report_ends_in_one_line(content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "study.json").write_text(content)
    assert main([str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {tmp_path / 'study.json'} is not") and error.count("\n") == 1


def test_the_version_that_wrote_a_study_is_named(study: dict[str, Any], tmp_path: Path) -> None:
    environment = study["environment"] | {"version": "0.0.9", "git_commit": "1234567890abcdef"}
    search = {name: value for name, value in study["search"].items() if name != "patience"}
    folder = StudyFolder(tmp_path)
    folder.write_study(study | {"environment": environment, "search": search})
    with pytest.raises(
        DamagedFile, match=r"patience is missing\. It is by fairverdict 0\.0\.9 \(commit 1234567890ab\);"
    ):
        read_study(folder)


def test_wrong_types_are_named(study: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text(json.dumps(study | {"data": study["data"] | {"classes": "abc"}}))
    with pytest.raises(DamagedFile, match=r"data\.classes is not what it should be"):
        read_study(StudyFolder(tmp_path))
    (tmp_path / "study.json").write_text(json.dumps(study | {"search": []}))
    with pytest.raises(DamagedFile, match="search is not an object"):
        read_study(StudyFolder(tmp_path))


def test_any_hyperparameters_and_unknown_keys_are_kept(study: dict[str, Any], tmp_path: Path) -> None:
    space = {
        "lr": {"low": 1e-4, "high": 1e-2, "log": True},
        "width": {"low": 8, "high": 64, "log": False, "title": "channels"},
        "pool": {"choices": ["max", "mean"]},
    }
    own = {"lr": space["lr"], "model.depth": {"type": "int", "low": 1, "high": 9, "log": False, "step": 2}}
    networks = study["architectures"] | {"alexnet": study["architectures"]["alexnet"] | {"space": own}}
    changed = study | {"of_a_newer_version": [1], "search": study["search"] | {"space": space, "also_new": 2}}
    changed |= {"architectures": networks}
    assert checked_study(changed) == changed
    folder = StudyFolder(tmp_path)
    folder.write_study(checked_study(changed))
    read = read_study(folder)
    assert read.titles() == {"lr": "learning rate", "width": "channels", "pool": "pool", "model.depth": "depth"}
    assert [*read.space_of("alexnet")] == ["lr", "model.depth"] and read.space_of("mobilenet") == read.search.space
    assert read.model_dump(mode="json", exclude_unset=True) == changed
    for broken in ({"low": 1, "log": True}, {"choices": "max"}, 3):
        wrong = changed | {"search": changed["search"] | {"space": {"pool": broken}}}
        with pytest.raises(ValueError, match=r"^search\.space\.pool"):
            checked_study(wrong)


def test_hyperparameters_whose_titles_are_equal_keep_their_names(study: dict[str, Any], tmp_path: Path) -> None:
    rate = {"low": 0.0, "high": 0.9, "log": False}
    space = {"momentum": rate, "model.momentum": rate, "model.width": {"low": 8, "high": 64, "log": True}}
    folder = StudyFolder(tmp_path)
    folder.write_study(study | {"search": study["search"] | {"space": space}})
    titles = read_study(folder).titles()
    assert titles == {"momentum": "momentum", "model.momentum": "model.momentum", "model.width": "width"}


@pytest.mark.parametrize(("name", "model"), [("study", Study), ("summary", Summary)])
def test_the_published_schema_is_what_the_model_gives(name: str, model: type[BaseModel]) -> None:
    published = json.loads((DOCS / f"{name}.schema.json").read_text())
    assert published == model.model_json_schema(), f"write it anew: {name}.schema.json is not {model.__name__}"
