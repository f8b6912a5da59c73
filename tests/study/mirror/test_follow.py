"""A copy that follows a study in a thread: a bucket that goes away and comes back, or stays away."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from study.errors import Superseded
from study.mirror import follow
from study.mirror.carrier import Carrier
from study.mirror.fetch import bring_home
from study.mirror.follow import Unfollowed, following, lacks_files
from study.storage.checkpoints import CheckpointStore
from tests.processes import HANGS_AFTER
from tests.study.mirror.copied import ID, add_run, append, begin, bring_back, contents, objects, take_away


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FOLLOW_EVERY_SECONDS", "PAUSE_SECONDS"):
        monkeypatch.setattr(follow, name, 0.01)
    monkeypatch.setattr(follow, "SILENT_SECONDS", 0.05)


def wait_for(condition: Callable[[], object]) -> None:
    tick = threading.Event()
    for _ in range(int(HANGS_AFTER * 100)):
        if condition():
            return
        tick.wait(0.01)
    raise TimeoutError


def test_a_bucket_that_goes_away_and_comes_back_has_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket, said, tries, bring = tmp_path / "bucket", list[str](), list[bool](), Carrier.bring

    def counted(carrier: Carrier, *, is_last: bool) -> None:
        tries.append(is_last)
        bring(carrier, is_last=is_last)

    monkeypatch.setattr(Carrier, "bring", counted)
    folder = begin(tmp_path / "results" / "mine")
    checkpoints = CheckpointStore(bucket.as_uri(), within=ID)
    checkpoints.save("final/net-tuned/seed-0", {"n": 1})
    with following(folder, bucket.as_uri(), checkpoints, said.append) as follower:
        wait_for(lambda: len(objects(bucket)) == 4)
        take_away(bucket)
        append(folder, "end")
        wait_for(lambda: said)
        tried = len(tries)
        wait_for(lambda: len(tries) > tried + 2)
        add_run(folder, 0)
        follower.discard("final/net-tuned/seed-0")
        follower.check()
        bring_back(bucket)
        wait_for(lambda: not list((bucket / ID).rglob("*.pt")))
        folder.log.write_text("began\nended\n")
    (line,) = said
    assert line.startswith(f"{bucket.as_uri()} has taken no file of the study for 0 s (the file ")
    assert line.endswith("; the study goes on, and its files follow")
    bring_home(tmp_path / "elsewhere", None, bucket.as_uri(), said.append)
    assert contents(tmp_path / "elsewhere" / "mine") == contents(folder.path)
    assert not lacks_files(folder)


def test_a_bucket_that_stays_away_is_named_with_what_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(follow, "SILENT_SECONDS", HANGS_AFTER)
    bucket, said = tmp_path / "bucket", list[str]()
    folder = begin(tmp_path / "results" / "mine")
    checkpoints = CheckpointStore(bucket.as_uri(), within=ID)
    with following(folder, bucket.as_uri(), checkpoints, said.append):
        wait_for(lambda: len(objects(bucket)) == 4)
        take_away(bucket)
        add_run(folder, 0)
        append(folder, "end")
    waiting, last = said
    assert waiting == f"Waiting for {bucket.as_uri()} to take the rest, at most 0 s"
    run = "final/net-tuned/seed-0"
    assert last.startswith(
        f"{bucket.as_uri()} lacks tune/journal.jsonl, {run}/metrics.json, {run}/model.safetensors and 1 other file (the"
    )
    assert last.endswith(f"). Everything is in {folder.path}, and --resume brings it there")
    assert lacks_files(folder)
    bring_back(bucket)
    with following(folder, bucket.as_uri(), checkpoints, said.append):
        pass
    assert not lacks_files(folder) and len(said) == 2


def test_a_driver_whose_study_went_on_elsewhere_is_told(tmp_path: Path) -> None:
    bucket, said = tmp_path / "bucket", list[str]()
    folder = begin(tmp_path / "results" / "mine")
    checkpoints = CheckpointStore(bucket.as_uri(), within=ID)
    with following(folder, bucket.as_uri(), checkpoints, said.append) as follower:
        wait_for(lambda: len(objects(bucket)) == 4)
        follower.check()
        bring_home(tmp_path / "new", None, bucket.as_uri(), said.append)
        Carrier(begin(tmp_path / "new" / "mine"), bucket.as_uri()).bring(is_last=False)
        append(folder, "end")

        def is_told() -> bool:
            try:
                follower.check()
            except Superseded:
                return True
            return False

        wait_for(is_told)
    fetched, told = said
    assert fetched.startswith("Fetched ") and told.startswith("a newer driver works on mine (session 00002-")


@pytest.mark.parametrize("storage", [None, "shared"])
def test_a_study_without_a_bucket_has_no_thread(storage: str | None, tmp_path: Path) -> None:
    folder = begin(tmp_path / "mine")
    place = None if storage is None else str(tmp_path / storage)
    checkpoints = CheckpointStore(str(tmp_path / "shared"))
    checkpoints.save("net-0", {"n": 1})
    before, threads = contents(folder.path), threading.active_count()
    with following(folder, place, checkpoints, lambda line: None) as follower:
        assert isinstance(follower, Unfollowed) and threading.active_count() == threads
        follower.check()
        follower.discard("net-0")
        assert checkpoints.load("net-0") is None
        follower.discard_all()
    assert contents(folder.path) == before and not (tmp_path / "shared").exists()
