"""Times networks that take turns, until the ratio of their times is known."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from analysis.statistics.time_ratio import time_ratio

THROUGHPUT_BATCH_SIZE = 128
CALLS_PER_ROUND = 100
_WARM_UP_CALLS = 10
# At least 5 rounds, because an interval over fewer is wide. At most 25, and none after 20 s for each network, because a
# machine that is still not quiet then stays so.
LEAST_ROUNDS, MOST_ROUNDS = 5, 25
SECONDS_PER_NETWORK = 20.0


@dataclass
class Timed:
    """Holds the calls of a network for one image and for a batch, and the seconds that they took.

    Attributes:
        one: predicts one image.
        many: predicts THROUGHPUT_BATCH_SIZE images.
        rounds: seconds of each call for one image, a list for each round.
        cpu: seconds of processor time of the calling thread for one image, the mean of each round.
        batches: seconds of each call for a batch.
    """

    one: Callable[[], object]
    many: Callable[[], object]
    rounds: list[list[float]] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    batches: list[float] = field(default_factory=list)

    def take_turn(self) -> None:
        """Time a round of calls for one image, and one call for a batch."""
        _time_calls(self.one, _WARM_UP_CALLS)
        began = time.thread_time()
        self.rounds.append(_time_calls(self.one, CALLS_PER_ROUND))
        self.cpu.append((time.thread_time() - began) / CALLS_PER_ROUND)
        self.batches += _time_calls(self.many, 1)

    def medians(self) -> list[float]:
        """Return the median time of a call for one image in each round, in seconds."""
        return [float(np.median(calls)) for calls in self.rounds]

    def numbers(self) -> dict[str, Any]:
        """Return quantiles over all calls, the median, mean and processor time of each round, and images a second."""
        calls = np.concatenate(self.rounds) * 1e3
        return {
            "latency_ms": {f"p{q}": float(np.percentile(calls, q)) for q in (50, 90, 99)},
            "rounds": {
                "median_ms": [1e3 * seconds for seconds in self.medians()],
                "mean_ms": [1e3 * float(np.mean(calls)) for calls in self.rounds],
                "cpu_ms": [1e3 * seconds for seconds in self.cpu],
            },
            "images_per_s": THROUGHPUT_BATCH_SIZE / float(np.median(self.batches)),
            "calls": len(calls),
            "batch_size": THROUGHPUT_BATCH_SIZE,
        }


def take_turns(networks: Sequence[Timed]) -> None:
    """Time the networks in turns until every ratio of two times is steady.

    Ends after LEAST_ROUNDS rounds at the earliest. Ends at the latest after MOST_ROUNDS rounds, or once
    SECONDS_PER_NETWORK have passed for each network.
    """
    latest = time.perf_counter() + SECONDS_PER_NETWORK * len(networks)
    for done in range(1, MOST_ROUNDS + 1):
        for network in networks:
            network.take_turn()
        if done >= LEAST_ROUNDS and (_is_steady(networks) or time.perf_counter() > latest):
            return


def _is_steady(networks: Sequence[Timed]) -> bool:
    if not networks:
        return True
    first, *others = [network.medians() for network in networks]
    # The time of a single network is compared with 1 second.
    compared = others or [[1.0] * len(first)]
    return all(time_ratio(first, other).is_steady for other in compared)


def _time_calls(call: Callable[[], object], calls: int) -> list[float]:
    """Return the seconds of each call."""
    seconds = []
    for _ in range(calls):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return seconds
