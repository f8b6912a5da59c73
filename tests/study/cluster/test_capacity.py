"""How machines are divided among training runs."""

import os

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from study.cluster.capacity import Capacity, Resources, Slots, divide, machine_capacity
from study.cluster.places.nodes import Node
from study.errors import BadInput
from study.settings.config import StudyConfig


def machine(cpus: float, gpus: float, memory_gib: float) -> Capacity:
    """Return the capacity of one machine."""
    return Capacity((Node(cpus, gpus, memory_gib),))


@pytest.mark.parametrize(
    ("capacity", "flags", "expected"),
    [
        ((2, 0, 8), {}, Resources(1, 0, 2)),
        ((16, 0, 64), {}, Resources(1, 0, 16)),
        ((16, 0, 6), {}, Resources(1, 0, 4)),
        ((16, 0, 64), {"image_size": 224}, Resources(1, 0, 4)),
        ((16, 0, 64), {"image_size": 224, "batch_size": 32}, Resources(1, 0, 14)),
        ((16, 0, 6), {"image_size": 8}, Resources(1, 0, 4)),
        ((1, 0, 0.5), {}, Resources(1, 0, 1)),
        ((16, 1, 64), {}, Resources(4, 0.25, 4)),
        ((64, 2, 512), {}, Resources(4, 0.25, 8)),
        ((8, 2, 512), {}, Resources(1, 0.25, 8)),
        ((2, 1, 64), {}, Resources(1, 0.25, 2)),
        ((16, 1, 64), {"gpus_per_trial": 0.0}, Resources(1, 0, 16)),
        ((16, 4, 512), {"gpus_per_trial": 2.0}, Resources(4, 2, 2)),
        ((8, 0, 64), {"cpus_per_trial": 2.0}, Resources(2, 0, 4)),
        ((8, 0, 64), {"cpus_per_trial": 3.0}, Resources(3, 0, 2)),
        ((2, 0, 64), {"cpus_per_trial": 0.5}, Resources(0.5, 0, 4)),
        ((8, 0, 64), {"concurrency": 2}, Resources(1, 0, 2)),
        ((2, 0, 64), {"concurrency": 4}, Resources(0.5, 0, 4)),
        ((2, 0, 64), {"concurrency": 3}, Resources(0.666, 0, 3)),
        ((8, 0, 64), {"concurrency": 3, "cpus_per_trial": 2.0}, Resources(2, 0, 3)),
        ((2, 0, 64), {"concurrency": 4, "cpus_per_trial": 2.0}, Resources(2, 0, 1)),
        ((2, 0, 1), {"concurrency": 2}, Resources(1, 0, 2)),
        ((16, 1, 64), {"concurrency": 8}, Resources(2, 0.125, 8)),
        ((16, 1, 64), {"concurrency": 5000}, Resources(0.003, 0.001, 1000)),
        ((2, 0, 64), {"concurrency": 5000}, Resources(0.001, 0, 2000)),
        ((16, 2, 64), {"concurrency": 9}, Resources(1, 0.2, 9)),
        ((16, 1, 64), {"concurrency": 8, "gpus_per_trial": 0.25}, Resources(2, 0.25, 4)),
        ((2, 0, 64), {"concurrency": 4, "cpus_per_trial": 2.0, "address": "auto"}, Resources(2, 0, 4)),
    ],
)
def test_division(capacity: tuple[float, float, float], flags: dict[str, float], expected: Resources) -> None:
    assert divide(machine(*capacity), StudyConfig(**flags)) == expected  # type: ignore[arg-type]


@settings(deadline=None)
@example(7, 0, 1.0, 25)
@given(st.integers(1, 256), st.integers(0, 8), st.floats(0.1, 2000), st.none() | st.integers(1, 64))
def test_what_runs_at_a_time_fits(cpus: int, gpus: int, memory: float, concurrency: int | None) -> None:
    found = divide(machine(cpus, gpus, memory), StudyConfig(concurrency=concurrency))
    assert found.concurrency >= 1
    assert found.cpus_per_trial > 0
    rounding = 1e-9  # of a product; Ray counts in ten-thousandths
    assert found.cpus_per_trial * found.concurrency <= cpus + rounding
    assert found.gpus_per_trial * found.concurrency <= gpus + rounding
    assert 1 <= found.threads <= max(1, found.cpus_per_trial)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"gpus_per_trial": 0.5}, "--gpus-per-trial 0.5 needs a GPU, and there is none"),
        ({"cpus_per_trial": 5.0}, "--cpus-per-trial 5 asks for more than the 4 CPUs"),
    ],
)
def test_a_run_that_fits_nowhere_is_refused(flags: dict[str, float], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        divide(machine(4, 0, 16), StudyConfig(**flags))  # type: ignore[arg-type]


def test_parts_of_several_gpus_are_refused() -> None:
    with pytest.raises(BadInput, match=r"--gpus-per-trial 1\.5 must be a whole number"):
        divide(machine(16, 4, 64), StudyConfig(gpus_per_trial=1.5))


def test_processors_that_this_process_may_not_use_do_not_count() -> None:
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        (node,) = machine_capacity().nodes
    finally:
        os.sched_setaffinity(0, allowed)
    assert node.cpus == 1


def test_a_number_of_runs_that_was_asked_for_is_kept() -> None:
    config = StudyConfig(address="auto", concurrency=3)
    assert Slots(divide(machine(8, 0, 64), config), config)() == 3
