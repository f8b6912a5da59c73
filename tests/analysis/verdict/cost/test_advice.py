"""The cheaper network is recommended if it is shown not to be worse."""

from typing import Any

import pytest

from analysis.verdict.cost.advice import advice
from analysis.verdict.summary_json import ComparisonRow, GroupSummary, Latency, TimesCompared

TITLES = ["Large", "Small"]


def row(**changes: Any) -> ComparisonRow:
    told: dict[str, Any] = {
        "a": "large-tuned",
        "b": "small-tuned",
        "winner": None,
        "margin": 0.005,
        "seeds": list(range(5)),
        "reason": None,
        "not_worse_p": (0.001, 0.02),
    }
    return ComparisonRow.model_construct(**(told | changes))


def groups(
    large: int | None = 900, small: int | None = 100, p50: tuple[float | None, float | None] = (None, None)
) -> dict[str, GroupSummary]:
    sizes = {"large-tuned": large, "small-tuned": small}
    return {
        name: GroupSummary.model_construct(parameters=size, latency_ms=Latency(p50=median, p90=None, p99=None))
        for (name, size), median in zip(sizes.items(), p50, strict=True)
    }


def times(ratio: float, low: float, high: float, a: str = "large-tuned") -> dict[str, TimesCompared]:
    b = "small-tuned" if a == "large-tuned" else "large-tuned"
    return {
        "pytorch": TimesCompared(
            a=a,
            b=b,
            ratio=ratio,
            ci95=(low, high),
            is_processor_time=False,
            wall_per_processor_time=1.0,
            is_steady=True,
            rounds=5,
        )
    }


def test_a_network_that_is_not_worse_and_cheaper_is_recommended() -> None:
    said = (
        "Take Small: a one-sided test at 5 % shows that it is less than 0.5 percentage points worse than Large, and it"
        " is 9.2 times as fast and has 100 parameters instead of 900."
    )
    assert advice(row(), groups(), TITLES, times(9.2, 9.0, 9.4)) == said
    turned = times(1 / 9.2, 1 / 9.4, 1 / 9.0, a="small-tuned")
    assert advice(row(), groups(), TITLES, turned) == said
    assert advice(row(winner="large-tuned", call="better"), groups(), TITLES, times(9.2, 9.0, 9.4)) == said


def test_size_alone_or_time_alone_is_enough() -> None:
    small = advice(row(), groups(), TITLES, {})
    assert small is not None and small.endswith("and it has 100 parameters instead of 900.")
    fast = advice(row(), groups(100, 100), TITLES, times(9.2, 9.0, 9.4))
    assert fast is not None and fast.endswith("and it is 9.2 times as fast.")


def test_times_without_rounds_count_too() -> None:
    assert advice(row(), groups(p50=(1.0, 1.9)), TITLES, {}) is None
    fast = advice(row(), groups(100, 100, p50=(3.0, 1.0)), TITLES, {})
    assert fast is not None and fast.endswith("and it is 3 times as fast.")


@pytest.mark.parametrize(
    ("changes", "sizes", "ratio"),
    [
        ({"not_worse_p": (0.001, 0.06)}, (900, 100), (9.2, 9.0, 9.4)),
        ({"seeds": [0, 1, 2, 3]}, (900, 100), (9.2, 9.0, 9.4)),
        ({"reason": "nothing learned"}, (900, 100), (9.2, 9.0, 9.4)),
        ({"winner": "small-tuned"}, (900, 100), (9.2, 9.0, 9.4)),
        ({"not_worse_p": None}, (900, 100), (9.2, 9.0, 9.4)),
        ({"not_worse_p": (None, None)}, (900, 100), (9.2, 9.0, 9.4)),
        ({"margin": 0.0}, (900, 100), (9.2, 9.0, 9.4)),
        ({}, (140, 100), (1.4, 1.3, 1.5)),
        ({}, (100, 100), (1.6, 1.2, 2.2)),
        ({}, (900, 100), (0.5, 0.4, 0.6)),
    ],
    ids=[
        "not shown",
        "few seeds",
        "nothing learned",
        "better",
        "older",
        "one seed",
        "no margin",
        "hardly cheaper",
        "unsure",
        "slower",
    ],
)
def test_nothing_is_recommended_otherwise(
    changes: dict[str, Any], sizes: tuple[int, int], ratio: tuple[float, float, float]
) -> None:
    assert advice(row(**changes), groups(*sizes), TITLES, times(*ratio)) is None
