"""The folders of a shared storage: which study claims them, and what is left over."""

from pathlib import Path
from typing import Any

import pytest

from study.errors import BadInput
from study.storage.checkpoints import CheckpointStore
from study.storage.leftovers import folder_of, unclaimed

ID = "33a81bdced4843ff90b812c075aae13c"
OTHER = "0" * 32
STUDY = {"id": ID, "name": "first"}


def _keep(storage: Path, folder: str) -> None:
    CheckpointStore(str(storage), within=folder).save("final/alexnet-tuned/seed-0", {"n": 1})


def test_a_study_that_is_renamed_keeps_its_folder(tmp_path: Path) -> None:
    assert folder_of(STUDY, str(tmp_path)) == folder_of(STUDY | {"name": "second"}, str(tmp_path)) == ID


def test_a_study_of_an_older_version_goes_on_where_its_checkpoints_are(tmp_path: Path) -> None:
    _keep(tmp_path, "first-33a81bdc")
    assert folder_of(STUDY, str(tmp_path)) == "first-33a81bdc"


@pytest.mark.parametrize("study", [{}, {"id": ""}, {"id": 3}])
def test_a_study_without_an_id_is_refused(study: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"study\.json holds no id"):
        folder_of(study, str(tmp_path))


def test_only_checkpoints_that_no_study_claims_are_left_over(tmp_path: Path) -> None:
    for folder in (ID, "first-33a81bdc", OTHER, "gone-12345678", "someone's folder"):
        _keep(tmp_path, folder)
    (tmp_path / ("1" * 32)).mkdir()
    (tmp_path / "photos-20240101").mkdir()
    (tmp_path / "photos-20240101" / "beach.jpg").touch()
    (tmp_path / "file.pt").touch()
    (tmp_path / "gone-12345678" / "alexnet-0.pt.tmp").touch()
    _keep(tmp_path, "model-12345678")
    (tmp_path / "model-12345678" / "weights.pt").write_bytes(b"PK of another program")
    found = unclaimed([STUDY], str(tmp_path))
    assert [leftover.name for leftover in found] == [OTHER, "gone-12345678"]
    assert found[0].files == 1 and found[0].size == (tmp_path / OTHER / "final/alexnet-tuned/seed-0.pt").stat().st_size
    assert unclaimed([], str(tmp_path / "nowhere")) == []
