"""A study that cannot be written, such as one on a mounted archive: its report goes elsewhere."""

from pathlib import Path

import pytest

from analysis.report.__main__ import main
from tests.analysis.pages import draw_only
from tests.mounts import with_mounts

EXAMPLE = Path(__file__).parents[2] / "example-study"
READ_ONLY = 'mount --bind "$0" "$1"; mount -o remount,bind,ro "$1"'


def test_a_read_only_study_has_its_report_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    draw_only(monkeypatch)
    (studies := tmp_path / "studies").mkdir()
    elsewhere = tmp_path / "elsewhere"

    def report_twice() -> tuple[int, int]:
        return main([str(studies)]), main([str(studies), "--output", str(elsewhere)])

    assert with_mounts(READ_ONLY, report_twice, EXAMPLE, studies) == (1, 0)
    out, err = capsys.readouterr()
    assert out.splitlines() == [str(elsewhere / "report.html")]
    (line,) = err.splitlines()
    assert line.startswith("error: [Errno 30] Read-only file system: ")
    assert line.endswith(": write the report elsewhere with --output DIR")
    written = {path.name for path in elsewhere.iterdir()}
    assert {"report.html", "summary.json", "accuracy-by-group.svg"} <= written
