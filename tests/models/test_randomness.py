"""Random streams: repeatable, and different for every purpose."""

import random
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.randomness import RunSeeds, integer, seeded, stream
from tests.builders import CPU

purposes = st.lists(st.one_of(st.text(max_size=8), st.integers(0, 2**32 - 1)), min_size=1, max_size=4)


@settings(deadline=None)
@given(st.integers(0, 2**64), purposes)
def test_a_stream_is_a_function_of_seed_and_purpose(seed: int, purpose: list[str | int]) -> None:
    assert integer(stream(seed, *purpose), bits=64) == integer(stream(seed, *purpose), bits=64)


@settings(deadline=None)
@given(st.integers(0, 2**64), st.lists(purposes, min_size=2, max_size=2, unique_by=tuple))
def test_other_purposes_give_other_streams(seed: int, pair: list[list[str | int]]) -> None:
    one, other = pair
    assert integer(stream(seed, *one), bits=64) != integer(stream(seed, *other), bits=64)


@settings(deadline=None)
@given(st.lists(st.integers(0, 2**64), min_size=2, max_size=2, unique=True), purposes)
def test_other_seeds_give_other_streams(seeds: list[int], purpose: list[str | int]) -> None:
    one, other = (integer(stream(seed, *purpose), bits=64) for seed in seeds)
    assert one != other


def test_streams_stay_what_they_were() -> None:
    """Studies are resumed, and compared, across versions."""
    assert integer(stream(0, "search", "split")) == 467850183
    assert RunSeeds.of(7, "final", 3) == RunSeeds(
        order=11540160747110319881, weights=1173562864640820422, dropout=12072319350134126089
    )


@pytest.mark.parametrize("bits", [32, 64])
def test_integers_fill_their_range(bits: int) -> None:
    drawn = [integer(stream(seed, "x"), bits) for seed in range(200)]
    assert all(0 <= value < 2**bits for value in drawn)
    assert max(drawn) > 0.95 * 2**bits
    assert min(drawn) < 0.05 * 2**bits


def test_every_run_of_a_study_draws_from_streams_of_its_own() -> None:
    runs = [("search", arch, number) for arch, number in product(("alexnet", "mobilenet"), range(100))]
    runs += [("final", seed) for seed in range(100)]
    drawn = [seed for run in runs for seed in vars(RunSeeds.of(0, *run)).values()]
    drawn += [integer(stream(0, "search", "split"), 64)]
    drawn += [integer(stream(0, "final", seed, "split"), 64) for seed in range(100)]
    assert len(set(drawn)) == len(drawn)


@pytest.mark.parametrize("arguments", [(-1, "x"), (0, -1)])
def test_negative_numbers_are_refused(arguments: tuple[int, str | int]) -> None:
    with pytest.raises(ValueError, match="non-negative"):
        stream(*arguments)


def _draw() -> tuple[float, float, float]:
    return torch.rand(()).item(), float(np.random.random()), random.random()


def test_the_generators_of_torch_numpy_and_python_repeat_and_get_their_states_back() -> None:
    with seeded(2**64 - 1, CPU):
        first = _draw()
        with seeded(7, CPU):
            inner = _draw()
        second = _draw()
    with pytest.raises(KeyError), seeded(2**64 - 1, CPU):
        assert _draw() == first
        assert _draw() == second
        raise KeyError
    with seeded(7, CPU):
        outer = _draw()
        assert outer == inner
        with seeded(7 + 2**32, CPU):
            assert all(one != other for one, other in zip(_draw()[1:], outer[1:], strict=True))
