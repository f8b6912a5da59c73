"""How slow this machine is now, so that a promise in seconds can be tested on any machine."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

# Seconds that the loop below takes on a quiet Intel Xeon with AMX, Python 3.11 (median of 9).
REFERENCE_SECONDS = 0.055


def slowness() -> float:
    """Return how many times longer a loop takes here and now than on a quiet server; at least 1."""
    begun = time.perf_counter()
    total = 0
    for number in range(2_000_000):
        total += number & 7
    return max(1.0, (time.perf_counter() - begun) / REFERENCE_SECONDS)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Assert that the body takes at most this many seconds, or more in proportion if this machine is slower."""
    before = slowness()
    begun = time.monotonic()
    yield
    taken = time.monotonic() - begun
    allowed = seconds * max(before, slowness())
    assert taken <= allowed, f"it took {taken:.1f} s, and {allowed:.1f} s are allowed on this machine"
