"""A study that comes back from its bucket: which one, and what becomes of an older folder of it."""

import json
import socket
from pathlib import Path

import pytest

from analysis.results.files import DamagedFile
from analysis.results.study_folder import StudyFolder
from study.cli.request import read_request
from study.errors import BadInput
from study.mirror.carrier import Carrier
from study.mirror.fetch import bring_home, check_unused
from study.run import main
from study.storage.checkpoints import CheckpointStore
from study.storage.claim import held
from study.storage.leftovers import unclaimed
from study.storage.object_store import check_storage
from tests.processes import HANGS_AFTER
from tests.study.mirror.copied import ID, append, begin, contents


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return (tmp_path / "bucket").as_uri()


def put(path: Path, uri: str, identity: str = ID) -> StudyFolder:
    """Begin a study that its bucket follows."""
    folder = begin(path, identity, storage=uri)
    Carrier(folder, uri).bring(is_last=False)
    return folder


def test_several_studies_are_named(uri: str, tmp_path: Path) -> None:
    first, here = put(tmp_path / "a" / "first", uri), tmp_path / "here"
    put(tmp_path / "a" / "second", uri, "b" * 32)
    said: list[str] = []
    with pytest.raises(BadInput, match=r"bucket holds 2 studies: say by --name which .* \(first, second\)"):
        bring_home(here, None, uri, said.append)
    bring_home(here, "third", uri, said.append)
    assert not here.exists() and not said
    bring_home(here, "first", uri, said.append)
    assert contents(here / "first") == contents(first.path)
    assert [path.name for path in here.iterdir()] == ["first"]
    assert said[0].startswith(f"Fetched {here / 'first'} from {uri} (session 00001-")


def test_studies_of_one_name_are_told_apart_by_their_ids(uri: str, tmp_path: Path) -> None:
    put(tmp_path / "a" / "mine", uri)
    other = put(tmp_path / "b" / "mine", uri, "b" * 32)
    append(other, "other")
    Carrier(other, uri).bring(is_last=False)
    with pytest.raises(BadInput, match=rf"2 studies of the name mine: give the id of one as --name \({ID}, {'b' * 32}"):
        bring_home(tmp_path / "here", "mine", uri, print)
    bring_home(tmp_path / "here", "b" * 32, uri, print)
    assert contents(tmp_path / "here" / ("b" * 32)) == contents(other.path)


def test_a_new_study_takes_no_name_of_the_bucket(uri: str, tmp_path: Path) -> None:
    put(tmp_path / "a" / "mine", uri)
    check_unused(uri, "other")
    check_unused(str(tmp_path), "mine")
    with pytest.raises(BadInput, match=r"the study mine exists already in file:.*: go on with it by --resume"):
        check_unused(uri, "mine")


def test_an_older_folder_is_set_aside(uri: str, tmp_path: Path) -> None:
    old, said = put(tmp_path / "old" / "mine", uri), list[str]()
    bring_home(tmp_path / "new", None, uri, said.append)
    bring_home(tmp_path / "old", None, None, said.append)
    assert len(said) == 1, "nothing newer is there"
    new = StudyFolder(tmp_path / "new" / "mine")
    append(new, "end")
    Carrier(new, uri).bring(is_last=False)
    before = contents(old.path)
    with held(old.path), pytest.raises(BadInput, match="another process is at work on the study"):
        bring_home(tmp_path / "old", "mine", None, said.append)
    bring_home(tmp_path / "old", None, None, said.append)
    assert contents(old.path) == contents(new.path)
    (aside,) = (path for path in (tmp_path / "old").iterdir() if path != old.path)
    assert contents(aside) == before
    assert said[1] == f"{old.path} was older than {uri}, where the study went on; the older folder is now {aside}"
    bring_home(tmp_path / "new", None, None, said.append)
    assert len(said) == 3, "the newest folder stays"


def test_what_is_not_a_study_is_not_replaced(uri: str, tmp_path: Path) -> None:
    put(tmp_path / "a" / "mine", uri)
    (tmp_path / "here" / "mine").mkdir(parents=True)
    (tmp_path / "here" / "mine" / "thesis.txt").touch()
    with pytest.raises(BadInput, match="holds files that are not a study's: choose another --name"):
        bring_home(tmp_path / "here", None, uri, print)


@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_a_damaged_copy_is_named(damage: str, uri: str, tmp_path: Path) -> None:
    folder = put(tmp_path / "a" / "mine", uri)
    first = next(path for path in (tmp_path / "bucket").rglob("journal.jsonl/*"))
    carrier = Carrier(folder, uri)
    append(folder, "end")
    carrier.bring(is_last=False)
    first.write_bytes(first.read_bytes().swapcase()) if damage == "changed" else first.unlink()
    with pytest.raises(DamagedFile, match=r"journal\.jsonl/00000.* is damaged, or the segment before it is missing"):
        bring_home(tmp_path / "here", None, uri, print)
    assert not (tmp_path / "here" / "mine").exists()


def test_checkpoints_of_a_study_that_only_the_bucket_holds_are_claimed(uri: str, tmp_path: Path) -> None:
    CheckpointStore(uri, within=ID).save("net-0", {"n": 1})
    assert [leftover.name for leftover in unclaimed([], uri)] == [ID]
    put(tmp_path / "a" / "mine", uri)
    assert unclaimed([], uri) == []


def test_one_command_begins_a_study_or_goes_on_with_it(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    command = ["--resume", "--name", "mine", "--dataset", "digits", "--storage", uri]
    for words in (command, ["--resume", "--dataset", "digits"]):
        request = read_request(words, said.append)
        assert not request.is_resumed and "--resume" not in request.arguments
    for words in (["--resume", "--name", "mine", "--seeds", "5", "--storage", uri], ["--resume", "--seeds", "5"]):
        with pytest.raises(Exception, match="there is no study"):
            read_request(words, said.append)
    put(tmp_path / "a" / "mine", uri)
    with pytest.raises(BadInput, match="is of format None"):
        read_request(command, said.append)
    assert said[0].startswith("Fetched results/mine from ")
    assert json.loads((tmp_path / "results" / "mine" / "study.json").read_text())["id"] == ID


@pytest.mark.slow
def test_a_bucket_that_does_not_answer_is_named_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("study.storage.object_store._PAUSE_SECONDS", HANGS_AFTER)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        uri = f"s3://bucket/a?region=us-east-1&scheme=http&endpoint_override=127.0.0.1%3A{closed.getsockname()[1]}"
        for words in (["--resume"], ["--dataset", "digits"]):
            assert main([*words, "--name", "mine", "--storage", uri]) == 1
            (line,) = capsys.readouterr().err.splitlines()
            assert line.startswith("the study failed: the file bucket/a/studies cannot be listed: ")
            assert line.endswith("When that is mended, begin again")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "uri",
    ["s3://key:secret@bucket/a?region=x", "abfs://c@a.dfs.core.windows.net/x?client_secret=y", "s3://b?x=1&Token=y"],
)
def test_a_password_in_a_storage_is_refused(uri: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="everybody who can read the study could read this password"):
        check_storage(uri)
    with pytest.raises(BadInput, match="could read this password"):
        bring_home(tmp_path, None, uri, print)
