"""The order of the tests."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that run whole studies come first, so that at the end no process waits long for another's last test."""
    items.sort(key=lambda item: "workplace" not in getattr(item, "fixturenames", ()))
