"""The price of two networks is a sentence that names the costlier one."""

import pytest

from analysis.verdict.cost.price import price
from analysis.verdict.summary_json import GroupSummary, Latency


def group(p50: float | None, p90: float | None, parameters: int | None) -> GroupSummary:
    latency = Latency(p50=p50, p90=p90, p99=p90)
    return GroupSummary.model_construct(latency_ms=latency, onnx_latency_ms=None, parameters=parameters)


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        (
            (19, 20, 900),
            (1, 1.1, 100),
            "A takes 19 times as long as B {here} and has 9 times {more}.",
        ),
        (
            (1, 1.1, 100),
            (19, 20, 900),
            "B takes 19 times as long as A {here} and has 9 times {more}.",
        ),
        (
            (2, 2.1, 100),
            (1, 1.1, 250),
            "A takes 2 times as long as B {here}, but B has 2.5 times {more}.",
        ),
        (
            (2, 2.1, 100),
            (1, 1.1, 104),
            "A takes 2 times as long as B {here}. Both have {equal}.",
        ),
        (
            (1, 1.1, 100),
            (1.3, 1.4, 500),
            "B takes 1.3 times as long as A {here} and has 5 times {more}.",
        ),
        (
            (1, 1.3, 100),
            (1.3, 1.4, 500),
            "A and B take equally long {here}, but B has 5 times {more}.",
        ),
        (
            (1.04, 1.04, 9),
            (1, 1, 9),
            "The price is equal: A and B take equally long {here} and have {equal}.",
        ),
        ((None, None, 250_000), (None, None, 100), "A has 2,500 times {more} as B."),
        ((1, 1, 100), (None, None, 100), "A and B have {equal}."),
        (
            (2, None, 200),
            (1, None, 100),
            "A takes 2 times as long as B {here} and has 2 times {more}.",
        ),
    ],
    ids=["more", "less", "mixed", "slower", "beyond noise", "noise", "equal", "no time", "one time", "no quantile"],
)
def test_the_costlier_network_is_named(
    a: tuple[float | None, float | None, int], b: tuple[float | None, float | None, int], said: str
) -> None:
    words = {"more": "as many parameters", "equal": "equally many parameters"}
    for device in ("CPU", "NVIDIA H200"):
        assert price([group(*a), group(*b)], ["A", "B", "C"], device) == said.format(
            **words, here=f"for one image on this study's {device}"
        )


def test_an_unknown_size_has_no_price() -> None:
    assert price([group(2, 2, None), group(1, 1, 100)], ["A", "B"]) is None


@pytest.mark.parametrize(
    ("times", "in_onnx", "device", "said"),
    [
        ((7.9, 1), (26, 1), "CPU", "A takes 7.9 times as long as B {here} (in ONNX Runtime 26 times) and has"),
        (
            (2, 1),
            (1, 3),
            "CPU",
            "A takes 2 times as long as B {here} (in ONNX Runtime B takes 3 times as long) and has",
        ),
        ((2, 1), (1, 1.01), "CPU", "A takes 2 times as long as B {here} (in ONNX Runtime equally long) and has"),
        (
            (1, 1),
            (5, 1),
            "CPU",
            "A and B take equally long {here} (in ONNX Runtime A takes 5 times as long), but A has",
        ),
        ((1, 1), (1, 1), "CPU", "A and B take equally long {here} (in ONNX Runtime too), {but}"),
        ((2, 1), (5, 1), "GPU", "A takes 2 times as long as B {here} (in ONNX Runtime on the CPU 5 times) and has"),
        ((2, 1), (None, 1), "CPU", "A takes 2 times as long as B {here} and has"),
    ],
    ids=["more", "reversed", "equal there", "equal here", "both equal", "GPU", "one time"],
)
def test_the_ratio_in_onnx_runtime_stands_beside_pytorchs(
    times: tuple[float, float], in_onnx: tuple[float | None, float], device: str, said: str
) -> None:
    groups = [
        group(p50, p50, parameters).model_copy(
            update={"onnx_latency_ms": None if there is None else Latency(p50=there, p90=there, p99=there)}
        )
        for p50, there, parameters in zip(times, in_onnx, (900, 100), strict=True)
    ]
    here = f"for one image on this study's {device}"
    expected = said.format(here=here, **{"and": "and has", "but": "but A has"})
    assert price(groups, ["A", "B"], device) == f"{expected} 9 times as many parameters."
