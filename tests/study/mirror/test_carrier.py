"""The carrier brings segments of new bytes and whole runs into a bucket, in order, and leaves a newer driver alone."""

import shutil
from pathlib import Path

import pytest

from analysis.results.files import write_checksums
from analysis.results.study_folder import StudyFolder
from study.errors import StorageFailed, Superseded
from study.mirror.carrier import Carrier
from study.mirror.fetch import bring_home
from study.mirror.layout import read_copy, read_mark, within
from study.mirror.segments import Segment, that_count
from study.storage.object_store import ObjectStore
from tests.study.mirror.copied import ID, add_run, append, begin, bring_back, contents, objects, take_away


@pytest.fixture
def bucket(tmp_path: Path) -> Path:
    (tmp_path / "bucket").mkdir()
    return tmp_path / "bucket"


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    return begin(tmp_path / "results" / "mine")


@pytest.fixture
def carrier(folder: StudyFolder, bucket: Path) -> Carrier:
    return Carrier(folder, bucket.as_uri())


def fetched(bucket: Path, results: Path) -> dict[str, bytes]:
    """Fetch the study to an empty machine, and return what its files hold."""
    bring_home(results, "mine", bucket.as_uri(), lambda line: None)
    return contents(results / "mine")


def test_only_new_bytes_are_brought_and_no_object_is_written_again(
    folder: StudyFolder, carrier: Carrier, bucket: Path, tmp_path: Path
) -> None:
    carrier.bring(is_last=False)
    first = {path: path.stat().st_mtime_ns for path in bucket.rglob("*-*-*") if path.is_file()}
    append(folder, "end")
    with folder.journal.open("a") as file:
        file.write("a line that is not whole")
    carrier.bring(is_last=False)
    carrier.bring(is_last=False)
    assert all(path.stat().st_mtime_ns == before for path, before in first.items())
    names = [name.rpartition("-")[0] for name in objects(bucket) if "journal" in name]
    assert names == ["00001/tune/journal.jsonl/000001-000000000000", "00001/tune/journal.jsonl/000003-000000000010"]
    assert (bucket / "studies").exists() and len(objects(bucket)) == 5
    assert fetched(bucket, tmp_path / "elsewhere")["tune/journal.jsonl"] == b"ask\nepoch\nend\n"


def test_a_study_comes_back_equal_to_the_bit(
    folder: StudyFolder, carrier: Carrier, bucket: Path, tmp_path: Path
) -> None:
    for name in ("trials.csv", "optuna.db", "report/report.html", "report/figures/a.svg", "final/best.json"):
        (folder.path / name).parent.mkdir(parents=True, exist_ok=True)
        (folder.path / name).write_bytes(name.encode())
    add_run(folder, 0)
    folder.write_latency({"net": 1})
    carrier.bring(is_last=False)
    assert not any(name.endswith(("trials.csv", "report.html", "best.json")) for name in objects(bucket))
    add_run(folder, 1)
    append(folder, "end")
    kept = contents(folder.path)
    state = folder.tune / "search-20261130-120000" / "experiment_state.json"  # Ray Tune's own, which nothing reads
    state.parent.mkdir()
    state.touch()
    carrier.bring(is_last=True)
    assert fetched(bucket, tmp_path / "elsewhere") == kept
    mark = read_mark(StudyFolder(tmp_path / "elsewhere" / "mine"))
    assert mark is not None and mark.is_complete


def test_a_report_of_an_older_session_does_not_come_back(
    folder: StudyFolder, carrier: Carrier, bucket: Path, tmp_path: Path
) -> None:
    for name in ("trials.csv", "report/report.html"):
        (folder.path / name).parent.mkdir(exist_ok=True)
        (folder.path / name).touch()
    carrier.bring(is_last=True)
    assert {"trials.csv", "report/report.html"} <= fetched(bucket, tmp_path / "finished").keys()
    Carrier(folder, bucket.as_uri()).bring(is_last=False)
    again = fetched(bucket, tmp_path / "begun")
    assert set(contents(folder.path)) - set(again) == {"trials.csv", "report/report.html"}


def test_a_run_that_is_made_again_comes_from_one_session(
    folder: StudyFolder, carrier: Carrier, bucket: Path, tmp_path: Path
) -> None:
    run = add_run(folder, 0)
    (run / "more.csv").touch()
    carrier.bring(is_last=False)
    shutil.rmtree(run)
    add_run(folder, 0)
    (run / "metrics.json").write_text("{}")
    write_checksums(run, "metrics.json")
    Carrier(folder, bucket.as_uri()).bring(is_last=False)
    assert fetched(bucket, tmp_path / "elsewhere") == contents(folder.path)


def test_a_run_counts_once_its_checksums_are_there(
    folder: StudyFolder, carrier: Carrier, bucket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, written = ObjectStore.write, list[str]()

    def refuse_checksums(store: ObjectStore, name: str, *parts: bytes) -> None:
        if name.endswith("SHA256SUMS"):
            raise StorageFailed("no")
        written.append(name.partition("/")[2])
        write(store, name, *parts)

    add_run(folder, 0)
    with monkeypatch.context() as patched:
        patched.setattr(ObjectStore, "write", refuse_checksums)
        with pytest.raises(StorageFailed):
            carrier.bring(is_last=False)
    run = "final/net-tuned/seed-0"
    assert written[-2:] == [f"{run}/metrics.json", f"{run}/model.safetensors"]
    assert not any(name.startswith("final") for name in fetched(bucket, tmp_path / "early"))
    carrier.bring(is_last=False)
    assert fetched(bucket, tmp_path / "late")[f"{run}/SHA256SUMS"]


def test_a_checkpoint_is_deleted_after_the_end_of_its_run_is_there(
    folder: StudyFolder, carrier: Carrier, bucket: Path
) -> None:
    carrier.bring(is_last=False)
    deleted: list[bool] = []
    add_run(folder, 0)
    carrier.afterwards(lambda: deleted.append(any("seed-0/SHA256SUMS" in name for name in objects(bucket))))
    take_away(bucket)
    with pytest.raises(StorageFailed):
        carrier.bring(is_last=False)
    assert deleted == []
    bring_back(bucket)
    carrier.bring(is_last=False)
    carrier.bring(is_last=False)
    assert deleted == [True]


def test_a_session_that_goes_on_brings_only_what_is_new(folder: StudyFolder, carrier: Carrier, bucket: Path) -> None:
    add_run(folder, 0)
    carrier.bring(is_last=True)
    append(folder, "end")
    add_run(folder, 1)
    Carrier(folder, bucket.as_uri()).bring(is_last=False)
    second = [name.removeprefix("00002/") for name in objects(bucket) if name.startswith("00002/")]
    run = "final/net-tuned/seed-1"
    assert [name.rpartition("-")[0] for name in second if "journal" in name] == [
        "tune/journal.jsonl/000001-000000000010"
    ]
    assert {name for name in second if "journal" not in name} == {
        *("study.json", "config.toml"),
        *(f"{run}/{name}" for name in ("SHA256SUMS", "metrics.json", "model.safetensors")),
    }


def test_a_journal_that_was_mended_replaces_what_it_had_lost(
    folder: StudyFolder, carrier: Carrier, bucket: Path, tmp_path: Path
) -> None:
    carrier.bring(is_last=False)
    append(folder, "end")
    carrier.bring(is_last=False)
    folder.journal.write_text("ask\nother\nend of it\n")
    Carrier(folder, bucket.as_uri()).bring(is_last=False)
    assert fetched(bucket, tmp_path / "elsewhere")["tune/journal.jsonl"] == folder.journal.read_bytes()


def test_an_old_driver_ends_and_changes_nothing(
    folder: StudyFolder, carrier: Carrier, bucket: Path, tmp_path: Path
) -> None:
    carrier.bring(is_last=False)
    old = read_copy(ObjectStore(bucket.as_uri(), within(ID))).session
    fetched(bucket, tmp_path / "new")
    new = StudyFolder(tmp_path / "new" / "mine")
    append(new, "of the new driver")
    Carrier(new, bucket.as_uri()).bring(is_last=False)
    append(folder, "of the old driver")
    with pytest.raises(Superseded, match=r"a newer driver works on mine \(session 00002-[0-9a-f]{8} in file://"):
        carrier.bring(is_last=False)
    # A write that was under way when the new session began.
    late = Segment.of(old, 9, 10, b"of the old driver\n")
    ObjectStore(bucket.as_uri(), within(ID)).write(f"{old}/tune/journal.jsonl/{late.name}", b"of the old driver\n")
    assert fetched(bucket, tmp_path / "third") == contents(new.path)
    with pytest.raises(Superseded):
        Carrier(folder, bucket.as_uri()).bring(is_last=False)


def test_of_two_drivers_that_begin_at_a_time_one_goes_on(folder: StudyFolder, bucket: Path, tmp_path: Path) -> None:
    Carrier(folder, bucket.as_uri()).bring(is_last=False)
    twin = StudyFolder(Path(shutil.copytree(folder.path, tmp_path / "twin" / "mine")))
    one, other = (Carrier(study, bucket.as_uri()) for study in (folder, twin))
    one.bring(is_last=False)
    with pytest.raises(Superseded):
        other.bring(is_last=False)


def _segment(session: str, number: int, start: int, size: int) -> Segment:
    return Segment.of(session, number, start, bytes(size))


@pytest.mark.parametrize(
    ("segments", "pieces"),
    [
        ([("1", 1, 0, 10), ("1", 2, 10, 5)], [(0, 10), (10, 15)]),
        ([("1", 1, 0, 10), ("1", 2, 10, 5), ("2", 1, 10, 3)], [(0, 10), (10, 13)]),
        ([("1", 1, 0, 10), ("1", 2, 10, 5), ("2", 1, 7, 9)], [(0, 7), (7, 16)]),
        ([("2", 1, 0, 4), ("1", 1, 0, 10), ("1", 2, 10, 5)], [(0, 4)]),
        ([("1", 7, 0, 4), ("1", 10, 0, 9)], [(0, 9)]),
    ],
)
def test_what_was_written_later_counts(
    segments: list[tuple[str, int, int, int]], pieces: list[tuple[int, int]]
) -> None:
    assert [(part.start, part.end) for part in that_count(_segment(*words) for words in segments)] == pieces
