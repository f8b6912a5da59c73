"""Reports without figures, which take most of the time."""

import pytest

from tests.analysis.pages import leave_out_figures


@pytest.fixture
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let reports be built without figures."""
    leave_out_figures(monkeypatch)
