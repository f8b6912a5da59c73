"""The step time of a network: measured once on a machine, then read from the user's cache."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest
from torch import Tensor

from analysis.retraining.step_time import StepTime, measure_step
from models.networks.registry import Architecture
from study.data.user_cache import user_cache
from study.plan.step_times import step_times
from tests.builders import TOY, ToyNet


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_cache().is_relative_to(tmp_path)
    return user_cache() / "step-times.json"


class Stopwatch:
    """Counts the measurements."""

    def __init__(self) -> None:
        self.measured: list[str] = []

    def __call__(self, architecture: Architecture, *_: object) -> StepTime:
        self.measured.append(architecture.name)
        return StepTime(0.5, 0.25)


class Broken(ToyNet):
    def forward(self, images: Tensor) -> Tensor:
        raise ArithmeticError("this network cannot count")


def test_a_network_is_measured_once_and_again_when_it_changes(cache: Path) -> None:
    watch, other = Stopwatch(), replace(TOY, name="other")
    for _ in range(2):
        found = step_times({"toy": TOY, "other": other}, 3, "fp32", "auto", 1, 128, keep=True, measure=watch)
        assert found == {"toy": StepTime(0.5, 0.25), "other": StepTime(0.5, 0.25)}
    assert watch.measured == ["toy", "other"]
    step_times({"toy": TOY}, 4, "fp32", "auto", 1, 128, keep=True, measure=watch)  # another number of classes
    step_times({"toy": TOY}, 3, "bf16", "auto", 1, 128, keep=True, measure=watch)
    step_times({"toy": TOY}, 3, "fp32", "off", 1, 128, keep=True, measure=watch)
    step_times({"toy": TOY}, 3, "fp32", "auto", 2, 128, keep=True, measure=watch)
    step_times({"toy": TOY}, 3, "fp32", "auto", 1, 16, keep=True, measure=watch)
    assert watch.measured == ["toy", "other", *["toy"] * 5]


def test_a_dry_run_leaves_no_trace(cache: Path) -> None:
    assert step_times({"toy": TOY}, 3, "fp32", "auto", 1, 128, keep=False, measure=Stopwatch())
    assert not cache.parent.exists()


@pytest.mark.parametrize("content", ["{", "[]", '{"key": {"step_seconds": 1}}', '{"key": 1}'])
def test_a_damaged_cache_is_measured_anew(content: str, cache: Path) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_text(content)
    watch = Stopwatch()
    for _ in range(2):
        step_times({"toy": TOY}, 3, "fp32", "auto", 1, 128, keep=True, measure=watch)
    assert watch.measured == ["toy"]


def test_other_machines_have_nothing_in_the_cache_of_this_one() -> None:
    watch = Stopwatch()
    for _ in range(2):
        step_times({"toy": TOY}, 3, "fp32", "auto", 1, 128, keep=False, measure=watch, is_elsewhere=True)
    assert watch.measured == ["toy", "toy"]


def test_a_network_whose_step_fails_is_named(caplog: pytest.LogCaptureFixture) -> None:
    broken = Architecture("broken", "Broken", Broken, {"dropout": 0.1})
    with caplog.at_level(logging.WARNING):
        found = step_times({"broken": broken, "toy": TOY}, 3, "fp32", "auto", 1, 128, keep=False)
    assert set(found) == {"toy"}
    assert "a step of broken failed: ArithmeticError: this network cannot count" in caplog.text


def test_a_measured_step_is_short_and_says_what_was_found() -> None:
    found = measure_step(TOY, 3, "fp32", "auto", 1, 128)
    assert 0 < found.step_seconds < 5
    assert 0 < found.image_seconds < found.step_seconds
