"""Reports without figures, which take most of the time."""

import pytest

from analysis.figures.catalogue import PARTS


@pytest.fixture
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let reports be built without figures."""
    monkeypatch.setattr("analysis.report.build.study_pictures", lambda *_: {part: [] for part in PARTS})
