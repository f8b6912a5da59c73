"""The order of the tests, and how kernels for a GPU are tested without one."""

import os

import pytest
import torch

if not torch.cuda.is_available():
    # Before anything imports Triton, which looks at it then.
    os.environ.setdefault("TRITON_INTERPRET", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that run whole studies come first, so that at the end no process waits long for another's last test.

    Of these, one makes the study that many look at, while the others that run beside it do not need it yet.
    """
    maker = next((item for item in items if "whole" in _fixtures(item)), None)

    def rank(item: pytest.Item) -> int:
        if item is maker:
            return 0
        if "workplace" not in _fixtures(item):
            return 3
        return 2 if "whole" in _fixtures(item) else 1

    items.sort(key=rank)


def _fixtures(item: pytest.Item) -> list[str]:
    return getattr(item, "fixturenames", [])
