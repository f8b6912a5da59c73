"""The command that lists studies, and what a storage holds for none of them."""

import re
from pathlib import Path

import pytest

from analysis.results.files import write_json, write_text
from analysis.results.load import load_results
from analysis.results.study_folder import StudyFolder
from analysis.verdict.summary import summarise
from study.list.__main__ import main
from study.storage.checkpoints import CheckpointStore
from study.storage.lock import exclusive
from tests.analysis.example_study import write_example

MINE, LEFT = "a" * 32, "b" * 32


@pytest.fixture(autouse=True)
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a storage with the checkpoints of a study, and of one that is gone."""
    monkeypatch.chdir(tmp_path)
    for name, identity, created in (("later", MINE, "2026-01-02"), ("first", "c" * 32, "2026-01-01")):
        StudyFolder(Path("results") / name).write_study({"name": name, "id": identity, "created": created})
    for folder in (MINE, LEFT):
        CheckpointStore(str(tmp_path / "shared"), within=folder).save("alexnet-0", {"n": 1})
    return tmp_path / "shared"


def test_studies_are_listed_by_their_last_sessions(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    headings, *lines = capsys.readouterr().out.splitlines()
    assert headings.split("  ")[0] == "study" and headings.endswith("verdict")
    assert [re.split("  +", line)[:3] for line in lines] == [
        ["results/first", "2026-01-01", "unfinished: search"],
        ["results/later", "2026-01-02", "unfinished: search"],
    ]
    assert main(["--results-dir", "nowhere"]) == 0
    assert capsys.readouterr().out == "There is no study in nowhere\n"


def test_a_line_says_how_far_a_study_is_and_what_it_shows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    places = tmp_path / "others"
    write_example(places / "cut", seeds=2, skip=[("mobilenet-tuned", 1)])
    finished = write_example(places / "done", seeds=2, same_as=["alexnet"])
    write_json(finished.report / "summary.json", summarise(load_results(finished)).as_json())
    write_text(finished.report / "report.html", "<!doctype html>")
    with exclusive(write_example(places / "going", seeds=2).path):
        assert main(["--results-dir", str(places)]) == 0
    _, cut, done, going = (re.split("  +", line) for line in capsys.readouterr().out.splitlines())
    assert cut[:3] == [str(places / "cut"), "2025-01-02 03:04", "unfinished: 7 final runs"]
    assert cut[4:] == ["Digits", "AlexNet, MobileNet-like", "\N{EN DASH}"]
    assert done[2] == "finished" and going[2] == "running"
    assert done[6].startswith("No difference") and "2 seeds cannot show one" in done[6]
    written = sum(path.stat().st_size for path in (places / "done").rglob("*") if path.is_file())
    assert done[3] == f"{written / 1e6:,.1f} MB"


def test_checkpoints_that_no_study_claims_are_named_and_removed(
    storage: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--storage", "shared"]) == 0
    *_, heading, line, advice = capsys.readouterr().out.splitlines()
    assert heading == f"No study in results claims these checkpoints in {storage}:"
    assert line.startswith(f"{LEFT}  1 file, 0.0 MB, newest 2") and MINE not in line
    command = f"python -m study.list --results-dir results --storage {storage} --remove {LEFT}"
    assert advice == f"If no study elsewhere needs them, remove them: {command}"
    assert main(command.split()[3:]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"Removed {LEFT} from {storage}"
    assert [path.name for path in storage.iterdir()] == [MINE]
    assert main(["--storage", "shared"]) == 0
    assert f"Every folder of checkpoints in {storage} belongs to a study" in capsys.readouterr().out


@pytest.mark.parametrize("name", [MINE, "nothing", "..", ""])
def test_what_a_study_claims_is_not_removed(name: str, storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--storage", "shared", "--remove", LEFT, name]) == 2
    assert f"error: --remove: {name} is not a folder of checkpoints" in capsys.readouterr().err
    assert sorted(path.name for path in storage.iterdir()) == [MINE, LEFT]


def test_bad_input_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--storage", "nothing://here"]) == 2
    assert "error: --storage: 'nothing://here' is neither" in capsys.readouterr().err
    (Path("results") / "first" / "study.json").write_text("{")
    assert main(["--storage", "shared", "--remove", LEFT]) == 1, "it may be this study's"
    assert "study.json is not readable" in capsys.readouterr().err
    assert main([]) == 1
    out = capsys.readouterr().out
    assert re.search(r"^results/first +\N{EN DASH} +damaged ", out, re.MULTILINE) and "results/later" in out
