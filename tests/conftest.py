"""Programs that end with their test, the order of the tests, and hardware that this machine lacks or must not use."""

import os
from collections.abc import Iterator

import pytest
import torch

import models.precision
from tests.processes import PRECISION, Programs

if not torch.cuda.is_available():
    # Before anything imports Triton, which looks at it then.
    os.environ.setdefault("TRITON_INTERPRET", "1")

if os.environ.get(PRECISION) == "fp32":
    models.precision.has_fast_bf16 = lambda device: False

# Fixtures that run whole studies.
STUDIES = ("documented", "undisturbed", "resumed", "programs")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests that run whole studies first, so that no test process waits long for another's last test."""
    items.sort(key=lambda item: not set(getattr(item, "fixturenames", ())).intersection(STUDIES))


@pytest.fixture
def programs() -> Iterator[Programs]:
    """Yield what starts programs. Whatever they left is gone after the test, also if the test failed."""
    started = Programs()
    yield started
    started.end()
