"""The inference times of two networks are compared, unless the machine was too busy to tell."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from analysis.results.load import StudyResults, load_results
from analysis.verdict.summary import summarise
from tests.analysis.example_study import write_example


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> StudyResults:
    return load_results(write_example(Path(tmp_path_factory.mktemp("times")) / "s", seeds=5))


def timed(median: list[float], cpu: float = 1.0) -> dict[str, Any]:
    """Return rounds with these medians, of which a share is processor time."""
    return {"rounds": {"median_ms": median, "mean_ms": median, "cpu_ms": [cpu * one for one in median]}}


def measured(results: StudyResults, alexnet: dict[str, Any], mobilenet: dict[str, Any]) -> StudyResults:
    latency = results.latency
    return replace(
        results,
        latency={"alexnet": latency["alexnet"] | alexnet, "mobilenet": latency["mobilenet"] | mobilenet},
    )


def limits(results: StudyResults) -> str:
    return " ".join(caveat.text for caveat in summarise(results).caveats)


def test_the_ratio_has_an_interval(results: StudyResults) -> None:
    quiet = measured(results, timed([9.0, 9.5, 9.2, 9.1, 9.3]), timed([1.0, 1.02, 0.99, 1.0, 1.01]))
    summary = summarise(quiet)
    assert summary.price == (
        "AlexNet takes 9.2 times as long as MobileNet-like (95 % interval 9 to 9.3) for one image on this study's CPU"
        " and has 460 times as many parameters."
    )
    (compared,) = summary.as_json()["times"].values()
    ratio = compared["ratio"] if compared["a"] == "alexnet-tuned" else 1 / compared["ratio"]
    assert ratio == pytest.approx(9.18, abs=0.01)
    assert (compared["is_processor_time"], compared["is_steady"], compared["rounds"]) == (False, True, 5)
    assert "busy" not in limits(quiet) and "steady" not in limits(quiet)


def test_equal_times_are_equal(results: StudyResults) -> None:
    equal = measured(results, timed([1.0, 1.3, 1.1, 1.0, 1.2]), timed([1.0, 1.0, 1.2, 1.1, 1.0]))
    assert (summarise(equal).price or "").startswith("AlexNet and MobileNet-like take equally long for one image")


def test_on_a_busy_machine_processor_time_is_compared(results: StudyResults) -> None:
    busy = measured(results, timed([12.0, 30.0, 20.0], cpu=0.25), timed([2.0, 2.0, 2.0], cpu=0.5))
    price = summarise(busy).price or ""
    assert price.startswith("AlexNet takes 4.8 times the processor time of MobileNet-like (95 % interval ")
    assert "a prediction took up to 4.0 times its processor time" in limits(busy)
    assert "The ratio of the inference times did not become steady in 3 rounds" in limits(busy)
    gpu = {"device": "NVIDIA H200"}
    on_gpu = measured(results, timed([12.0] * 3, cpu=0.25) | gpu, timed([2.0] * 3, cpu=0.5) | gpu)
    assert "AlexNet takes 6 times as long as MobileNet-like" in (summarise(on_gpu).price or "")
    assert "busy" not in limits(on_gpu)


def test_a_clock_that_counts_nothing_does_not_make_a_machine_busy(results: StudyResults) -> None:
    coarse = measured(results, timed([12.0] * 5, cpu=0.0), timed([2.0] * 5))
    assert "AlexNet takes 6 times as long as MobileNet-like" in (summarise(coarse).price or "")


def test_onnx_runtime_has_a_ratio_of_its_own(results: StudyResults) -> None:
    quantiles = {"latency_ms": {"p50": 1.0, "p90": 1.0, "p99": 1.0}}
    alexnet, mobilenet = (
        timed([one, 1.01 * one, one]) | {"onnx": quantiles | timed([there, there, 1.02 * there])}
        for one, there in ((9.0, 26.0), (1.0, 1.0))
    )
    summary = summarise(measured(results, alexnet, mobilenet))
    assert "(95 % interval 9 to 9) for one image on this study's CPU (in ONNX Runtime 26 times)" in (
        summary.price or ""
    )
    assert set(summary.times) == {"pytorch", "onnx"}


def test_a_study_of_an_older_version_has_no_interval(results: StudyResults) -> None:
    summary = summarise(results)
    assert summary.times == {}
    assert "AlexNet takes 1.9 times as long as MobileNet-like for one image" in (summary.price or "")
