"""Networks take turns until the ratio of their times is known."""

import time
from collections.abc import Callable

import pytest

from analysis.retraining import turns
from analysis.retraining.turns import CALLS_PER_ROUND, LEAST_ROUNDS, MOST_ROUNDS, Timed, take_turns


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Return a function that lets time pass, which nothing else does."""
    now = [0.0]
    monkeypatch.setattr(turns.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(turns.time, "thread_time", lambda: now[0] / 2)

    def wait(seconds: float) -> None:
        now[0] += seconds

    return wait


def test_steady_networks_are_measured_in_few_rounds(clock: Callable[[float], None]) -> None:
    slow = Timed(lambda: clock(0.003), lambda: clock(0.5))
    fast = Timed(lambda: clock(0.001), lambda: clock(0.1))
    take_turns([slow, fast])
    numbers = slow.numbers()
    assert numbers["calls"] == LEAST_ROUNDS * CALLS_PER_ROUND
    assert numbers["latency_ms"] == pytest.approx({"p50": 3.0, "p90": 3.0, "p99": 3.0})
    assert numbers["images_per_s"] == pytest.approx(256)
    assert numbers["rounds"]["median_ms"] == pytest.approx([3.0] * LEAST_ROUNDS)
    assert numbers["rounds"]["cpu_ms"] == pytest.approx([1.5] * LEAST_ROUNDS)
    assert len(fast.rounds) == LEAST_ROUNDS


def test_what_slows_both_alike_needs_no_more_rounds(clock: Callable[[float], None]) -> None:
    both: list[Timed] = []

    def pace() -> float:
        return 2.0 ** len(both[0].rounds if len(both[0].rounds) == len(both[1].rounds) else both[1].rounds)

    both += [Timed(lambda: clock(0.003 * pace()), lambda: None), Timed(lambda: clock(0.001 * pace()), lambda: None)]
    take_turns(both)
    assert len(both[0].rounds) == LEAST_ROUNDS
    assert both[0].medians()[0] < both[0].medians()[-1]


def test_an_unsteady_ratio_is_measured_longer_and_not_for_ever(clock: Callable[[float], None]) -> None:
    steady = Timed(lambda: clock(0.001), lambda: None)
    wild = Timed(lambda: clock(0.001 * (1 + len(wild.rounds) % 2)), lambda: None)
    take_turns([steady, wild])
    assert len(steady.rounds) == len(wild.rounds) == MOST_ROUNDS
    late = Timed(lambda: clock(0.001 if len(late.rounds) else 0.0014), lambda: None)
    take_turns([Timed(lambda: clock(0.001), lambda: None), late])
    assert LEAST_ROUNDS < len(late.rounds) < MOST_ROUNDS


def test_large_networks_on_a_busy_machine_are_measured_for_a_limited_time(clock: Callable[[float], None]) -> None:
    steady = Timed(lambda: clock(0.01), lambda: None)
    wild = Timed(lambda: clock(0.01 * (1 + len(wild.rounds) % 2)), lambda: None)
    take_turns([steady, wild])
    assert len(steady.rounds) == len(wild.rounds) == 15, "a pair of rounds takes 2.2 or 3.3 s"
    slower = Timed(lambda: clock(0.1 * (1 + len(slower.rounds) % 2)), lambda: None)
    take_turns([slower])
    assert len(slower.rounds) == LEAST_ROUNDS


def test_processor_time_does_not_count_waiting() -> None:
    waiting = Timed(lambda: time.sleep(0.002), lambda: None)
    take_turns([waiting])
    rounds = waiting.numbers()["rounds"]
    assert min(rounds["mean_ms"]) >= 2
    assert max(rounds["cpu_ms"]) < min(rounds["mean_ms"]) / 2
